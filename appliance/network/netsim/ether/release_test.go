package ether_test

import (
	"testing"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// pair returns two nodes of a segment. Each call of receive gets what the second has received.
func pair(t *testing.T, receive func(string)) (*ether.Fabric, *ether.Port) {
	t.Helper()
	f := newFabric(t)
	lan := f.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, func([]byte) {})
	lan.NewNodePort("b", mac(2), 1500, func(frame []byte) { receive(string(frame[14:])) })
	return f, a
}

func TestReleaseHandlesFramesOnTheCallersGoroutine(t *testing.T) {
	got := "" // without a lock: the race detector finds another goroutine
	f, a := pair(t, func(s string) { got += s })
	f.Hold()
	a.Transmit(frame(mac(2), mac(1), "one "))
	a.Transmit(frame(mac(2), mac(1), "two"))
	if got != "" {
		t.Errorf("received %q before Release", got)
	}
	f.Release()
	if got != "one two" {
		t.Errorf("received %q, want both frames", got)
	}
}

func TestReleaseLeavesAnEndlessQueueToThePump(t *testing.T) {
	done := make(chan bool)
	n := 0
	var a *ether.Port
	var f *ether.Fabric
	f, a = pair(t, func(string) {
		if n++; n == 1000 {
			close(done)
		} else if n < 1000 {
			a.Transmit(frame(mac(2), mac(1), "again"))
		}
	})
	f.Hold()
	a.Transmit(frame(mac(2), mac(1), "first"))
	f.Release()
	<-done
}

func TestDeferredFunctionsFollowTheFrames(t *testing.T) {
	got := ""
	f, a := pair(t, func(s string) { got += s })
	f.Hold()
	f.Defer(func() {
		got += " deferred"
		f.Hold()
		a.Transmit(frame(mac(2), mac(1), " nested"))
		f.Release()
	})
	a.Transmit(frame(mac(2), mac(1), "one"))
	f.Release()
	if got != "one deferred nested" {
		t.Errorf("got %q", got)
	}
	called := make(chan bool)
	f.Defer(func() { close(called) }) // the pump calls it
	<-called
	f.Close()
	f.Defer(func() { t.Error("a function was called after Close") })
	f.Hold()
	f.Release()
}
