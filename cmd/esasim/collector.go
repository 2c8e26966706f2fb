package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// leastGoal is the size of the heap below which there is no garbage collection. The runtime
// otherwise begins at 4 MiB, in the middle of the start, and then collects after every few
// megabytes, and each time it scans the tables of the packet decoder (5 MiB), which are larger than
// the heap of an idle appliance.
const leastGoal = 32 << 20

// The percentages by which the heap may grow between two collections: leastGrowth is the runtime's
// default, and mostGrowth makes the goal of a process without a heap leastGoal.
const (
	leastGrowth = 100
	mostGrowth  = leastGoal / (4 << 20) * leastGrowth
)

// setCollector makes the garbage collector wait for leastGoal. A heap that needs more is collected as
// usual. When the process has become quiet after a collection, unused memory is returned to the
// system. setCollector does nothing if the user has set the collector by an environment variable.
func setCollector() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(mostGrowth)
	r := newReleaser()
	afterCollections(func() {
		debug.SetGCPercent(growth(scannedBytes()))
		r.collected()
	})
}

// growth returns the percentage with which the next collection begins at leastGoal bytes of heap or,
// if that is later, when the heap has doubled. live is what the last collection has left of the
// heap, and roots is the size of stacks and globals, which count towards the growth.
func growth(live, roots uint64) int {
	if live >= leastGoal {
		return leastGrowth
	}
	percent := (leastGoal - live) * 100 / max(live+roots, 1)
	return int(min(max(percent, leastGrowth), mostGrowth))
}

// scannedBytes returns what the last collection found, for growth.
func scannedBytes() (live, roots uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64() + samples[2].Value.Uint64()
}

// afterCollections calls f after each garbage collection, on the runtime's goroutine for finalizers.
func afterCollections(f func()) {
	type sentinel struct{ _ [16]byte }
	var again func(*sentinel)
	again = func(s *sentinel) {
		f()
		runtime.SetFinalizer(s, again)
	}
	runtime.SetFinalizer(new(sentinel), again)
}
