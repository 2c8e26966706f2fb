package wan_test

import (
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// BenchmarkForward measures one full-sized segment at a time through three routers.
func BenchmarkForward(b *testing.B) {
	l := newLab(b, wan.Path{
		To:   prefix("216.58.194.0/24"),
		Hops: []wan.Hop{hop("198.51.100.1"), hop("198.51.100.2"), hop("198.51.100.3")},
	})
	l.exchangeMACs()
	var frame []byte
	remove := l.near.port.AllowOnly(func(_ network.Direction, f []byte) bool {
		frame = append(frame[:0], f...)
		return true
	})
	l.near.send(
		ip{src: near4, dst: far4},
		&layers.TCP{SrcPort: 1, DstPort: 25, ACK: true},
		gopacket.Payload(make([]byte, 1400)),
	)
	l.far.next()
	remove()
	arrived := make(chan struct{}, 1)
	l.far.port.AllowOnly(func(network.Direction, []byte) bool {
		arrived <- struct{}{}
		return false
	})
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		l.near.port.Transmit(frame)
		<-arrived
	}
}
