package ether

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

const (
	// napDuration is the longest sleep while an event is due soon. An event that is
	// scheduled during the sleep can be late by as much.
	napDuration = 100 * time.Microsecond
	// An event is due soon if less than napThreshold remains. Until then the fabric waits
	// by the runtime's timers, which cost nothing and can be more than a millisecond late,
	// from then on by naps.
	napThreshold = 3 * time.Millisecond
)

// A delayLine holds the events that are not due yet. It is guarded by Fabric.mu.
type delayLine struct {
	heap    delayHeap
	seq     uint64        // of the latest event
	started bool          // the sleeper's goroutine has been started
	awake   bool          // the sleeper is napping, or has been woken to do so
	wake    chan struct{} // has a token while the sleeper is asked to nap
	timer   *wakeTimer    // wakes the sleeper before the first event is due; nil: none is pending
}

// A wakeTimer is a timer that wakes the sleeper.
type wakeTimer struct {
	at   clock.Mark
	stop func() bool
}

// A delayedEvent is an event with the time at which it is due. Events that are due at the
// same time are ordered by seq.
type delayedEvent struct {
	due clock.Mark
	seq uint64
	event
}

type delayHeap []delayedEvent

func (h delayHeap) Len() int      { return len(h) }
func (h delayHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h delayHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].due, h[j].due), cmp.Compare(h[i].seq, h[j].seq)) < 0
}
func (h *delayHeap) Push(x any) { *h = append(*h, x.(delayedEvent)) }
func (h *delayHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = delayedEvent{}
	*h = (*h)[:last]
	return x
}

// enqueueAfter enqueues e once d has passed, or immediately if d is not positive.
func (f *Fabric) enqueueAfter(d time.Duration, e event) {
	if d > 0 {
		f.schedule(d, e)
		return
	}
	f.enqueue(e)
}

// schedule puts e into the delay line until d has passed, even if d is zero: e is never
// handled in the batch of events that is being handled.
func (f *Fabric) schedule(d time.Duration, e event) {
	f.scheduleAt(f.machineClock.Mark()+clock.Mark(max(d, 0)), e)
}

// enqueueAt enqueues e at the time due, or immediately if that has passed. In either case
// e comes after all events that are due earlier.
func (f *Fabric) enqueueAt(due clock.Mark, e event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		e.discard()
		return
	}
	f.enqueueDue()
	if due <= f.machineClock.Mark() {
		f.queue = append(f.queue, e)
	} else {
		f.pushDelayed(due, e)
	}
	f.wakePump()
}

// scheduleAt puts e into the delay line until the time due.
func (f *Fabric) scheduleAt(due clock.Mark, e event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		e.discard()
		return
	}
	f.pushDelayed(due, e)
}

// pushDelayed puts e into the delay line. It is called with mu held.
func (f *Fabric) pushDelayed(due clock.Mark, e event) {
	f.delayLine.seq++
	heap.Push(&f.delayLine.heap, delayedEvent{due, f.delayLine.seq, e})
	f.arm()
}

// arm ensures that the first event of the delay line is waited for: by the sleeper if the
// event is due soon, otherwise by a timer that wakes the sleeper in time. It is called with
// mu held.
func (f *Fabric) arm() {
	l := &f.delayLine
	if l.awake || len(l.heap) == 0 {
		return
	}
	due := l.heap[0].due
	if l.timer != nil {
		if l.timer.at <= due {
			return // the timer fires early enough
		}
		f.stopTimer()
	}
	wait := due - f.machineClock.Mark()
	if wait <= clock.Mark(napThreshold) {
		l.awake = true
		if !l.started {
			l.started = true
			f.running.Go(f.runSleeper)
		}
		l.wake <- struct{}{} // does not block: there is no token while the sleeper is not awake
		return
	}
	t := &wakeTimer{at: due - clock.Mark(napThreshold)}
	l.timer = t
	f.running.Add(1)
	t.stop = f.machineClock.AfterFunc(time.Duration(wait)-napThreshold, func() {
		defer f.running.Done()
		f.mu.Lock()
		defer f.mu.Unlock()
		if l.timer == t {
			l.timer = nil
			f.arm()
		}
	})
}

// stopTimer stops the timer that wakes the sleeper. It is called with mu held. A timer that
// has fired and waits for mu finds that it has been replaced.
func (f *Fabric) stopTimer() {
	if f.delayLine.timer == nil {
		return
	}
	if f.delayLine.timer.stop() {
		f.running.Done()
	}
	f.delayLine.timer = nil
}

// runSleeper naps, whenever it is woken, until no event is due soon. It returns when the
// fabric is closed.
func (f *Fabric) runSleeper() {
	for {
		select {
		case <-f.delayLine.wake:
			for f.nap() {
			}
		case <-f.done:
			return
		}
	}
}

// nap handles the events that are due and otherwise sleeps for a moment. It reports
// whether it should be called again, because events are due soon.
func (f *Fabric) nap() bool {
	f.mu.Lock()
	f.enqueueDue()
	if len(f.queue) > 0 && !f.pumping {
		// The sleeper acts as the pump, which saves a hand-over between goroutines.
		f.pumping = true
		f.mu.Unlock()
		f.drain(0)
		return true
	}
	l := &f.delayLine
	var wait time.Duration
	if len(l.heap) > 0 {
		wait = time.Duration(l.heap[0].due - f.machineClock.Mark())
	}
	if len(l.heap) == 0 || wait > napThreshold {
		l.awake = false
		f.arm()
		f.mu.Unlock()
		return false
	}
	f.mu.Unlock()
	sleep(min(wait, napDuration))
	return true
}

// enqueueDue moves the events that are due from the delay line to the queue. It is called
// with mu held.
func (f *Fabric) enqueueDue() {
	l := &f.delayLine
	if len(l.heap) == 0 {
		return
	}
	now := f.machineClock.Mark()
	for len(l.heap) > 0 && l.heap[0].due <= now {
		f.queue = append(f.queue, heap.Pop(&l.heap).(delayedEvent).event)
	}
	if len(l.heap) == 0 {
		l.heap = nil
	}
}

// clearDelayLine empties the delay line and returns its events. It is called with mu held.
func (f *Fabric) clearDelayLine() []event {
	f.stopTimer()
	var pending []event
	for _, d := range f.delayLine.heap {
		pending = append(pending, d.event)
	}
	f.delayLine.heap = nil
	return pending
}
