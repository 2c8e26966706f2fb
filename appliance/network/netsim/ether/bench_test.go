package ether_test

import (
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// Small frames through one segment, with and without a tap at each end.
func BenchmarkFrames(b *testing.B) {
	for _, taps := range []string{"without taps", "with taps"} {
		b.Run(taps, func(b *testing.B) {
			fabric := ether.NewFabric(ether.Options{})
			defer fabric.Close()
			lan := fabric.NewSegment("lan")
			const ahead = 1024 // frames under way
			room := make(chan struct{}, ahead)
			from := lan.NewNodePort("from", mac(1), 1500, nil)
			to := lan.NewNodePort("to", mac(2), 1500, func([]byte) { <-room })
			if taps == "with taps" {
				var buf [64]byte
				see := func(_ time.Time, _ network.Direction, frame []byte) { copy(buf[:], frame) }
				defer from.Tap(see)()
				defer to.Tap(see)()
			}
			f := frame(mac(2), mac(1), string(make([]byte, 50)))
			b.ReportAllocs()
			for b.Loop() {
				room <- struct{}{}
				from.Transmit(f)
			}
			if c := from.Counters(); c.TxDropped > 0 {
				b.Errorf("%d frames dropped", c.TxDropped)
			}
		})
	}
}
