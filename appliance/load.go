package appliance

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A processLoad measures how much of the machine's processors the process uses. The appliance is
// as busy as the process, whatever else the process does.
type processLoad struct {
	mu      sync.Mutex
	used    time.Duration // processor time up to measured
	at      clock.Mark    // when used was read
	known   bool          // used and at are valid
	percent int           // of all processors, in the interval before at
}

// minLoadInterval is the shortest interval that a load is computed of.
const minLoadInterval = time.Second

// read returns the share of the processors' time since the last call, in percent. If that was less
// than a second ago, it returns the same as the last call. The first call returns the share since
// start.
func (l *processLoad) read(start clock.Mark) (percent int, used time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	used, ok := processorTime()
	if !ok {
		return 0, 0
	}
	if !l.known {
		l.known, l.at = true, start
	}
	now := clock.System().Mark()
	if passed := time.Duration(now - l.at); passed >= minLoadInterval {
		share := int64(100 * (used - l.used) / (passed * time.Duration(runtime.NumCPU())))
		l.percent = int(min(max(share, 0), 100))
		l.used, l.at = used, now
	}
	return l.percent, used
}

// processMemory returns how many bytes of the machine's memory the process uses.
func processMemory() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			return 0
		}
	}
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
