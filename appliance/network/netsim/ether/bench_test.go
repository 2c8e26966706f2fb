package ether_test

import (
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// BenchmarkFrames measures small frames through one segment, with and without a tap at
// each end.
func BenchmarkFrames(b *testing.B) {
	for _, taps := range []string{"without taps", "with taps"} {
		b.Run(taps, func(b *testing.B) {
			fabric := ether.NewFabric(ether.Options{})
			defer fabric.Close()
			lan := fabric.NewSegment("lan")
			const maxInFlight = 1024
			inFlight := make(chan struct{}, maxInFlight)
			from := lan.NewNodePort("from", mac(1), 1500, nil)
			to := lan.NewNodePort("to", mac(2), 1500, func([]byte) { <-inFlight })
			if taps == "with taps" {
				var buf [64]byte
				show := func(_ time.Time, _ network.Direction, frame []byte) { copy(buf[:], frame) }
				defer from.Tap(show)()
				defer to.Tap(show)()
			}
			f := frame(mac(2), mac(1), string(make([]byte, 50)))
			b.ReportAllocs()
			for b.Loop() {
				inFlight <- struct{}{}
				from.Transmit(f)
			}
			if c := from.Counters(); c.TxDropped > 0 {
				b.Errorf("%d frames dropped", c.TxDropped)
			}
		})
	}
}
