package vnet_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network"
)

// Datagrams that a socket sends while its neighbor's MAC is being learned arrive in the order
// in which they were sent.
func TestDatagramsKeepTheirOrder(t *testing.T) {
	p := newPair(t, false)
	to := netip.AddrPortFrom(addrB, 514)
	in, err := p.b.ListenPacket(t.Context(), network.DialConfig{Local: to})
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.a.ListenPacket(t.Context(), network.DialConfig{Remote: to})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	const rounds, burst = 300, 8
	buf := make([]byte, 1)
	for round := range rounds {
		if _, err := p.a.FlushNeighbors(); err != nil {
			t.Fatal(err)
		}
		for i := range burst {
			if _, err := out.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range burst {
			if _, err := in.Read(buf); err != nil || int(buf[0]) != i {
				t.Fatalf("round %d: datagram %d (%v) instead of %d", round, buf[0], err, i)
			}
		}
	}
}
