package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A releaseTest is a process whose releaser is tested.
type releaseTest struct {
	*releaser
	clock    *clock.Fake
	used     time.Duration // processor time
	state    heapUse
	cost     time.Duration // of a release
	releases int
}

func newReleaseTest() *releaseTest {
	p := &releaseTest{
		clock: clock.NewFake(time.Unix(0, 0)),
		state: heapUse{used: 100 << 20, unused: 50 << 20}, cost: 50 * time.Millisecond,
	}
	p.releaser = &releaser{
		clock:     p.clock,
		processor: func() (time.Duration, bool) { return p.used, true },
		heap:      func() heapUse { return p.state },
		release:   func() { p.releases++; p.used += p.cost; p.state.unused = 0 },
	}
	return p
}

// work lets time pass in which the process uses a part of one processor.
func (p *releaseTest) work(seconds, percent int) {
	for range seconds * 10 {
		p.used += time.Second / 10 * time.Duration(percent) / 100
		p.clock.Advance(time.Second / 10)
	}
}

func TestReleaseWaitsForQuiet(t *testing.T) {
	p := newReleaseTest()
	p.work(10, 0)
	if p.releases != 0 {
		t.Error("memory was returned before the first garbage collection")
	}
	p.collected()
	p.work(60, 5)
	if p.releases != 0 {
		t.Error("memory was returned while the process worked")
	}
	p.work(3, 1)
	if p.releases != 1 {
		t.Errorf("the process was quiet: memory was returned %d times, expected 1", p.releases)
	}
	p.state.unused = 50 << 20
	p.work(600, 1)
	if p.releases != 1 {
		t.Error("memory was returned again without a garbage collection")
	}
}

func TestReleaseIsWorthIt(t *testing.T) {
	for _, test := range []struct {
		state heapUse
		want  int
	}{
		{heapUse{used: 8 << 20, unused: leastRelease - 1}, 0},
		{heapUse{used: 8 << 20, unused: leastRelease}, 1},
		{heapUse{used: 1600 << 20, unused: 99 << 20}, 0},
		{heapUse{used: 1600 << 20, unused: 100 << 20}, 1},
	} {
		p := newReleaseTest()
		p.state = test.state
		p.collected()
		p.work(5, 0)
		if p.releases != test.want {
			t.Errorf("%+v: memory was returned %d times, expected %d", test.state, p.releases, test.want)
		}
	}
}

// A process that collects garbage all the time, without working, spends at most a hundredth of the
// time on returning memory.
func TestReleasesAreBounded(t *testing.T) {
	p := newReleaseTest()
	p.cost = 3 * time.Second
	for range 3600 {
		p.state.unused = 50 << 20
		p.collected()
		p.work(1, 0)
	}
	if p.releases < 10 || p.releases > 3600/300+1 {
		t.Errorf("memory was returned %d times in an hour, each time for 3 s; expected 12", p.releases)
	}
}

func TestReleaseNeedsProcessorTime(t *testing.T) {
	p := newReleaseTest()
	p.processor = func() (time.Duration, bool) { return 0, false }
	p.collected()
	p.work(10, 0)
	if p.releases != 0 {
		t.Error("memory was returned although nothing is known of the process")
	}
}

var garbage []byte

func TestHeapUse(t *testing.T) {
	const size = 64 << 20
	garbage = make([]byte, size)
	runtime.GC()
	before := currentHeapUse()
	garbage = nil
	runtime.GC()
	after := currentHeapUse()
	if after.used > before.used-size/2 || after.unused < before.unused+size/2 {
		t.Errorf("64 MiB became garbage, which was collected: %+v became %+v", before, after)
	}
	debug.FreeOSMemory()
	if freed := currentHeapUse(); freed.unused > after.unused-size/2 {
		t.Errorf("memory was returned: %+v became %+v", after, freed)
	}
}

func TestProcessorTime(t *testing.T) {
	before, ok := processorTime()
	if !ok || before <= 0 {
		t.Fatalf("processorTime() = %v, %v", before, ok)
	}
	for now, end := before, time.Now().Add(time.Minute); now <= before; now, _ = processorTime() {
		if time.Now().After(end) {
			t.Fatal("the processor time does not grow while the process works")
		}
	}
}
