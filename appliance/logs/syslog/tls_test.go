package syslog_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/network"
)

// newTLSHarness is newHarness with TLS. The pusher trusts the world's authority.
func newTLSHarness(t *testing.T, options string, delay time.Duration) *harness {
	h := newHarness(t, "protocol: tls"+options, delay)
	h.settings.Protocol, h.settings.Server, h.settings.Verify = syslog.TLS, "syslog.example.com",
		true
	h.options.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.44.167.30")}, nil
	}
	h.options.Roots = func() (*x509.CertPool, error) {
		pem, err := h.world.Authority().PEM()
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New("no certificate")
		}
		return pool, nil
	}
	return h
}

// useSystemClock makes the pusher use the machine's clock, as certificates are made by that.
func (h *harness) useSystemClock() { h.options.Clock = nil }

func TestTLS(t *testing.T) {
	h := newTLSHarness(t, "", time.Millisecond)
	h.useSystemClock()
	h.start()
	h.push("one")
	got := h.waitRecords(4)
	if got[3] != "<22>Jun 25 08:50:03 Mails: Info: one" {
		t.Errorf("%q", got)
	}
	h.stop()
	h.eventually("the connection is closed", func() bool { return h.server.Open() == 0 })
	if c := h.server.Connections(); len(c) != 1 || !c[0].TLS || c[0].End != "client" {
		t.Errorf("%+v", c)
	}
	h.wantNoEvents()
}

// If Verify is set, the certificate must be for the server's name or address, and from a trusted
// authority.
func TestCertificateVerification(t *testing.T) {
	failed := "Log Error: Subscription Mails: Failed to connect to syslog.example.com: "
	for _, c := range []struct {
		name, options string
		change        func(*harness)
		want          string // event; "": the certificate is accepted
	}{
		{"good", "", func(*harness) {}, ""},
		{"address", "", func(h *harness) { h.settings.Server = "10.44.167.30" }, ""},
		{"another name", ", names: other.example.com",
			func(*harness) {}, failed + "The server's certificate is not for this name"},
		{"unknown authority", ", ca: unknown", func(*harness) {}, failed +
			"The server's certificate is not from a trusted authority"},
		{"unknown authority, not checked",
			", ca: unknown", func(h *harness) { h.settings.Verify = false }, ""},
		{"the clock is wrong", "", func(h *harness) { h.options.Clock = h.clock }, failed +
			"The server's certificate has expired or is not yet valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newTLSHarness(t, c.options, 0)
			h.useSystemClock()
			c.change(h)
			h.start()
			h.push("one")
			if c.want == "" {
				h.waitRecords(4)
				h.wantNoEvents()
			} else {
				h.wantEvents(c.want)
			}
		})
	}
}

func TestPlainRecordsToTLSServer(t *testing.T) {
	h := newTLSHarness(t, "", 0)
	h.useSystemClock()
	h.settings.Protocol, h.settings.Port = syslog.TCP, 0
	h.start()
	h.push("one")
	h.eventually("the server closes the connection",
		func() bool { return len(h.eventTexts()) == 1 })
	h.wantEvents(brokenText)
}

// With TLS too, records that were not acknowledged are sent again, and no others.
func TestTLSBreak(t *testing.T) {
	h := newTLSHarness(t, ", after: 2000 records, then: reset, times: 1", time.Millisecond)
	h.useSystemClock()
	h.settings.Buffer, h.options.Dir = 100<<20, t.TempDir()
	h.start()
	const n = 10000
	for i := range n {
		h.push("number %d", i)
	}
	h.eventually("the queue is sent", func() bool { return h.Stats().Waiting == 0 })
	got := numbers(t, h.server.Records())
	h.eventually("the last record has arrived", func() bool {
		got = numbers(t, h.server.Records())
		return len(got) > 0 && got[len(got)-1] == n-1
	})
	gaps := 0
	for i := 1; i < len(got); i++ {
		switch d := got[i] - got[i-1]; {
		case d < 1:
			t.Fatalf("%d comes after %d", got[i], got[i-1])
		case d > 1:
			gaps++
			if lost := d - 1; lost > h.Stats().LastInDoubt {
				t.Errorf("%d records are lost, the bound is %d", lost, h.Stats().LastInDoubt)
			}
		}
	}
	if gaps > 1 {
		t.Errorf("%d gaps", gaps)
	}
}

