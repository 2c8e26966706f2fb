package users

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
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

// maxWaiting limits the attempts of one address that wait for their turn.
const maxWaiting = 20

// turnInterval is the time between two attempts of a trusted address after too many failures. It is
// shorter than the delay of an answer: a login with the right passphrase may wait behind maxWaiting
// attempts of somebody who guesses at the same address.
const turnInterval = 2 * time.Second

// A Guard slows down and blocks addresses that fail to log in. It is safe for concurrent use.
//
// A server calls Admit when a client connects. For each attempt to log in it calls Begin, verifies
// the credentials, reports the result (Failed or Succeeded), and calls End.
type Guard struct {
	// Events gets failed logins. It must not be changed once the Guard is used; nil: nobody.
	Events *events.Stream

	clock  clock.Clock
	limits Limits

	mu      sync.Mutex
	failing map[netip.Prefix]*failures
	trusted map[netip.Prefix]clock.Mark // addresses that have logged in, and when; never blocked
	pending map[netip.Prefix]int        // attempts between Begin and End
	waiting map[netip.Prefix]*queue
}

// failures are the failed logins of one address.
type failures struct {
	times   []clock.Mark // of the last MaxFailures+1 at most, oldest first
	blocked bool         // the address is blocked for BlockTime after the last failure
	next    clock.Mark   // when the next attempt may begin if there are too many failures
}

// A queue holds the attempts of one address that wait, in the order of their arrival. Each receives
// whether it may begin.
type queue struct {
	turns    []chan bool
	timerSet bool
}

// NewGuard returns a guard without failures.
func NewGuard(c clock.Clock, l Limits) *Guard {
	return &Guard{
		clock:   c,
		limits:  l,
		failing: map[netip.Prefix]*failures{},
		trusted: map[netip.Prefix]clock.Mark{},
		pending: map[netip.Prefix]int{},
		waiting: map[netip.Prefix]*queue{},
	}
}

// Admit reports whether addr may connect in order to log in.
func (g *Guard) Admit(addr netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.isBlocked(network(addr))
}

func (g *Guard) isBlocked(n netip.Prefix) bool {
	f := g.failing[n]
	return f != nil && f.blocked && !g.expired(f)
}

// Begin reports whether credentials from addr may be verified. If too many attempts of this address
// run already, it blocks until others have ended: parallel connections do not make guessing faster.
// It returns false if the address is blocked, if too many attempts wait, and if ctx ends. If it
// returns true, the caller must call End.
func (g *Guard) Begin(ctx context.Context, addr netip.Addr) bool {
	n := network(addr)
	g.mu.Lock()
	q := g.waiting[n]
	switch {
	case g.isBlocked(n):
		g.mu.Unlock()
		return false
	case q == nil && g.mayBegin(n):
		g.pending[n]++
		g.mu.Unlock()
		return true
	case q == nil:
		q = &queue{}
		g.waiting[n] = q
	case len(q.turns) >= maxWaiting && g.count(n) > g.limits.MaxFailures:
		g.mu.Unlock()
		return false
	}
	turn := make(chan bool, 1)
	q.turns = append(q.turns, turn)
	g.wake(n)
	g.mu.Unlock()
	select {
	case ok := <-turn:
		return ok
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(q.turns, turn); i >= 0 {
		q.turns = slices.Delete(q.turns, i, i+1)
		g.wake(n)
	} else if <-turn {
		g.end(n)
	}
	return false
}

// End ends an attempt that Begin has permitted. Its result must have been reported before.
func (g *Guard) End(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end(network(addr))
}

func (g *Guard) end(n netip.Prefix) {
	if g.pending[n]--; g.pending[n] <= 0 {
		delete(g.pending, n)
	}
	g.wake(n)
}

// mayBegin reports whether another attempt of a network that is not blocked may begin. Attempts
// whose results are not known count as failures. After too many failures, which block all addresses
// but trusted ones, attempts are verified one at a time, turnInterval after the last failure.
func (g *Guard) mayBegin(n netip.Prefix) bool {
	failed, pending := g.count(n), g.pending[n]
	if failed+pending <= g.limits.MaxFailures {
		return true
	}
	return failed > g.limits.MaxFailures && pending == 0 && g.clock.Mark() >= g.failing[n].next
}

// count returns the number of failures that have an effect.
func (g *Guard) count(n netip.Prefix) int {
	f := g.failing[n]
	if f == nil {
		return 0
	}
	g.forgetOld(f)
	return len(f.times)
}

// forgetOld removes the failures that lie before the window.
func (g *Guard) forgetOld(f *failures) {
	for !f.blocked && len(f.times) > 0 && g.clock.Since(f.times[0]) > g.limits.Window {
		f.times = f.times[1:]
	}
}

// wake lets attempts begin that wait, if they may.
func (g *Guard) wake(n netip.Prefix) {
	q := g.waiting[n]
	if q == nil {
		return
	}
	for len(q.turns) > 0 {
		blocked := g.isBlocked(n)
		if !blocked && !g.mayBegin(n) {
			break
		}
		if !blocked {
			g.pending[n]++
		}
		q.turns[0] <- !blocked
		q.turns = q.turns[1:]
	}
	switch {
	case len(q.turns) == 0:
		delete(g.waiting, n)
	case g.pending[n] == 0 && !q.timerSet:
		q.timerSet = true
		delay := time.Duration(g.failing[n].next - g.clock.Mark())
		g.clock.AfterFunc(delay, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			q.timerSet = false
			g.wake(n)
		})
	}
}

