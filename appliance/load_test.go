package appliance

import (
	"testing"

	"github.com/esasim/esasim/appliance/clock"
)

// The load is that since the last call, from 0 to 100, and the figures of the process are there.
func TestProcessLoad(t *testing.T) {
	var l processLoad
	start := clock.System().Mark()
	first, used := l.read(start)
	if used <= 0 {
		t.Skip("this system does not report the CPU time of a process")
	}
	if again, _ := l.read(start); again != first && clock.System().Since(start) < minLoadInterval {
		t.Errorf("%d%%, and immediately afterwards %d%%", first, again)
	}
	l = processLoad{}
	if p, _ := l.read(start - clock.Mark(1000*used)); p > 1 {
		t.Errorf("a thousandth of the time is %d%%", p)
	}
	l = processLoad{}
	if p, _ := l.read(start - clock.Mark(2*minLoadInterval)); p < 0 || p > 100 {
		t.Errorf("%d%%", p)
	}
	if n := processMemory(); n < 1<<20 {
		t.Errorf("the process uses %d bytes", n)
	}
}
