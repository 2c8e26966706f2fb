package box_test

import (
	"context"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
)

// At a clock rate of 60 the appliance writes a status line each second of the clock below, and its
// time can be set and advanced.
func TestClockRate(t *testing.T) {
	noon := time.Date(2015, 6, 25, 12, 0, 0, 0, time.UTC)
	below := clock.NewFake(noon)
	b, err := box.New(box.Options{
		Topology: lab(t), Dir: t.TempDir(), NoDoors: true, Clock: below, ClockRate: 60,
		HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background()) //nolint:errcheck // the test is about time
	below.Advance(10 * time.Second)
	if got := b.Now(); !got.Equal(noon.Add(10 * time.Minute)) {
		t.Errorf("ten seconds later it is %v, want ten minutes past noon", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	follower, err := b.Appliance().Logs.Follow(ctx, "status", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for strings.Count(text.String(), "Info: Status:") < 10 {
		lines, err := follower.Next(ctx)
		if err != nil {
			t.Fatalf("%v after the status lines %q", err, &text)
		}
		text.Write(lines)
	}
	if err := b.World().StopServer("time/ntp"); err != nil { // it would correct the clock
		t.Fatal(err)
	}
	if err := b.SetTime(noon); err != nil {
		t.Fatal(err)
	}
	if err := b.Advance(2 * time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := b.Now(); !got.Equal(noon.Add(2*time.Hour)) || !below.Now().Equal(noon.Add(130*time.Second)) {
		t.Errorf("two hours after noon was set it is %v; the clock below shows %v", got, below.Now())
	}
}

func TestClockRateOutOfRange(t *testing.T) {
	for _, rate := range []int{-1, box.MaxClockRate + 1} {
		_, err := box.New(box.Options{
			Topology: lab(t), Dir: t.TempDir(), ClockRate: rate,
			HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		})
		if err == nil || !strings.Contains(err.Error(), "expected 1 to 3600") {
			t.Errorf("rate %d: %v", rate, err)
		}
	}
}
