package listener

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"
)

// certificate returns a new certificate of its own authority.
func certificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames: []string{"esa.example.com"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// secureFixture starts a Server whose clients have to use TLS.
func secureFixture(t *testing.T) *fixture {
	b := newFixture(t, func(s *Settings) { s.Listeners[0].Hosts.Default.TLS = ptr(Required) })
	cert := certificate(t)
	b.o.TLS = func(string) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*cert}}, nil
	}
	return b
}

// startTLS says STARTTLS, and extra in the same segment, and makes the connection secure.
func (c *client) startTLS(extra string) {
	c.t.Helper()
	c.send("STARTTLS\r\n" + extra)
	c.expect("220 Go ahead with TLS")
	secure := tls.Client(c.conn, &tls.Config{
		InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	})
	if err := secure.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.in = secure, bufio.NewReader(secure)
}

// TestTLS: with TLS required, mail is taken after STARTTLS only; the Received field and the log
// name the cipher (mail.md 7.22).
func TestTLS(t *testing.T) {
	b := secureFixture(t)
	c := b.dial("192.0.2.9")
	c.say("EHLO mail.example.net", "250-esa.example.com", "250-8BITMIME", "250-SIZE 10485760", "250 STARTTLS")
	c.say("MAIL FROM:<a@example.net>", "530 #5.7.0 Must issue a STARTTLS command first")
	c.startTLS("")
	c.say("EHLO mail.example.net", "250-esa.example.com", "250-8BITMIME", "250 SIZE 10485760")
	c.say("STARTTLS", "500 #5.5.1 command not recognized")
	c.say("MAIL FROM:<a@example.net>", "250 sender <a@example.net> ok")
	c.say("RCPT TO:<b@example.com>", "250 recipient <b@example.com> ok")
	c.say("DATA", "354 go ahead")
	c.say(".", "250 ok:  Message 1 accepted")
	c.quit()
	b.awaitClosed(1)
	if want := "with ESMTP/TLS/ECDHE-ECDSA-AES256-GCM-SHA384; 13 Oct"; !strings.Contains(b.body(1), want) {
		t.Errorf("the message is %q, without %q", b.body(1), want)
	}
	want := strings.Join(append(connected(1),
		"ICID 1 TLS was required but remote host did not initiate it",
		"ICID 1 TLS success protocol TLSv1.2 cipher ECDHE-ECDSA-AES256-GCM-SHA384",
		"Start MID 1 ICID 1"), "\n")
	if got := b.log(); !strings.HasPrefix(got, want) {
		t.Errorf("the mail log has\n%s\nwant\n%s first", got, want)
	}
}

// TestCommandsBeforeTLSAreForgotten: plaintext that an attacker injects after STARTTLS is not taken
// for a command of the client (CVE-2011-0411).
func TestCommandsBeforeTLSAreForgotten(t *testing.T) {
	b := secureFixture(t)
	c := b.dial("192.0.2.9")
	c.say("EHLO x", "250-esa.example.com", "250-8BITMIME", "250-SIZE 10485760", "250 STARTTLS")
	c.startTLS("MAIL FROM:<forged@example.net>\r\n")
	c.say("NOOP", "250 ok")
	c.quit()
}

// TestFailedHandshake: a client that speaks no TLS is told nothing more, and the log says it.
func TestFailedHandshake(t *testing.T) {
	b := secureFixture(t)
	c := b.dial("192.0.2.9")
	c.say("EHLO x", "250-esa.example.com", "250-8BITMIME", "250-SIZE 10485760", "250 STARTTLS")
	c.say("STARTTLS", "220 Go ahead with TLS")
	c.send("this is no TLS\r\n")
	c.conn.Close()
	b.awaitClosed(1)
	b.expectLog(append(connected(1), "ICID 1 TLS failed", "ICID 1 lost", "ICID 1 close")...)
}

// TestTooManyTLSSessions: the limit of connections with TLS has an answer of its own, and a
// connection that ends makes room.
func TestTooManyTLSSessions(t *testing.T) {
	b := newFixture(t, func(s *Settings) {
		s.Listeners[0].Hosts.Default.TLS = ptr(Preferred)
		s.Limits.TLSConnections = 1
	})
	cert := certificate(t)
	b.o.TLS = func(string) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*cert}}, nil
	}
	first := b.dial("192.0.2.9")
	first.startTLS("")
	second := b.dial("192.0.2.10")
	second.say("STARTTLS", "421 #4.4.5 Too many TLS sessions at this time")
	second.closed()
	first.quit()
	b.awaitClosed(1)
	third := b.dial("192.0.2.9")
	third.startTLS("")
	third.quit()
}

// TestWithoutCertificate: a listener without a certificate says so.
func TestWithoutCertificate(t *testing.T) {
	b := newFixture(t, func(s *Settings) { s.Listeners[0].Hosts.Default.TLS = ptr(Preferred) })
	c := b.dial("192.0.2.9")
	c.say("STARTTLS", "454 TLS not available due to a temporary reason")
	c.quit()
}