// Failed records a failed login. The caller must delay the answer by delay. blocked reports
// whether this failure has blocked the address.
func (g *Guard) Failed(addr netip.Addr) (delay time.Duration, blocked bool) {
	delay, failed := g.failed(addr)
	events.Publish(g.Events, 0, failed)
	return delay, failed.blocks
}

func (g *Guard) failed(addr netip.Addr) (delay time.Duration, e LoginFailed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := network(addr)
	f := g.failing[n]
	if f == nil || g.expired(f) {
		g.makeRoom()
		f = &failures{}
		g.failing[n] = f
	}
	g.forgetOld(f)
	if f.times = append(f.times, g.clock.Mark()); len(f.times) > g.limits.MaxFailures+1 {
		f.times = f.times[1:]
	}
	delay = min(time.Duration(len(f.times))*g.limits.DelayStep, g.limits.MaxDelay)
	f.next = g.clock.Mark() + clock.Mark(min(delay, turnInterval))
	if _, trusted := g.trusted[n]; !trusted && !f.blocked && len(f.times) > g.limits.MaxFailures {
		f.blocked, e.blocks = true, true
	}
	e.Client, e.Failures, e.Blocked = addr.Unmap(), len(f.times), f.blocked
	return delay, e
}

// Succeeded records a successful login: the address is not blocked any more. Its failures still
// count, because a user who has one account must not be able to guess the passphrases of others
// faster.
func (g *Guard) Succeeded(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := network(addr)
	if f := g.failing[n]; f != nil {
		f.blocked = false
	}
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

// A FailingAddress is an address whose failed logins have an effect.
type FailingAddress struct {
	Address  netip.Prefix // of one address, or of an IPv6 /64
	Failures int          // the recent ones, 11 at most with DefaultLimits
	Blocked  bool
	Left     time.Duration // until the failures have no effect any more
	Trusted  bool          // the address has logged in and is therefore not blocked
}

// Failing returns the addresses whose failed logins have an effect, the blocked ones first. The
// serial console, which has no address, is left out.
func (g *Guard) Failing() []FailingAddress {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []FailingAddress
	for n, f := range g.failing {
		count := g.count(n)
		if count == 0 || g.expired(f) || !n.IsValid() {
			continue
		}
		lasts := g.limits.Window
		if f.blocked {
			lasts = g.limits.BlockTime
		}
		_, trusted := g.trusted[n]
		all = append(all, FailingAddress{
			n, count, f.blocked, lasts - g.clock.Since(f.times[len(f.times)-1]), trusted,
		})
	}
	slices.SortFunc(all, func(a, b FailingAddress) int {
		if a.Blocked != b.Blocked {
			if a.Blocked {
				return -1
			}
			return 1
		}
		return a.Address.Compare(b.Address)
	})
	return all
}

// Free forgets the failures of the address and unblocks it. It reports whether there were any.
func (g *Guard) Free(addr netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := network(addr)
	f := g.failing[n]
	known := f != nil && !g.expired(f)
	delete(g.failing, n)
	g.wake(n)
	return known
}

// FreeAll is Free for all addresses.
func (g *Guard) FreeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.failing)
	for n := range g.waiting {
		g.wake(n)
	}
}

// expired reports whether f has no effect any more.
func (g *Guard) expired(f *failures) bool {
	if len(f.times) == 0 {
		return true
	}
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
		if g.expired(f) {
			delete(g.failing, n)
		} else if last := f.times[len(f.times)-1]; last < since {
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
