package vnet_test

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/esasim/esasim/appliance/network"
)

// A listener that serves handles one connection after the other, the first of which may have come
// before, and none after Close.
func TestServe(t *testing.T) {
	p := newPair(t, false)
	at := netip.AddrPortFrom(addrB, 25)
	ln, err := p.b.Listen(t.Context(), network.ListenConfig{Addr: at, Backlog: 5})
	if err != nil {
		t.Fatal(err)
	}
	dial := func() network.Conn {
		t.Helper()
		c, err := p.a.Dial(t.Context(), network.DialConfig{Remote: at})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Abort)
		return c
	}
	dial() // before Serve is called
	var running, handled atomic.Int32
	done := make(chan struct{})
	release := make(chan struct{})
	wait := ln.(network.Server).Serve(func(c network.Conn) {
		defer c.Abort()
		if running.Add(1) != 1 {
			t.Error("two connections are handled at a time")
		}
		<-release
		running.Add(-1)
		handled.Add(1)
		done <- struct{}{}
	})
	for range 3 {
		dial()
	}
	close(release)
	for range 4 {
		<-done
	}
	for range 20 { // one at a time, so that the goroutine ends in between
		dial()
		<-done
	}
	ln.Close()
	wait()
	if got := handled.Load(); got != 24 {
		t.Errorf("%d connections were handled, want 24", got)
	}
}
