package ether_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// burst transmits n frames of 1250 bytes, which take 1 ms at 10 Mb/s, in both directions at
// once and returns the time until all have arrived.
func burst(t *testing.T, a, b *ether.Port, in inbox, n int) time.Duration {
	t.Helper()
	text := string(make([]byte, 1236))
	m := clock.System().Mark()
	for range n {
		a.Transmit(frame(b.MAC(), a.MAC(), text))
		b.Transmit(frame(a.MAC(), b.MAC(), text))
	}
	for range 2 * n {
		in.next(t)
	}
	return clock.System().Since(m)
}

func TestMediaLimitsTheRate(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 100)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	b := lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	for _, c := range []struct {
		m     network.Media
		least time.Duration
	}{
		{network.Media{Rate: 10_000_000}, 20 * time.Millisecond},
		{network.Media{Rate: 10_000_000, HalfDuplex: true}, 40 * time.Millisecond},
		{network.Media{Rate: 100_000_000}, 2 * time.Millisecond},
		{network.Media{}, 0},
	} {
		a.SetMedia(c.m)
		if d := burst(t, a, b, in, 20); d < c.least {
			t.Errorf("%+v: 20 frames each way took %v, want %v at least", c.m, d, c.least)
		}
	}
}

// Taps are shown a frame when it has been sent, not when it was handed to the port.
func TestSlowPortShowsFramesWhenTheyAreSent(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 10)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	a.SetMedia(network.Media{Rate: 10_000_000})
	stamps := make(chan time.Time, 3)
	defer a.Tap(func(at time.Time, _ network.Direction, _ []byte) { stamps <- at })()
	start := clock.System().Now()
	for range 3 {
		a.Transmit(frame(mac(2), mac(1), string(make([]byte, 1236))))
	}
	for i := range 3 {
		in.next(t)
		if d, least := (<-stamps).Sub(start), time.Duration(i+1)*time.Millisecond; d < least {
			t.Errorf("frame %d was sent after %v, want %v at least", i, d, least)
		}
	}
}

func TestMediaAndImpairmentAddUp(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 100)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	b := lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	slow, late := network.Media{Rate: 10_000_000}, ether.Impairment{Delay: 30 * time.Millisecond}
	least := func(what string, want time.Duration) {
		t.Helper()
		if d := burst(t, a, b, in, 10); d < want {
			t.Errorf("%s: 10 frames each way took %v, want %v at least", what, d, want)
		}
	}
	a.SetMedia(slow)
	a.SetImpairment(late)
	least("both", 40*time.Millisecond)
	a.SetMedia(network.Media{})
	least("the impairment alone", 30*time.Millisecond)
	a.SetMedia(slow)
	a.SetImpairment(ether.Impairment{})
	least("the medium alone", 10*time.Millisecond)
}

func TestQueueOfSlowPortIsBounded(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 1000)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	a.SetMedia(network.Media{Rate: 10_000_000})
	hold, held := make(chan struct{}), make(chan struct{})
	fabric.After(0, func() { close(held); <-hold })
	<-held
	const sent = 400 // half a megabyte
	for i := range sent {
		a.Transmit(frame(mac(2), mac(1), fmt.Sprint(i, string(make([]byte, 1230)))))
	}
	close(hold)
	for c := a.Counters(); c.TxPackets+c.TxDropped < sent; c = a.Counters() {
		in.next(t)
	}
	if c := a.Counters(); c.TxPackets < 200 || c.TxDropped < 50 {
		t.Errorf("a counts %+v, want about half of the frames dropped", c)
	}
}
