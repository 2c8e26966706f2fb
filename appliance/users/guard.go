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
	MaxFailures int           // if an address fails more often than this
	Window      time.Duration // within this time,
	BlockTime   time.Duration // it is blocked for this time
	DelayStep   time.Duration // the answer to the n-th failure is delayed by n times this,
	MaxDelay    time.Duration // and by this at most
}

// DefaultLimits returns the limits of AsyncOS, except that there a block lasts a day.
func DefaultLimits() Limits {
	return Limits{
		MaxFailures: 10,
		Window:      2 * time.Minute,
		BlockTime:   15 * time.Minute,
		DelayStep:   500 * time.Millisecond,
		MaxDelay:    5 * time.Second,
	}
}

// maxAddresses limits the addresses that a Guard remembers as failing, and those that it
// remembers as trusted.
const maxAddresses = 4096

// A Guard slows down and blocks addresses that fail to log in. It is safe for concurrent use.
type Guard struct {
	clock  clock.Clock
	limits Limits

	mu      sync.Mutex
	failing map[netip.Prefix]*failures
	trusted map[netip.Prefix]clock.Mark // addresses that have logged in, and when; never blocked
}

// failures are the failed logins of one address.
type failures struct {
	times   []clock.Mark // of the last MaxFailures+1 at most, oldest first
	blocked bool         // the address is blocked for BlockTime after the last failure
}

// NewGuard returns a guard without failures.
func NewGuard(c clock.Clock, l Limits) *Guard {
	return &Guard{
		clock:   c,
		limits:  l,
		failing: map[netip.Prefix]*failures{},
		trusted: map[netip.Prefix]clock.Mark{},
	}
}

// Admit reports whether addr may try to log in now.
func (g *Guard) Admit(addr netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.failing[network(addr)]
	return f == nil || !f.blocked || g.expired(f)
}

// Failed records a failed login. The caller must delay the answer by delay. blocked reports
// whether this failure has blocked the address.
func (g *Guard) Failed(addr netip.Addr) (delay time.Duration, blocked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := network(addr)
	f := g.failing[n]
	if f == nil || g.expired(f) {
		g.makeRoom()
		f = &failures{}
		g.failing[n] = f
	}
	for len(f.times) > 0 && g.clock.Since(f.times[0]) > g.limits.Window {
		f.times = f.times[1:]
	}
	if f.times = append(f.times, g.clock.Mark()); len(f.times) > g.limits.MaxFailures+1 {
		f.times = f.times[1:]
	}
	delay = min(time.Duration(len(f.times))*g.limits.DelayStep, g.limits.MaxDelay)
	if _, trusted := g.trusted[n]; !trusted && !f.blocked && len(f.times) > g.limits.MaxFailures {
		f.blocked, blocked = true, true
	}
	return delay, blocked
}

// Succeeded records a successful login. The guard forgets the address's failures and does not
// block it any more.
func (g *Guard) Succeeded(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := network(addr)
	delete(g.failing, n)
	if len(g.trusted) >= maxAddresses {
		oldest := n
		for m, since := range g.trusted {
			if o, ok := g.trusted[oldest]; !ok || since < o {
				oldest = m
			}
		}
		delete(g.trusted, oldest)
	}
	g.trusted[n] = g.clock.Mark()
}

// expired reports whether f has no effect any more.
func (g *Guard) expired(f *failures) bool {
	age := g.clock.Since(f.times[len(f.times)-1])
	if f.blocked {
		return age >= g.limits.BlockTime
	}
	return age > g.limits.Window
}

// makeRoom makes room for one more failing address. It removes the expired ones; if none has
// expired, it removes the address whose last failure is the oldest.
func (g *Guard) makeRoom() {
	if len(g.failing) < maxAddresses {
		return
	}
	var oldest netip.Prefix
	since := clock.Mark(math.MaxInt64)
	for n, f := range g.failing {
		last := f.times[len(f.times)-1]
		if g.expired(f) {
			delete(g.failing, n)
		} else if last < since {
			oldest, since = n, last
		}
	}
	if len(g.failing) >= maxAddresses {
		delete(g.failing, oldest)
	}
}

// network returns the prefix whose addresses count as one: the address itself, or for IPv6 its
// /64, because a client usually has all addresses of that.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil { // the zero Addr: the client has no address
		return netip.Prefix{}
	}
	return p
}
