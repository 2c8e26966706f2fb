package box_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/esasim/esasim/appliance/network"
)

// TestWatchGoesOnAfterAReset: a watch sees the world after a reset, and ends with the box.
func TestWatchGoesOnAfterAReset(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if b.Cables() != nil {
		t.Error("there are cables before the start")
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	w, err := b.Watch(t.Context(), "google", "icmp")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		ping := network.PingRequest{Dst: netip.MustParseAddr("216.58.194.206")}
		if _, err := b.Appliance().Net.Ping(t.Context(), ping); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			p, err := w.Next(t.Context())
			if err != nil || p.Rebooted != (n == 1 && i == 0) {
				t.Errorf("%+v, %v", p, err)
			}
		}
		if err := b.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if p, err := w.Next(t.Context()); err == nil {
		t.Errorf("after the stop: %+v", p)
	}
}
