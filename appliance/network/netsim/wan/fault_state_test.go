package wan

import (
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// The queue of a rate limit is bounded: packets that do not fit are dropped.
func TestLimitRateQueueIsBounded(t *testing.T) {
	f := NewFault(Rule{Action: LimitRate, Rate: 8000, Queue: 2500}) // 1000 bytes a second
	const now = clock.Mark(time.Hour)
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		if got, ok := f.delay(1000, 0, now, nil); !ok || got != want {
			t.Errorf("packet %d is delayed by %v, %v, want %v", i, got, ok, want)
		}
	}
	if _, ok := f.delay(1000, 0, now, nil); ok {
		t.Error("3000 bytes fit a queue of 2500")
	}
	if got, ok := f.delay(1000, 1, now, nil); !ok || got != time.Second {
		t.Errorf("the other direction: %v, %v, want its own queue", got, ok)
	}
	if got, ok := f.delay(1000, 0, now+clock.Mark(2*time.Second), nil); !ok || got != 2*time.Second {
		t.Errorf("two seconds later: %v, %v, want 2s", got, ok)
	}
}

// A fault remembers a limited number of connections.
func TestOldConnectionsAreForgotten(t *testing.T) {
	f := NewFault(Rule{})
	for i := range 3 * connLimit {
		p := packet{
			proto: protoUDP,
			sport: uint16(i),
			dport: 53,
			dst:   netip.IPv6Unspecified(),
			src:   netip.IPv6LinkLocalAllNodes(),
		}
		c, _ := f.track(&p)
		if again, _ := f.track(&p); again != c || c.number != i+1 {
			t.Fatalf("connection %d is number %d", i+1, c.number)
		}
	}
	if len(f.conns) != connLimit || len(f.oldestFirst) != connLimit {
		t.Errorf("the fault remembers %d connections and %d keys", len(f.conns), len(f.oldestFirst))
	}
}
