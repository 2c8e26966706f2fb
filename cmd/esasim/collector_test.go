package main

import (
	"runtime"
	"testing"
)

func TestGrowth(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		live, roots uint64
		want        int
	}{
		{0, 0, mostGrowth},
		{3 * mib, 5 * mib, 362}, // the goal is 3 MiB + 362 % of 8 MiB
		{16 * mib, 0, 100},
		{20 * mib, 6 * mib, 100},
		{leastGoal, 0, 100},
		{1 << 40, 1 << 30, 100},
	} {
		if got := growth(test.live, test.roots); got != test.want {
			t.Errorf("growth(%d, %d) = %d, want %d", test.live, test.roots, got, test.want)
		}
	}
}

func TestAfterCollections(t *testing.T) {
	called := make(chan bool, 100)
	done := make(chan bool)
	afterCollections(func() {
		select {
		case called <- true:
		case <-done:
		}
	})
	defer close(done)
	for range 3 { // it is armed again each time
		runtime.GC()
		<-called
	}
}
