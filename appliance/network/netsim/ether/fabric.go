package ether

import (
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
)

// maxBorrowedBatches is the number of batches of events that a goroutine handles in Release. A
// connection that is opened or closed takes about four.
const maxBorrowedBatches = 16

// maxIdleQueue is the largest capacity of a queue that stays allocated while the
// fabric is idle.
const maxIdleQueue = 64

// Options are the clock and the source of randomness that a Fabric uses.
type Options struct {
	Clock clock.Clock     // the wall time of time stamps; nil means the machine's clock
	Rand  *entropy.Stream // decides loss and jitter; nil means the machine's randomness
}

// A Fabric is the event loop that moves all frames of one world. It owns every
// goroutine on which frames are received and delayed functions run. Its methods are
// safe for concurrent use.
type Fabric struct {
	wallClock    clock.Clock
	machineClock clock.Clock
	rand         *entropy.Stream
	running      sync.WaitGroup // the pump, the sleeper and its wakeTimer
	done         chan struct{}  // closed by Close
	wake         chan struct{}  // has a token while the pump is asked to drain the queue

	mu          sync.Mutex
	pumpStarted bool    // the pump's goroutine has been started
	queue       []event // the next events, in order
	spare       []event // an empty slice, memory for the next queue
	pumping     bool    // a goroutine drains the queue, or the pump has been woken to do it
	delayLine   delayLine
	deferred    []func() // see Defer
	spareDefers []func() // an empty slice, memory for the next deferred functions
	closed      bool

	// Used by the pump only.
	merger    merger
	nodeFrame *buffer.View // the frame that a node is receiving; nil once it has been relayed

	holds    atomic.Int32 // calls of Hold without their Release
	openTaps atomic.Int32
	stamper  stamper
}

// An event is one entry of the queue. If call is set, the function is called. If to is
// set, frame continues with ingress at to. Otherwise frame, or train, is dequeued from the
// ring of from.
type event struct {
	from, to *Port
	frame    *buffer.View
	train    *Train
	call     func()
}

// NewFabric returns a fabric without segments.
func NewFabric(o Options) *Fabric {
	f := &Fabric{
		wallClock: o.Clock, machineClock: clock.System(), rand: o.Rand,
		done: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	f.delayLine.wake = make(chan struct{}, 1)
	if f.wallClock == nil {
		f.wallClock = f.machineClock
	}
	if f.rand == nil {
		f.rand = entropy.System().Stream("ether")
	}
	return f
}

// Close stops the fabric. Frames in flight are lost and pending functions are not
// called. Once Close has returned, no port receives anything any more. Close must not be
// called on the pump, for example from a receive function. Calling it again does nothing.
func (f *Fabric) Close() {
	f.mu.Lock()
	if !f.closed {
		close(f.done)
	}
	f.closed = true
	pending := append(f.queue, f.clearDelayLine()...)
	f.queue, f.spare, f.deferred = nil, nil, nil
	f.mu.Unlock()
	for _, e := range pending {
		e.discard()
	}
	f.running.Wait()
}

// After calls fn on the pump once d has passed; on an idle Linux machine it is at most a
// tenth of a millisecond late. fn must not block.
func (f *Fabric) After(d time.Duration, fn func()) {
	f.schedule(d, event{call: fn})
}

// enqueue appends e to the queue.
func (f *Fabric) enqueue(e event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		e.discard()
		return
	}
	f.queue = append(f.queue, e)
	f.wakePump()
}

// Hold announces that the caller is about to transmit, and will call Release immediately
// afterwards. Until then, frames that are transmitted do not wake the pump.
func (f *Fabric) Hold() { f.holds.Add(1) }

// Release ends a Hold. If events are queued and nothing handles them, the caller's goroutine
// acts as the pump for a moment, which saves a hand-over between goroutines. The caller must not
// hold a lock that a receive function, a tap, or a function given to After or Defer takes.
func (f *Fabric) Release() {
	f.holds.Add(-1)
	f.mu.Lock()
	if f.pumping || f.closed || len(f.queue) == 0 && len(f.deferred) == 0 {
		f.mu.Unlock()
		return
	}
	f.pumping = true
	f.running.Add(1)
	f.mu.Unlock()
	defer f.running.Done()
	f.drain(maxBorrowedBatches)
}

