package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

const (
	// quietInterval is the time over which a process must have been quiet before it returns memory.
	quietInterval = time.Second
	// quietShare is the part of one processor that a quiet process uses at most: one of so many.
	quietShare = 50
	// releaseShare bounds the processor time for returning memory: one of so many parts of the time.
	releaseShare = 100
	// leastRelease is the number of bytes for which memory is returned, and leastReleaseShare the
	// part of the heap: one of so many.
	leastRelease      = 4 << 20
	leastReleaseShare = 16
)

// A releaser returns memory to the system once after a burst of work. The runtime keeps the memory of
// garbage for the next burst: without a releaser, a third of the memory of a process with 1,000 idle
// sessions is unused, and stays so.
//
// A garbage collection makes the releaser look at the process every quietInterval, until the process
// is quiet. Then it returns memory, if there is enough, and does nothing until the next collection.
// It takes at most a hundredth of one processor: after a release that has taken long, the next one
// waits.
type releaser struct {
	clock     clock.Clock
	processor func() (used time.Duration, ok bool) // the processor time of the process
	heap      func() heapUse
	release   func() // collects garbage and returns memory

	mu       sync.Mutex // a leaf
	watching bool       // a timer is set, or release is running

	next clock.Mark // the time of the next release at the earliest; used by the timer's function
}

// heapUse describes the heap, in bytes.
type heapUse struct {
	used   uint64 // by objects, garbage among them
	unused uint64 // by garbage and by memory that could be returned; objects made lately count, too
}

func newReleaser() *releaser {
	return &releaser{
		clock: clock.System(), processor: processorTime, heap: currentHeapUse,
		release: releaseMemory,
	}
}

// releaseMemory collects garbage twice, because one collection halves a stack at most once and keeps
// what lies in pools, and returns memory to the system.
func releaseMemory() {
	runtime.GC()
	debug.FreeOSMemory()
}

// collected is called after each garbage collection.
func (r *releaser) collected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.watching {
		r.watching = true
		r.watch(0)
	}
}

// watch waits, and then looks at what the process uses during quietInterval. If the system does not
// tell that, memory is never returned.
func (r *releaser) watch(wait time.Duration) {
	r.clock.AfterFunc(wait, func() {
		if before, ok := r.processor(); ok {
			r.clock.AfterFunc(quietInterval, func() { r.look(before) })
		}
	})
}

// look returns memory if the process is quiet, or looks again later. The process has used the
// processor for the time before when quietInterval began.
func (r *releaser) look(before time.Duration) {
	used, _ := r.processor()
	wait := time.Duration(r.next - r.clock.Mark())
	if used-before > quietInterval/quietShare || wait > 0 {
		r.watch(max(wait, 0))
		return
	}
	if h := r.heap(); h.unused >= max(leastRelease, h.used/leastReleaseShare) {
		r.release()
		after, _ := r.processor()
		r.next = r.clock.Mark() + clock.Mark(releaseShare*(after-used))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watching = false
}

// currentHeapUse returns the present state of the heap.
func currentHeapUse() heapUse {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	objects, free, live := samples[0].Value.Uint64(), samples[1].Value.Uint64(),
		samples[2].Value.Uint64()
	return heapUse{used: objects, unused: free + objects - min(live, objects)}
}
