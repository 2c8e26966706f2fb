package ether

import (
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
)

// keepEvents is how long a queue may stay allocated while nothing happens.
const keepEvents = 64

// Options are a wire's surroundings.
type Options struct {
	Clock clock.Clock     // gives stamps their wall time; nil means the machine's clock
	Rand  *entropy.Stream // decides loss and jitter; nil means the machine's chance
}

// A Fabric connects the machines of one world. It owns every goroutine on which
// frames are received and delayed functions run. Its methods are safe for
// concurrent use.
type Fabric struct {
	wall    clock.Clock
	machine clock.Clock
	rand    *entropy.Stream
	running sync.WaitGroup // the pump, the sleeper and the timer that calls it
	done    chan struct{}  // closed by Close
	wake    chan struct{}  // calls the pump

	mu      sync.Mutex
	started bool    // the pump has been
	queue   []event // what happens next
	spare   []event // memory for the next queue
	pumping bool    // somebody lets events happen
	line    delayLine
	closed  bool

	// The pump's own.
	merger merger
	held   *buffer.View // the frame that a node is just receiving; nil once it was sent on

	taps  atomic.Int32 // open ones
	stamp stamper
}

// An event is one thing that happens on the wire: a frame leaves a port, or
// arrives at one, or a function is called.
type event struct {
	from, to *Port
	frame    *buffer.View
	train    *Train // instead of a frame; it only leaves
	call     func()
}

// NewFabric returns a wire with no segment.
func NewFabric(o Options) *Fabric {
	w := &Fabric{
		wall: o.Clock, machine: clock.System(), rand: o.Rand,
		done: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	w.line.wake = make(chan struct{}, 1)
	if w.wall == nil {
		w.wall = w.machine
	}
	if w.rand == nil {
		w.rand = entropy.System().Stream("ether")
	}
	return w
}

// Close ends the wire: frames under way are lost, delayed functions are not
// called, and nothing is received any more once Close has returned. It must not
// be called from a receive function. Closing twice is allowed.
func (w *Fabric) Close() {
	w.mu.Lock()
	if !w.closed {
		close(w.done)
	}
	w.closed = true
	lost := append(w.queue, w.clearLine()...)
	w.queue, w.spare = nil, nil
	w.mu.Unlock()
	for _, e := range lost {
		e.release()
	}
	w.running.Wait()
}

// After calls f on the pump once d has passed, a tenth of a millisecond
// late at most on a quiet Linux machine. f must not block.
func (w *Fabric) After(d time.Duration, f func()) {
	w.schedule(d, event{call: f})
}

// enqueue lets e happen after what is already queued.
func (w *Fabric) enqueue(e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		e.release()
		return
	}
	w.queue = append(w.queue, e)
	w.pumpQueue()
}

// pumpQueue sees to it that somebody lets happen what is queued. It is called with mu
// held.
func (w *Fabric) pumpQueue() {
	if len(w.queue) > 0 && !w.pumping {
		w.pumping = true
		w.callPump()
	}
}

// callPump is called with mu held, by whoever has set pumping.
func (w *Fabric) callPump() {
	if !w.started {
		w.started = true
		w.running.Go(w.pump)
	}
	w.wake <- struct{}{} // there is room: whoever finds pumping set does not call
}

// pump lets events happen whenever it is called.
func (w *Fabric) pump() {
	for {
		select {
		case <-w.wake:
			w.drain()
		case <-w.done:
			return
		}
	}
}

// drain lets events happen until none is left. Whoever calls it has set pumping.
func (w *Fabric) drain() {
	var batch []event
	for {
		w.mu.Lock()
		w.releaseDue()
		if len(w.queue) == 0 {
			w.pumping = false
			if w.spare = batch; cap(batch) > keepEvents {
				w.queue, w.spare = nil, nil
			}
			w.mu.Unlock()
			return
		}
		if batch == nil {
			batch, w.spare = w.spare, nil
		}
		batch, w.queue = w.queue, batch[:0]
		w.mu.Unlock()
		for i := range batch {
			w.handle(&batch[i])
			batch[i] = event{}
		}
		w.merger.flush()
	}
}

func (w *Fabric) handle(e *event) {
	switch {
	case e.call != nil:
		e.call()
	case e.to != nil:
		e.to.ingress(e.frame)
	case e.train != nil:
		e.from.dequeueTrain(e.train)
	default:
		e.from.dequeue(e.frame)
	}
}

// release gives up an event that will not happen.
func (e event) release() {
	switch {
	case e.train != nil:
		e.from.queued.Add(-int32(e.train.frames()))
		e.train.release()
	case e.frame != nil:
		e.frame.Release()
		if e.to == nil {
			e.from.queued.Add(-1)
		}
	}
}

// tapOpened lets stamps start anew when nobody watched before.
func (w *Fabric) tapOpened() {
	if w.taps.Add(1) == 1 {
		w.stamp.reset()
	}
}

// stampNow is called on the pump.
func (w *Fabric) stampNow() time.Time { return w.stamp.next(w.wall.Now()) }

// A stamper makes wall times that never run backwards: when the clock is set
// back, they go on from where they were.
type stamper struct {
	mu   sync.Mutex
	last time.Time
	skew time.Duration
}

func (s *stamper) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.skew = time.Time{}, 0
}

func (s *stamper) next(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := now.Add(s.skew)
	if t.Before(s.last) {
		s.skew += s.last.Sub(t)
		t = s.last
	}
	s.last = t
	return t
}
