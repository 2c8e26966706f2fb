package vnet

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/clock"
)

// A gate is the place where the callers of one direction of a socket wait for the stack,
// their deadline, or Close.
type gate struct {
	mu      sync.Mutex // held by the caller that reads, writes or accepts
	wakeups chan struct{}
	entry   waiter.Entry
	queue   *waiter.Queue
	closed  atomic.Bool

	deadline atomic.Pointer[deadline]
}

// A deadline is the deadline of a gate. It is replaced by a later one, never changed.
type deadline struct {
	passed atomic.Bool
	stop   func() bool
}

// attach makes events on q wake the gate.
func (g *gate) attach(q *waiter.Queue, events waiter.EventMask) {
	g.queue = q
	g.entry, g.wakeups = waiter.NewChannelEntry(events | waiter.EventHUp | waiter.EventErr)
	q.EventRegister(&g.entry)
}

// close makes current and later callers fail with net.ErrClosed. It reports whether this is
// the first call.
func (g *gate) close() bool {
	if g.closed.Swap(true) {
		return false
	}
	g.queue.EventUnregister(&g.entry)
	g.setDeadline(time.Time{})
	return true
}

// err returns the reason for which the caller must not continue, nil if it may.
func (g *gate) err() error {
	if g.closed.Load() {
		return net.ErrClosed
	}
	if d := g.deadline.Load(); d != nil && d.passed.Load() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait blocks until the gate is woken, which may be without a reason. The caller holds mu.
func (g *gate) wait() { <-g.wakeups }

// wake makes the caller that waits, or the next that will, check the socket again.
func (g *gate) wake() {
	select {
	case g.wakeups <- struct{}{}:
	default:
	}
}

// setDeadline replaces the deadline. The zero time means that there is none.
func (g *gate) setDeadline(t time.Time) {
	var d *deadline
	if !t.IsZero() {
		d = new(deadline)
		if wait := t.Sub(clock.System().Now()); wait <= 0 {
			d.passed.Store(true)
		} else {
			d.stop = clock.System().AfterFunc(wait, func() {
				d.passed.Store(true)
				g.wake()
			})
		}
	}
	if old := g.deadline.Swap(d); old != nil && old.stop != nil {
		old.stop()
	}
	g.wake()
}