// A machineNetwork is the machine's own network, as far as a Pusher needs one.
type machineNetwork struct{ network.Transport }

func (machineNetwork) Dial(ctx context.Context, c network.DialConfig) (network.Conn, error) {
	var d net.Dialer
	n, err := d.DialContext(ctx, "tcp", c.Remote.String())
	if err != nil {
		return nil, err
	}
	return machineConn{n.(*net.TCPConn)}, nil
}

type machineConn struct{ *net.TCPConn }

func (c machineConn) Abort() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// Everything that was written counts as acknowledged, which is the worst case for the pusher.
func (machineConn) Acknowledged() int64                            { return 1 << 40 }
func (machineConn) AwaitAcknowledged(context.Context, int64) error { return nil }

// startTLSServer starts a TLS server on the loopback interface, and returns its port and the lines
// that it receives. An error of a handshake ends the connection only.
func startTLSServer(t *testing.T, h *harness, change func(*tls.Config)) (uint16, <-chan string) {
	t.Helper()
	cert, err := h.world.Authority().Certify([]string{"syslog.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{*cert}}
	change(config)
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				for s := bufio.NewScanner(c); s.Scan(); {
					lines <- s.Text()
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		h.stop()
		serving.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String()).Port(), lines
}

// A server that refuses the session after the client's handshake gets nothing of the queue, and the
// reason is reported once. Attempts become rarer. When the server accepts, nothing is missing.
func TestTLSSessionRefused(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			h := newTLSHarness(t, "", 0)
			h.settings.Server, h.settings.Verify = "127.0.0.1", false
			h.options.Net = machineNetwork{}
			h.options.RefusalTimeout = testTimeout
			var attempts atomic.Int32
			var accepts atomic.Bool
			var lines <-chan string
			h.settings.Port, lines = startTLSServer(t, h, func(c *tls.Config) {
				c.MinVersion, c.MaxVersion = version, version
				strict := c.Clone()
				strict.ClientAuth = tls.RequireAnyClientCert
				permissive := c.Clone()
				c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
					attempts.Add(1)
					if accepts.Load() {
						return permissive, nil
					}
					return strict, nil
				}
			})
			h.start()
			h.push("one")
			h.push("two")
			reason := "certificate required"
			if version == tls.VersionTLS12 {
				reason = "handshake failure"
			}
			failed := "Log Error: Subscription Mails: Failed to connect to 127.0.0.1: " +
				"The server refuses the TLS session: " + reason
			h.wantEvents(failed)
			h.advanceUntil("three attempts", func() bool { return attempts.Load() >= 3 })
			if s := h.Stats(); s.Waiting != 2 || s.Sent != 0 || s.Lost != 0 || s.InDoubt != 0 {
				t.Errorf("%+v", s)
			}
			accepts.Store(true)
			var got []string
			h.advanceUntil("all lines have arrived", func() bool {
				select {
				case line := <-lines:
					got = append(got, line)
				default:
				}
				return len(got) == 5
			})
			if got[3] != "<22>Jun 25 08:50:03 Mails: Info: one" ||
				got[4] != "<22>Jun 25 08:50:03 Mails: Info: two" {
				t.Errorf("%q", got)
			}
			h.wantEvents(failed)
		})
	}
}

// A server that accepts the session and never sends anything gets the records, too.
func TestTLSServerWithoutTickets(t *testing.T) {
	h := newTLSHarness(t, "", 0)
	h.settings.Server, h.settings.Verify = "127.0.0.1", false
	h.options.Net = machineNetwork{}
	h.options.RefusalTimeout = time.Millisecond
	var lines <-chan string
	h.settings.Port, lines = startTLSServer(t, h, func(c *tls.Config) {
		c.MinVersion, c.SessionTicketsDisabled = tls.VersionTLS13, true
	})
	h.start()
	h.push("one")
	for range 3 {
		<-lines
	}
	if got := <-lines; got != "<22>Jun 25 08:50:03 Mails: Info: one" {
		t.Errorf("%q", got)
	}
}
