package delivery

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/config"
)

// A testAuthority signs the certificates of the tests' servers.
type testAuthority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newTestAuthority(t *testing.T) *testAuthority {
	a := &testAuthority{pool: x509.NewCertPool()}
	pair := a.issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = "CA", true, true
	})
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	return a
}

// issue returns a certificate that is good for mx.example.com, except for what change does. A nil
// authority has it signed by itself.
func (a *testAuthority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx"},
		NotBefore: time.Date(2003, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(2004, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:  []string{"mx.example.com"},
	}
	change(template)
	parent, signer := template, key
	if a != nil && a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func as(mode TLSMode) func(*config.Factory) {
	return func(f *config.Factory) {
		d := DefaultDestination()
		d.TLS = mode
		Destinations.SetFactory(f, DestinationList{Default: d, AlertTLS: true})
	}
}

// offer has the EHLO reply offer STARTTLS.
func offer() map[string]string { return map[string]string{"EHLO": "250-mx\n250 STARTTLS"} }

const (
	tlsFailed  = "DCID 1 TLS failed: verify error: "
	tlsSuccess = "DCID 1 TLS success protocol TLSv1.3 cipher TLS_AES_128_GCM_SHA256 for example.com"
)

func delivered() []string {
	return []string{"Delivery start DCID 1 MID 1 to RID [0]", "Message done DCID 1 MID 1 to RID [0]"}
}

// TestVerificationOfServers: a destination that requires a verified certificate gets no mail over a
// connection without one. One that prefers it gets the mail, over TLS.
func TestVerificationOfServers(t *testing.T) {
	ca := newTestAuthority(t)
	for name, c := range map[string]struct {
		reason string // "": it is good
		by     *testAuthority
		change func(*x509.Certificate)
	}{
		"good":          {"", ca, func(*x509.Certificate) {}},
		"wild card":     {"", ca, func(c *x509.Certificate) { c.DNSNames = []string{"*.example.com"} }},
		"of the domain": {"", ca, func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} }},
		"by reverse look-up": {"", ca, func(c *x509.Certificate) {
			c.DNSNames = []string{"host.provider.example"}
		}},
		"common name": {"", ca, func(c *x509.Certificate) {
			c.DNSNames, c.Subject.CommonName = nil, "mx.example.com"
		}},
		"expired": {"certificate has expired", ca, func(c *x509.Certificate) {
			c.NotAfter = c.NotBefore.AddDate(0, 1, 0)
		}},
		"of another host": {"hostname mismatch", ca, func(c *x509.Certificate) {
			c.DNSNames = []string{"mx.example.org"}
		}},
		"common name beside names": {"hostname mismatch", ca, func(c *x509.Certificate) {
			c.DNSNames, c.Subject.CommonName = []string{"mx.example.org"}, "mx.example.com"
		}},
		"self-signed":       {"self signed certificate", nil, func(*x509.Certificate) {}},
		"unknown authority": {"unable to get local issuer certificate", newTestAuthority(t), func(*x509.Certificate) {}},
	} {
		t.Run(name, func(t *testing.T) {
			pair := c.by.issue(t, c.change)
			for _, mode := range []TLSMode{TLSPreferred, TLSRequired, TLSPreferredVerify, TLSRequiredVerify} {
				b := newFixture(t, as(mode))
				b.o.TrustedRoots = func() (*x509.CertPool, error) { return ca.pool, nil }
				alerts := make(chan string, 1)
				b.o.OnTLSFailed = func(text string) { alerts <- text }
				b.zone.names = map[string]string{"127.0.0.1": "host.provider.example"}
				m := b.serve(first, offer())
				m.secure = &tls.Config{Certificates: []tls.Certificate{pair}}
				b.submit("a@example.net", "b@example.com")
				if mode != TLSRequiredVerify || c.reason == "" {
					b.expect(append([]string{text(opened, 1, "127.0.0.1"), tlsSuccess}, delivered()...)...)
					continue
				}
				b.expect(text(opened, 1, "127.0.0.1"), tlsFailed+c.reason, closes(1))
				if got := <-alerts; !strings.Contains(got, "example.com") || !strings.Contains(got, c.reason) {
					t.Errorf("the alert is %q", got)
				}
				if len(m.messages()) > 0 {
					t.Error("the message was sent nevertheless")
				}
			}
		})
	}
}