// Defer calls fn once all events have been handled that are queued now, or can be queued before
// the queue is empty. fn must not block, but unlike a function given to After it may take the
// locks of a stack: Defer itself may be called while these are held. Once the fabric is closed,
// Defer does nothing.
func (f *Fabric) Defer(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.deferred = append(f.deferred, fn)
	f.wakePump()
}

// wakePump wakes the pump if there is something to do and no goroutine does it, or is about to.
// It is called with mu held.
func (f *Fabric) wakePump() {
	if f.holds.Load() == 0 && !f.pumping && (len(f.queue) > 0 || len(f.deferred) > 0) {
		f.pumping = true
		f.signalPump()
	}
}

// signalPump wakes the pump, and starts its goroutine the first time. It is called with
// mu held, by the caller that has set pumping.
func (f *Fabric) signalPump() {
	if !f.pumpStarted {
		f.pumpStarted = true
		f.running.Go(f.runPump)
	}
	f.wake <- struct{}{} // does not block: there is no call while pumping is set
}

// runPump drains the queue whenever it is woken, until the fabric is closed.
func (f *Fabric) runPump() {
	for {
		select {
		case <-f.wake:
			f.drain(0)
		case <-f.done:
			return
		}
	}
}

// drain handles events until none is queued or due, and then calls the deferred functions. The
// caller has set pumping. If limit is not 0, the rest is left to the pump's goroutine after
// limit batches of events.
func (f *Fabric) drain(limit int) {
	var batch []event
	for n := 0; ; n++ {
		f.mu.Lock()
		f.enqueueDue()
		if len(f.queue) == 0 {
			f.pumping = false
			if f.spare = batch; cap(batch) > maxIdleQueue {
				f.queue, f.spare = nil, nil
			}
			deferred := f.deferred
			if len(deferred) > 0 {
				f.deferred, f.spareDefers = f.spareDefers, nil
			}
			f.mu.Unlock()
			f.callDeferred(deferred)
			return
		}
		if limit > 0 && n == limit {
			f.spare = batch
			f.signalPump()
			f.mu.Unlock()
			return
		}
		if batch == nil {
			batch, f.spare = f.spare, nil
		}
		batch, f.queue = f.queue, batch[:0]
		f.mu.Unlock()
		for i := range batch {
			f.handle(&batch[i])
			batch[i] = event{}
		}
		f.merger.flush()
	}
}

// callDeferred calls deferred functions. The slice then serves for later ones, unless there were many.
func (f *Fabric) callDeferred(deferred []func()) {
	for _, fn := range deferred {
		fn()
	}
	if len(deferred) == 0 || cap(deferred) > maxIdleQueue {
		return
	}
	clear(deferred)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spareDefers = deferred[:0]
}

// handle takes the frame, train or function of an event through the stages that follow.
func (f *Fabric) handle(e *event) {
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

// discard releases the frames of an event that will not be handled.
func (e event) discard() {
	switch {
	case e.train != nil:
		e.from.queued.Add(-int32(e.train.frameCount()))
		e.train.release()
	case e.frame != nil:
		e.frame.Release()
		if e.to == nil {
			e.from.queued.Add(-1)
		}
	}
}

// OpenTap announces an observer that is no tap of a port. Until closeTap is called, its time stamps
// (see Timestamp) and those of taps have one order.
func (f *Fabric) OpenTap() (closeTap func()) {
	f.tapOpened()
	return func() { f.openTaps.Add(-1) }
}

// Timestamp returns the time stamp of a frame that is shown to an observer now. It must be called on
// the pump.
func (f *Fabric) Timestamp() time.Time { return f.timestamp() }

// tapOpened counts a new tap. If it is the only one, time stamps start again from the
// wall clock, even if that has been set back.
func (f *Fabric) tapOpened() {
	if f.openTaps.Add(1) == 1 {
		f.stamper.reset()
	}
}

// timestamp returns the time stamp of a frame that is shown to taps. It is called on the
// pump.
func (f *Fabric) timestamp() time.Time { return f.stamper.next(f.wallClock.Now()) }

// A stamper turns wall times into time stamps that never run backwards: if the clock is
// set back, the time stamps continue from the latest one.
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
