package vnet

import (
	"errors"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// ErrWouldBlock means that TryRead has nothing to return yet.
var ErrWouldBlock = errors.New("operation would block")

// A Watchable is a connection that can be read without a goroutine that waits for data. The
// connections of hosts that have an interface are Watchable.
type Watchable interface {
	// Watch makes f be called whenever TryRead may return something else than ErrWouldBlock,
	// and once the connection has been closed. f is called on a goroutine that moves frames, so
	// it must not block; it may be called concurrently, and without a reason. f is also called
	// for what has happened before. Watch must be called once at most.
	Watch(f func())
	// TryRead is Read, except that it returns ErrWouldBlock instead of blocking.
	TryRead(b []byte) (int, error)
}

var _ Watchable = (*conn)(nil)

// A watch calls the function that Watch was given.
type watch struct {
	fabric  *ether.Fabric // nil: there is no function
	queue   *waiter.Queue
	entry   waiter.Entry
	pending atomic.Bool // call will be called
	call    func()
}

// Watch implements Watchable.
func (c *conn) Watch(f func()) {
	w := &c.watch
	w.fabric, w.queue = c.host.fabric.Load(), c.sock.queue
	w.call = func() {
		w.pending.Store(false)
		f()
	}
	w.entry.Init(w, waiter.ReadableEvents|waiter.EventHUp|waiter.EventErr)
	w.queue.EventRegister(&w.entry)
	w.notify()
	if c.reads.closed.Load() {
		w.queue.EventUnregister(&w.entry)
	}
}

// TryRead implements Watchable.
func (c *conn) TryRead(b []byte) (int, error) { return c.read(b, false) }

// NotifyEvent implements waiter.EventListener. It is called with the endpoint's lock held.
func (w *watch) NotifyEvent(waiter.EventMask) { w.notify() }

func (w *watch) notify() {
	if !w.pending.Swap(true) {
		w.fabric.Defer(w.call)
	}
}

// close ends the watch with a last call.
func (w *watch) close() {
	if w.fabric != nil {
		w.queue.EventUnregister(&w.entry)
		w.notify()
	}
}
