package box_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net/smtp"
	"os/exec"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/appliance/tooltest"
)

// change commits a change of a section.
func change[T any](t *testing.T, b *appliancetest.Box, s *config.Section[T], edit func(*T)) {
	t.Helper()
	err := s.CommitNow(t.Context(), b.Appliance().Config, nil, config.CommitInfo{},
		func(v *T) error { edit(v); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

// startTLS has OpenSSL connect to the door smtp, with further arguments. It returns what OpenSSL
// prints, and whether the handshake succeeded.
func (b *clientBox) startTLS(args ...string) (out string, ok bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), clientTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, "openssl", append([]string{
		"s_client", "-starttls", "smtp", "-connect", b.door(), "-cipher", "ALL:@SECLEVEL=0",
	}, args...)...)
	c.Stdin = strings.NewReader("QUIT\r\n")
	text, err := c.CombinedOutput()
	if ctx.Err() != nil {
		b.t.Fatalf("openssl does not end:\n%s", text)
	}
	return string(text), err == nil && !strings.Contains(string(text), "Cipher is (NONE)")
}

// TestOpenSSLAtTheListener: the listener shows the certificate that is chosen for it, and speaks
// the protocols and ciphers of sslconfig and no others.
func TestOpenSSLAtTheListener(t *testing.T) {
	t.Parallel()
	tooltest.Need(t, "openssl")
	b := startClientBox(t)
	if out, ok := b.startTLS(); !ok || !strings.Contains(out, "subject=CN = example.com\n") ||
		!strings.Contains(out, "Protocol  : TLSv1.2\n") {
		t.Errorf("by default:\n%s", out)
	}
	if out, ok := b.startTLS("-tls1_1"); ok {
		t.Errorf("TLS 1.1 by default:\n%s", out)
	}
	own, err := tlsconfig.SelfSigned("own", tlsconfig.Request{
		CommonName: "in.example.com", Bits: 2048, Days: 30,
	}, rand.Reader, b.Appliance().Now())
	if err != nil {
		t.Fatal(err)
	}
	change(t, b.Box, tlsconfig.Certificates, func(l *tlsconfig.CertificateList) {
		l.List = append(l.List, own)
	})
	change(t, b.Box, listener.Section, func(s *listener.Settings) { s.Listeners[0].Certificate = "own" })
	change(t, b.Box, tlsconfig.SSL, func(s *tlsconfig.SSLSettings) {
		s.Inbound = tlsconfig.SSLUse{Method: "tlsv1_0tlsv1_1", Ciphers: "AES256-SHA"}
	})
	for _, protocol := range []string{"-tls1", "-tls1_1"} {
		out, ok := b.startTLS(protocol)
		if !ok || !strings.Contains(out, "subject=CN = in.example.com\n") ||
			!strings.Contains(out, "Cipher is AES256-SHA\n") {
			t.Errorf("with %s:\n%s", protocol, out)
		}
	}
	for _, args := range [][]string{{"-tls1_2"}, {"-tls1_3"}, {"-tls1_1", "-cipher", "AES128-SHA:@SECLEVEL=0"}} {
		if out, ok := b.startTLS(args...); ok {
			t.Errorf("with %v:\n%s", args, out)
		}
	}
}

// TestDeliveriesVerifyServers: mail for a domain that requires a verified certificate arrives if the
// server's is good. If it is not, the log says why, and tlsverify says the same.
func TestDeliveriesVerifyServers(t *testing.T) {
	t.Parallel()
	for kind, reason := range map[string]string{
		"":                             "",
		topology.CertificateExpired:    "certificate has expired",
		topology.CertificateFuture:     "certificate is not yet valid",
		topology.CertificateSelfSigned: "self signed certificate",
		topology.CertificateUnknownCA:  "unable to get local issuer certificate",
		topology.CertificateWrongName:  "hostname mismatch",
	} {
		t.Run("certificate "+kind, func(t *testing.T) {
			t.Parallel()
			b := &clientBox{Box: appliancetest.Start(t), t: t}
			if kind != "" {
				rules, err := b.Faults().MailRules("mail")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := rules.Add(topology.MailRule{
					Action: topology.MailCertificate, Certificate: kind,
				}); err != nil {
					t.Fatal(err)
				}
			}
			change(t, b.Box, delivery.Destinations, func(l *delivery.DestinationList) {
				l.Default.TLS = delivery.TLSRequiredVerify
			})
			seen := make(chan mailevents.ServerTLS, 10)
			defer b.Appliance().Events.Subscribe(func(e events.Event) {
				if f, ok := e.Fields.(mailevents.ServerTLS); ok {
					seen <- f
				}
			})()
			message := []byte("Subject: secret\r\n\r\nHello\r\n")
			err := smtp.SendMail(b.door(), nil, "a@example.net", []string{"b@example.com"}, message)
			if err != nil {
				t.Fatal(err)
			}
			got := <-seen
			out := b.Exec("tlsverify example.com example.com")
			if reason == "" {
				if !got.OK || !got.Verified || !b.next().TLS {
					t.Errorf("the delivery: %+v", got)
				}
				if !strings.Contains(out, "TLS certificate verified.") {
					t.Errorf("tlsverify:\n%s", out)
				}
				return
			}
			if got.OK || got.Reason != "verify error: "+reason {
				t.Errorf("the delivery: %+v, want %q", got, reason)
			}
			if !strings.Contains(out, "Certificate verification failed: "+reason+".") {
				t.Errorf("tlsverify, want %q:\n%s", reason, out)
			}
		})
	}
}

// TestHTTPSFollowsTheConfiguration: the page shows the certificate of the IP interface, and speaks
// the protocols of sslconfig.
func TestHTTPSFollowsTheConfiguration(t *testing.T) {
	t.Parallel()
	b := appliancetest.Start(t)
	shown := func(newest uint16) string {
		t.Helper()
		c, err := tls.Dial("tcp", b.DoorAddrs()["https"].String(), &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: newest,
		})
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		state := c.ConnectionState()
		return tlsconfig.ProtocolName(state.Version) + " " + tlsconfig.CommonName(state.PeerCertificates[0])
	}
	if got := shown(tls.VersionTLS13); got != "TLSv1.2 example.com" {
		t.Errorf("by default: %s", got)
	}
	own, err := tlsconfig.SelfSigned("own", tlsconfig.Request{
		CommonName: "page.example.com", Bits: 2048, Days: 30,
	}, rand.Reader, b.Appliance().Now())
	if err != nil {
		t.Fatal(err)
	}
	change(t, b, tlsconfig.Certificates, func(l *tlsconfig.CertificateList) { l.List = append(l.List, own) })
	change(t, b, netconfig.Interfaces, func(l *netconfig.IPInterfaces) { l.List[0].Certificate = "own" })
	change(t, b, tlsconfig.SSL, func(s *tlsconfig.SSLSettings) { s.GUI.Method = "tlsv1_1" })
	if got := shown(tls.VersionTLS13); got != "TLSv1.1 page.example.com" {
		t.Errorf("as configured: %s", got)
	}
	if got := shown(tls.VersionTLS10); got != "remote error: tls: protocol version not supported" {
		t.Errorf("TLS 1.0: %s", got)
	}
}
