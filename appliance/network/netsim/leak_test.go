package netsim_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// checkLeaks runs f and fails the test if goroutines or much memory remain.
func checkLeaks(t *testing.T, f func()) {
	t.Helper()
	goroutines, heap := measure()
	f()
	// Goroutines that are ending may take a moment.
	for wait := time.Millisecond; ; wait *= 2 {
		g, h := measure()
		if g <= goroutines && h < heap+4<<20 {
			return
		}
		if wait > testTimeout {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and %d KiB more than before\n%s", g-goroutines, int64(h-heap)>>10, stacks[:runtime.Stack(stacks, true)])
		}
		clock.System().Sleep(t.Context(), wait)
	}
}

// measure returns the number of goroutines and of bytes in the heap.
func measure() (goroutines int, heap uint64) {
	runtime.GC()
	runtime.GC() // empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}
