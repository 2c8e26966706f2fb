package vnet_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// manySockets opens connections of a host to itself, each of which has two sockets. The last
// waiting connections are not accepted.
func manySockets(tb testing.TB, h *vnet.Host, connections, waiting int) {
	tb.Helper()
	service := netip.AddrPortFrom(addrA, 25)
	l, err := h.Listen(tb.Context(), network.ListenConfig{
		Addr: service, Backlog: max(waiting, 50),
	})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range connections {
		if _, err := h.Dial(tb.Context(), network.DialConfig{Remote: service}); err != nil {
			tb.Fatal(err)
		}
		if i < connections-waiting {
			if _, err := l.AcceptConn(); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// BenchmarkSockets measures the list of 10,000 sockets that netstat prints.
func BenchmarkSockets(b *testing.B) {
	for _, bench := range []struct {
		name    string
		waiting int
	}{{"accepted", 0}, {"1000 waiting", 1000}} {
		b.Run(bench.name, func(b *testing.B) {
			p := newPair(b, false)
			manySockets(b, p.a, 5000, bench.waiting)
			for b.Loop() {
				if rows, err := p.a.Sockets(); err != nil || len(rows) < 10000 {
					b.Fatal(len(rows), err)
				}
			}
		})
	}
}

// What many connections have left is forgotten, even if no other connections follow.
func TestClosedSocketsAreForgotten(t *testing.T) {
	p := newPair(t, false)
	if err := p.a.ForgetSockets(10 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	service := netip.AddrPortFrom(addrA, 25)
	l, err := p.a.Listen(t.Context(), network.ListenConfig{Addr: service})
	if err != nil {
		t.Fatal(err)
	}
	before := p.a.KeptSockets()
	for range 200 {
		c, err := p.a.Dial(t.Context(), network.DialConfig{Remote: service})
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		s.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for p.a.KeptSockets() != before {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			t.Fatalf("%d sockets are kept, want %d", p.a.KeptSockets(), before)
		}
	}
}

// Sockets are listed in the order in which they were opened, whichever is connected first.
func TestSocketsAreListedAsTheyWereOpened(t *testing.T) {
	p := newPair(t, false)
	service := netip.AddrPortFrom(addrA, 25)
	if _, err := p.a.Listen(t.Context(), network.ListenConfig{Addr: service}); err != nil {
		t.Fatal(err)
	}
	var dials []*vnet.PendingDial
	for port := range uint16(3) {
		d, err := p.a.NewDial(network.DialConfig{
			Local: netip.AddrPortFrom(addrA, 10256+port), Remote: service,
		})
		if err != nil {
			t.Fatal(err)
		}
		dials = append(dials, d)
	}
	for i := range dials {
		if _, err := dials[len(dials)-1-i].Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := p.a.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	next := uint16(10256)
	for _, r := range rows {
		if r.Remote == service && r.Local.Port() != next {
			t.Errorf("port %d is listed instead of %d", r.Local.Port(), next)
		}
		if r.Remote == service {
			next++
		}
	}
	if next != 10256+3 {
		t.Errorf("%d connections are listed", next-10256)
	}
}

// A flood of short connections leaves a bounded number of sockets behind: TIME-WAIT becomes brief.
func TestFloodOfConnectionsLeavesFewSockets(t *testing.T) {
	p := newPair(t, false)
	p.a.SetBriefTimeWait(time.Millisecond)
	service := netip.AddrPortFrom(addrA, 25)
	l, err := p.a.Listen(t.Context(), network.ListenConfig{Addr: service})
	if err != nil {
		t.Fatal(err)
	}
	before, most := p.a.KeptSockets(), 0
	for range 5 * vnet.MaxClosed {
		c, err := p.a.Dial(t.Context(), network.DialConfig{Remote: service})
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		s.Close()
		most = max(most, p.a.KeptSockets()-before)
	}
	// Each connection has two sockets here, and KeptSockets counts each in two lists. As many as
	// MaxClosed stay for the whole time, as many may wait for the next sweep.
	if most > 3*2*vnet.MaxClosed {
		t.Errorf("up to %d sockets were kept", most)
	}
}