// TestServersWithoutTLS: mail goes in clear text if TLS is only preferred and the server does not
// begin it. After the server's 220 it does not.
func TestServersWithoutTLS(t *testing.T) {
	none := map[string]string{"EHLO": "250 mx"}
	refusing := offer()
	refusing["STARTTLS"] = "454 not now"
	broken := offer()
	broken["STARTTLS"] = "220 go"
	for _, c := range []struct {
		answers map[string]string
		reason  string
		falls   bool // preferred TLS falls back to clear text
	}{
		{none, "STARTTLS not offered", true},
		{refusing, "STARTTLS refused", true},
		{broken, "~", false},
	} {
		for _, mode := range []TLSMode{TLSOff, TLSPreferred, TLSPreferredVerify, TLSRequired, TLSRequiredVerify} {
			b := newFixture(t, as(mode))
			b.o.OnTLSFailed = func(string) {}
			b.serve(first, c.answers)
			b.submit("a@example.net", "b@example.com")
			b.expect(text(opened, 1, "127.0.0.1"))
			if mode == TLSOff || c.falls && !mode.required() {
				b.expect(delivered()...)
			} else {
				b.expect("DCID 1 TLS failed: "+c.reason, closes(1))
			}
		}
	}
}

// TestClientCertificate: a server that asks for a certificate gets the one that is set.
func TestClientCertificate(t *testing.T) {
	own := (*testAuthority)(nil).issue(t, func(*x509.Certificate) {})
	for _, name := range []string{"", "Demo"} {
		b := newFixture(t, func(f *config.Factory) {
			d := DefaultDestination()
			d.TLS = TLSRequired
			Destinations.SetFactory(f, DestinationList{Default: d, Certificate: name})
		})
		b.o.TLS = func(certificate string) (*tls.Config, error) {
			c := &tls.Config{InsecureSkipVerify: true}
			if certificate == "Demo" {
				c.Certificates = []tls.Certificate{own}
			}
			return c, nil
		}
		m := b.serve(first, offer())
		m.secure = &tls.Config{
			Certificates: []tls.Certificate{own}, ClientAuth: tls.RequestClientCert,
		}
		b.submit("a@example.net", "b@example.com")
		b.expect(append([]string{text(opened, 1, "127.0.0.1"), tlsSuccess}, delivered()...)...)
		m.mu.Lock()
		if shown := m.shown; shown != len(name)/len("Demo") {
			t.Errorf("%q: the server was shown %d certificates", name, shown)
		}
		m.mu.Unlock()
	}
}

// TestLimitOfTLSConnections: no more connections use TLS at a time than the settings allow. Those in
// clear text are not counted, even if the destination prefers TLS.
func TestLimitOfTLSConnections(t *testing.T) {
	b := newFixture(t, func(f *config.Factory) {
		as(TLSPreferred)(f)
		Config.SetFactory(f, Settings{MaxConnections: 10, MaxTLSConnections: 1})
	})
	for _, domain := range []string{"one.example", "two.example", "three.example"} {
		b.zone.addrs[domain] = "127.0.0.1"
	}
	secure := b.serve(first, map[string]string{"EHLO": "250-mx\n250 STARTTLS", "RCPT": "hold"})
	secure.secure = &tls.Config{Certificates: []tls.Certificate{newTestAuthority(t).issue(t, func(*x509.Certificate) {})}}
	plain := b.serve("127.0.0.2:25", map[string]string{"RCPT": "hold"})
	b.zone.addrs["plain.example"], b.zone.addrs["plain2.example"] = "127.0.0.2", "127.0.0.2"

	b.submit("", "b@plain.example")
	<-plain.held
	b.submit("", "b@plain2.example")
	<-plain.held
	b.submit("", "b@one.example")
	<-secure.held
	b.submit("", "b@two.example")
	b.submit("", "b@three.example")
	b.await(func() bool { return b.crowded && b.tlsConnections == 1 && b.connections == 3 })
	secure.mu.Lock()
	if secure.conns != 1 {
		t.Errorf("%d connections with TLS, want 1", secure.conns)
	}
	secure.mu.Unlock()

	d := b.config.NewDraft()
	Config.Set(d, Settings{MaxConnections: 10, MaxTLSConnections: 2})
	if _, err := b.config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	b.Reschedule()
	<-secure.held
	b.await(func() bool { return b.crowded && b.tlsConnections == 2 && b.connections == 4 })

	secure.set("EHLO", offer()["EHLO"]) // the one that waits is not held
	secure.mu.Lock()
	for _, c := range secure.open {
		c.Abort()
	}
	secure.mu.Unlock()
	b.await(func() bool { return len(secure.messages()) == 1 })
}
