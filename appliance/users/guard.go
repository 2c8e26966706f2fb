package users

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// Limits are the settings of a Guard.
type Limits struct {
	MaxFailures int           // more failures than this...
	Window      time.Duration // ...in this time block an address...
	BlockTime   time.Duration // ...for so long
	DelayStep   time.Duration // how long the first failure's answer is held back; the n-th n times as long
	MaxDelay    time.Duration // but no longer than this
}

// DefaultLimits are those of AsyncOS, but for the block, which there lasts a day.
func DefaultLimits() Limits {
	return Limits{MaxFailures: 10, Window: 2 * time.Minute, BlockTime: 15 * time.Minute, DelayStep: 500 * time.Millisecond, MaxDelay: 5 * time.Second}
}

// maxAddresses bounds what a Guard remembers of each kind.
const maxAddresses = 4096

// A Guard slows down and blocks addresses that fail to log in. It is safe for
// concurrent use.
type Guard struct {
	clock  clock.Clock
	limits Limits

	mu      sync.Mutex
	suspect map[netip.Prefix]*suspect
	spared  map[netip.Prefix]clock.Mark // since when
}

// suspect is an address that failed.
type suspect struct {
	failures []clock.Mark // the last Tries+1 at most, oldest first
	blocked  bool         // since the last failure
}

// NewGuard returns a guard that has seen nobody yet.
func NewGuard(c clock.Clock, l Limits) *Guard {
	return &Guard{clock: c, limits: l, suspect: map[netip.Prefix]*suspect{}, spared: map[netip.Prefix]clock.Mark{}}
}

// Admit reports whether addr may try to log in now.
func (g *Guard) Admit(addr netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.suspect[network(addr)]
	return s == nil || !s.blocked || g.over(s)
}

// Failed notes a failed try; delay is how long to hold back the answer, and
// blocked says that this try blocked the address.
func (g *Guard) Failed(addr netip.Addr) (delay time.Duration, blocked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := network(addr)
	s := g.suspect[n]
	if s == nil || g.over(s) {
		g.makeRoom()
		s = &suspect{}
		g.suspect[n] = s
	}
	for len(s.failures) > 0 && g.clock.Since(s.failures[0]) > g.limits.Window {
		s.failures = s.failures[1:]
	}
	if s.failures = append(s.failures, g.clock.Mark()); len(s.failures) > g.limits.MaxFailures+1 {
		s.failures = s.failures[1:]
	}
	delay = min(time.Duration(len(s.failures))*g.limits.DelayStep, g.limits.MaxDelay)
	if _, spared := g.spared[n]; !spared && !s.blocked && len(s.failures) > g.limits.MaxFailures {
		s.blocked, blocked = true, true
	}
	return delay, blocked
}

// Succeeded notes a login: the address is not blocked from now on, and its
// failures are forgotten.
func (g *Guard) Succeeded(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := network(addr)
	delete(g.suspect, n)
	if len(g.spared) >= maxAddresses {
		oldest := n
		for m, since := range g.spared {
			if o, ok := g.spared[oldest]; !ok || since < o {
				oldest = m
			}
		}
		delete(g.spared, oldest)
	}
	g.spared[n] = g.clock.Mark()
}

// over reports whether nothing of s matters any more.
func (g *Guard) over(s *suspect) bool {
	age := g.clock.Since(s.failures[len(s.failures)-1])
	if s.blocked {
		return age >= g.limits.BlockTime
	}
	return age > g.limits.Window
}

// makeRoom drops who no longer matters, and who failed longest ago if all matter.
func (g *Guard) makeRoom() {
	if len(g.suspect) < maxAddresses {
		return
	}
	var oldest netip.Prefix
	since := clock.Mark(math.MaxInt64)
	for n, s := range g.suspect {
		last := s.failures[len(s.failures)-1]
		if g.over(s) {
			delete(g.suspect, n)
		} else if last < since {
			oldest, since = n, last
		}
	}
	if len(g.suspect) >= maxAddresses {
		delete(g.suspect, oldest)
	}
}

// network is what counts as one address: an IPv6 client owns a /64.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil { // the zero Addr, of a client without an address
		return netip.Prefix{}
	}
	return p
}
