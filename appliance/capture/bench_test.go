package capture_test

import (
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/product"
)

// benchRecorder starts a capture with the filter "tcp port 25" that keeps the newest 200 MB on
// the machine's disk.
func benchRecorder(b *testing.B) (*fakeNetwork, *capture.Recorder) {
	store, err := files.Open(b.TempDir(), 0, clock.System())
	if err != nil {
		b.Fatal(err)
	}
	w := newFakeNetwork()
	r := capture.New(capture.Options{
		Net: w, Files: store, Clock: clock.System(), Product: product.Facts{Model: "C100V", Serial: "1"},
		Factory: capture.Settings{
			SizeMB: capture.MaxSizeMB, KeepNewest: true, Interfaces: []string{"Data 1"},
			Filter: capture.Filter{Kind: capture.Custom, Expression: "tcp port 25"},
		},
	})
	b.Cleanup(func() {
		r.Close()
		store.Close()
	})
	if _, err := r.Start(b.Context(), capture.Owner{}); err != nil {
		b.Fatal(err)
	}
	return w, r
}

// BenchmarkTapPaced sends 500,000 frames of 64 bytes in one second. Every frame matches the
// filter and is written. The benchmark fails if one is dropped.
func BenchmarkTapPaced(b *testing.B) {
	w, r := benchRecorder(b)
	f := frame(25, 1, 64)
	const perSecond, steps = 500_000, 100
	sent := uint64(0)
	clk := clock.System()
	for b.Loop() {
		began := clk.Mark()
		for step := range steps {
			for range perSecond / steps {
				w.send("Data 1", f)
			}
			sent += perSecond / steps
			if rest := time.Duration(step+1)*time.Second/steps - clk.Since(began); rest > 0 {
				_ = clk.Sleep(b.Context(), rest)
			}
		}
	}
	s := r.Status(capture.CLI)
	b.ReportMetric(float64(s.Packets)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(s.Dropped), "dropped")
	if s.Dropped > 0 || s.Packets != sent {
		b.Errorf("%d of %d frames were written, %d were dropped", s.Packets, sent, s.Dropped)
	}
}

// BenchmarkTap measures the work that a tap adds to each frame: filter and copy.
func BenchmarkTap(b *testing.B) {
	for name, port := range map[string]uint16{"kept": 25, "filtered": 26} {
		b.Run(name, func(b *testing.B) {
			w, r := benchRecorder(b)
			f := frame(port, 1, 64)
			b.ReportAllocs()
			for b.Loop() {
				w.send("Data 1", f)
			}
			b.ReportMetric(float64(r.Status(capture.CLI).Dropped)/float64(b.N), "dropped/frame")
		})
	}
}
