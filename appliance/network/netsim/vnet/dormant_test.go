package vnet_test

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// The first SYN starts the server, which then accepts that connection and later ones.
func TestFirstSYNStartsServer(t *testing.T) {
	p := newPair(t, false)
	at := netip.AddrPortFrom(addrB, 80)
	started := make(chan network.Listener, 1)
	defer p.b.OnFirstPacket([]netip.AddrPort{at}, func() {
		l, err := p.b.Listen(t.Context(), network.ListenConfig{Addr: at})
		if err != nil {
			t.Error(err)
		}
		started <- l
	})()
	if l, err := p.b.Listen(t.Context(), network.ListenConfig{Addr: at}); err != nil {
		t.Errorf("the address is taken before a client has come: %v", err)
	} else {
		l.Close()
	}
	for range 2 {
		c, err := p.a.Dial(t.Context(), network.DialConfig{Remote: at})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Abort()
	}
	l := <-started
	defer l.Close()
	for range 2 {
		c, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		c.Abort()
	}
}

// Datagrams that arrive while the server is started keep their order, and none is lost.
func TestFirstDatagramStartsServer(t *testing.T) {
	p := newPair(t, false)
	at := netip.AddrPortFrom(addrB, 514)
	var starts atomic.Int32
	started := make(chan network.PacketConn, 1)
	defer p.b.OnFirstPacket([]netip.AddrPort{at}, func() {
		starts.Add(1)
		c, err := p.b.ListenPacket(t.Context(), network.DialConfig{Local: at})
		if err != nil {
			t.Error(err)
		}
		started <- c
	})()
	c, err := p.a.ListenPacket(t.Context(), network.DialConfig{Remote: at})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const datagrams = 50
	for n := range datagrams {
		if _, err := c.Write(fmt.Append(nil, n)); err != nil {
			t.Fatal(err)
		}
	}
	server := <-started
	defer server.Close()
	buf := make([]byte, 10)
	for n := range datagrams {
		if err := server.SetReadDeadline(clock.System().Now().Add(timeout)); err != nil {
			t.Fatal(err)
		}
		if size, _, err := server.ReadFrom(buf); err != nil || string(buf[:size]) != fmt.Sprint(n) {
			t.Fatalf("datagram %d is %q, %v", n, buf[:size], err)
		}
	}
	if starts.Load() != 1 {
		t.Errorf("the server was started %d times", starts.Load())
	}
}

// Connections are refused after cancel, and if start opens no socket.
func TestServerThatDoesNotStart(t *testing.T) {
	p := newPair(t, false)
	at, other := netip.AddrPortFrom(addrB, 80), netip.AddrPortFrom(addrB, 81)
	var starts, cancelled atomic.Int32
	defer p.b.OnFirstPacket([]netip.AddrPort{at}, func() { starts.Add(1) })()
	p.b.OnFirstPacket([]netip.AddrPort{other}, func() { cancelled.Add(1) })()
	for _, to := range []netip.AddrPort{at, at, other} {
		if c, err := p.a.Dial(t.Context(), network.DialConfig{Remote: to}); err == nil {
			c.Abort()
			t.Errorf("there is a connection to %v", to)
		} else if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v: %v, want it refused", to, err)
		}
	}
	if starts.Load() != 1 || cancelled.Load() != 0 {
		t.Errorf("%d starts, %d after cancel, want 1 and 0", starts.Load(), cancelled.Load())
	}
}
