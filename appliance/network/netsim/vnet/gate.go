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

// A gate is where the callers of one direction of a socket wait for the stack,
// their deadline, or the end of the socket.
type gate struct {
	mu     sync.Mutex // one caller at a time
	news   chan struct{}
	entry  waiter.Entry
	queue  *waiter.Queue
	closed atomic.Bool

	deadline atomic.Pointer[deadline]
}

// A deadline is one that has been set; it is replaced, never changed.
type deadline struct {
	passed atomic.Bool
	stop   func() bool
}

// open lets the gate hear of events on q.
func (g *gate) open(q *waiter.Queue, events waiter.EventMask) {
	g.queue = q
	g.entry, g.news = waiter.NewChannelEntry(events | waiter.EventHUp | waiter.EventErr)
	q.EventRegister(&g.entry)
}

// close lets every caller, waiting or to come, fail with net.ErrClosed. It
// reports whether it is the first call.
func (g *gate) close() bool {
	if g.closed.Swap(true) {
		return false
	}
	g.queue.EventUnregister(&g.entry)
	g.setDeadline(time.Time{})
	return true
}

// ready reports why the caller must not go on.
func (g *gate) ready() error {
	if g.closed.Load() {
		return net.ErrClosed
	}
	if d := g.deadline.Load(); d != nil && d.passed.Load() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait returns when something has changed. The caller holds mu.
func (g *gate) wait() { <-g.news }

// poke lets a waiting caller look again.
func (g *gate) poke() {
	select {
	case g.news <- struct{}{}:
	default:
	}
}

// setDeadline replaces the deadline; the zero time is none.
func (g *gate) setDeadline(t time.Time) {
	var d *deadline
	if !t.IsZero() {
		d = new(deadline)
		if wait := t.Sub(clock.System().Now()); wait <= 0 {
			d.passed.Store(true)
		} else {
			d.stop = clock.System().AfterFunc(wait, func() {
				d.passed.Store(true)
				g.poke()
			})
		}
	}
	if old := g.deadline.Swap(d); old != nil && old.stop != nil {
		old.stop()
	}
	g.poke()
}
