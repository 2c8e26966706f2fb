package tlsconfig

import (
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/config"
)

// newStore returns a store of certificates over a configuration that edit changes.
func newStore(t *testing.T, edit func(*config.Draft)) (*Store, *config.Store) {
	t.Helper()
	committed := config.NewStore()
	commit(t, committed, edit)
	file := filepath.Join(t.TempDir(), "gui.pem")
	return NewStore(Options{
		Committed: committed.Committed, Now: func() time.Time { return now },
		Demo: func() (*tls.Certificate, error) {
			return OpenDemo(file, rand.Reader, []string{"demo.example.com"}, slog.New(slog.DiscardHandler))
		},
	}), committed
}

func commit(t *testing.T, s *config.Store, edit func(*config.Draft)) {
	t.Helper()
	d := s.NewDraft()
	edit(d)
	if _, err := s.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
}

// shake performs a handshake. The client's configuration is changed by edit.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, *tls.Conn, error) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	accepted := tls.Server(b, server)
	go func() {
		if accepted.Handshake() != nil {
			b.Close()
		}
	}()
	c := tls.Client(a, client)
	err := c.Handshake()
	return c.ConnectionState(), accepted, err
}

func TestCommitTakesEffectWithTheNextHandshake(t *testing.T) {
	own := authority(t, "own")
	own.Name = "own"
	store, committed := newStore(t, func(d *config.Draft) {
		Certificates.Set(d, CertificateList{[]Certificate{own}})
	})
	common := func(certificate string, newest uint16) string {
		t.Helper()
		server, err := store.Server(Inbound, certificate)
		if err != nil {
			t.Fatal(err)
		}
		state, _, err := shake(t, server, &tls.Config{InsecureSkipVerify: true, MaxVersion: newest,
			MinVersion: tls.VersionTLS10})
		if err != nil {
			return err.Error()
		}
		return ProtocolName(state.Version) + " " + CommonName(state.PeerCertificates[0])
	}
	if got := common("", tls.VersionTLS13); got != "TLSv1.2 demo.example.com" {
		t.Errorf("by default: %s", got)
	}
	if got := common("OWN", tls.VersionTLS13); got != "TLSv1.2 own" {
		t.Errorf("with a certificate: %s", got)
	}
	if got := common("own", tls.VersionTLS11); got != "remote error: tls: protocol version not supported" {
		t.Errorf("TLS 1.1 by default: %s", got)
	}
	first, _ := store.Server(Inbound, "own")
	if again, _ := store.Server(Inbound, "own"); again != first {
		t.Error("clients cannot resume their sessions")
	}
	commit(t, committed, func(d *config.Draft) {
		s := SSL.Get(d)
		s.Inbound = SSLUse{Method: "tlsv1_0tlsv1_1", Ciphers: "ECDHE-ECDSA-AES256-SHA"}
		SSL.Set(d, s)
	})
	if got := common("own", tls.VersionTLS13); got != "TLSv1.1 own" {
		t.Errorf("after the commit: %s", got)
	}
	if gui, err := store.Server(GUI, ""); err != nil || gui.MaxVersion != tls.VersionTLS12 {
		t.Errorf("the settings of another use have changed: %v", err)
	}
}

func TestClientShowsItsCertificate(t *testing.T) {
	own := authority(t, "own")
	store, _ := newStore(t, func(d *config.Draft) {
		Certificates.Set(d, CertificateList{[]Certificate{own}})
	})
	server, err := store.Server(Inbound, "")
	if err != nil {
		t.Fatal(err)
	}
	server = server.Clone()
	server.ClientAuth = tls.RequireAnyClientCert
	client, err := store.Client("partner")
	if err != nil {
		t.Fatal(err)
	}
	_, accepted, err := shake(t, server, client)
	if err != nil {
		t.Fatal(err)
	}
	if err := accepted.Handshake(); err != nil {
		t.Fatal(err)
	}
	if shown := accepted.ConnectionState().PeerCertificates; len(shown) != 1 || CommonName(shown[0]) != "own" {
		t.Errorf("the client shows %d certificates", len(shown))
	}
	if client, err = store.Client(""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := shake(t, server, client); err == nil {
		t.Error("a client without a certificate shows one")
	}
}
