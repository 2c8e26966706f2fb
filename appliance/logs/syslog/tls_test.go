package syslog_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/logs/syslog"
)

// newTLSBench is newBench with TLS, and trust in the world's authority.
func newTLSBench(t *testing.T, options string, delay time.Duration) *bench {
	b := newBench(t, "protocol: tls"+options, delay)
	b.set.Protocol, b.set.Server, b.set.Verify = syslog.TLS, "syslog.example.com", true
	b.options.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.44.167.30")}, nil
	}
	b.options.Roots = func() (*x509.CertPool, error) {
		pem, err := b.world.Authority().PEM()
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New("no certificate")
		}
		return pool, nil
	}
	return b
}

func (b *bench) worldTime() { // certificates are of today
	b.options.Clock = nil
}

func TestTLS(t *testing.T) {
	b := newTLSBench(t, "", time.Millisecond)
	b.worldTime()
	b.start()
	b.push("one")
	got := b.await(4)
	if got[3] != "<22>Jun 25 08:50:03 Mails: Info: one" {
		t.Errorf("%q", got)
	}
	b.stop()
	b.eventually("it is closed", func() bool { return b.server.Open() == 0 })
	if c := b.server.Connections(); len(c) != 1 || !c[0].TLS || c[0].End != "client" {
		t.Errorf("%+v", c)
	}
	b.toldNothing()
}

// The certificate must be for the server's name or address, and from a trusted
// authority, if that is to be checked.
func TestCertificates(t *testing.T) {
	failed := "Log Error: Subscription Mails: Failed to connect to syslog.example.com: "
	for _, c := range []struct {
		name, options string
		change        func(*bench)
		want          string // "": it is good
	}{
		{"good", "", func(*bench) {}, ""},
		{"address", "", func(b *bench) { b.set.Server = "10.44.167.30" }, ""},
		{"another name", ", names: other.example.com", func(*bench) {}, failed + "The server's certificate is not for this name"},
		{"unknown authority", ", ca: unknown", func(*bench) {}, failed + "The server's certificate is not from a trusted authority"},
		{"unknown authority, not checked", ", ca: unknown", func(b *bench) { b.set.Verify = false }, ""},
		{"the clock is wrong", "", func(b *bench) { b.options.Clock = b.clock }, failed + "The server's certificate has expired or is not yet valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newTLSBench(t, c.options, 0)
			b.worldTime()
			c.change(b)
			b.start()
			b.push("one")
			if c.want == "" {
				b.await(4)
				b.toldNothing()
			} else {
				b.toldOf(c.want)
			}
		})
	}
}

func TestTheServerDoesNotSpeakTLS(t *testing.T) {
	b := newTLSBench(t, "", 0)
	b.worldTime()
	b.set.Protocol, b.set.Port = syslog.TCP, 0 // the other way round: the server hears no TLS
	b.start()
	b.push("one")
	b.eventually("the server gives up", func() bool { return len(b.told()) == 1 })
	b.toldOf(brokenText)
}

// With TLS too, what was not acknowledged is sent again, and nothing else.
func TestTLSBreak(t *testing.T) {
	b := newTLSBench(t, ", after: 2000 records, then: reset, times: 1", time.Millisecond)
	b.worldTime()
	b.set.Buffer, b.options.Dir = 100<<20, t.TempDir()
	b.start()
	const n = 10000
	for i := range n {
		b.push("number %d", i)
	}
	b.eventually("the queue is sent", func() bool { return b.Stats().Waiting == 0 })
	got := numbers(t, b.server.Records())
	b.eventually("the last is there", func() bool {
		got = numbers(t, b.server.Records())
		return len(got) > 0 && got[len(got)-1] == n-1
	})
	gaps := 0
	for i := 1; i < len(got); i++ {
		switch d := got[i] - got[i-1]; {
		case d < 1:
			t.Fatalf("%d comes after %d", got[i], got[i-1])
		case d > 1:
			gaps++
			if lost := d - 1; lost > b.Stats().LastInDoubt {
				t.Errorf("%d records are lost, the bound is %d", lost, b.Stats().LastInDoubt)
			}
		}
	}
	if gaps > 1 {
		t.Errorf("%d gaps", gaps)
	}
}
