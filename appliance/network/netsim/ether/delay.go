package ether

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

const (
	// napLength is the longest sleep while something is due soon: what is scheduled
	// meanwhile can be that late.
	napLength = 100 * time.Microsecond
	// soon is where waiting changes from the runtime's timers, which cost nothing
	// and can be more than a millisecond late, to naps.
	soon = 3 * time.Millisecond
)

// A delayLine holds what is to happen later. It is guarded by Fabric.mu.
type delayLine struct {
	heap    delayHeap
	seq     uint64
	started bool          // the sleeper has been
	awake   bool          // the sleeper naps
	wake    chan struct{} // calls it
	timer   *alarm
}

// An alarm is the timer that starts the sleeper.
type alarm struct {
	at   clock.Mark
	stop func() bool
}

type delayed struct {
	due clock.Mark
	seq uint64
	event
}

type delayHeap []delayed

func (h delayHeap) Len() int      { return len(h) }
func (h delayHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h delayHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].due, h[j].due), cmp.Compare(h[i].seq, h[j].seq)) < 0
}
func (h *delayHeap) Push(x any) { *h = append(*h, x.(delayed)) }
func (h *delayHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = delayed{}
	*h = (*h)[:last]
	return x
}

// enqueueAfter lets e happen once d has passed, or after what is already queued.
func (w *Fabric) enqueueAfter(d time.Duration, e event) {
	if d > 0 {
		w.schedule(d, e)
		return
	}
	w.enqueue(e)
}

// schedule lets e happen once d has passed, on another occasion in any case.
func (w *Fabric) schedule(d time.Duration, e event) {
	w.scheduleAt(w.machine.Mark()+clock.Mark(max(d, 0)), e)
}

// enqueueAt lets e happen when due, or now: in either case after all that is due before.
func (w *Fabric) enqueueAt(due clock.Mark, e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		e.release()
		return
	}
	w.releaseDue()
	if due <= w.machine.Mark() {
		w.queue = append(w.queue, e)
	} else {
		w.delay(due, e)
	}
	w.pumpQueue()
}

func (w *Fabric) scheduleAt(due clock.Mark, e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		e.release()
		return
	}
	w.delay(due, e)
}

// delay is called with mu held.
func (w *Fabric) delay(due clock.Mark, e event) {
	w.line.seq++
	heap.Push(&w.line.heap, delayed{due, w.line.seq, e})
	w.rouse()
}

// rouse sees to it that somebody waits for the first thing due: a sleeper or,
// if that is far off, a timer. It is called with mu held.
func (w *Fabric) rouse() {
	l := &w.line
	if l.awake || len(l.heap) == 0 {
		return
	}
	due := l.heap[0].due
	if l.timer != nil {
		if l.timer.at <= due {
			return // early enough
		}
		w.stopTimer()
	}
	wait := due - w.machine.Mark()
	if wait <= clock.Mark(soon) {
		l.awake = true
		if !l.started {
			l.started = true
			w.running.Go(w.sleeper)
		}
		l.wake <- struct{}{} // there is room: it is called when it is not awake only
		return
	}
	t := &alarm{at: due - clock.Mark(soon)}
	l.timer = t
	w.running.Add(1)
	t.stop = w.machine.AfterFunc(time.Duration(wait)-soon, func() {
		defer w.running.Done()
		w.mu.Lock()
		defer w.mu.Unlock()
		if l.timer == t {
			l.timer = nil
			w.rouse()
		}
	})
}

// stopTimer is called with mu held. A timer that has gone off already finds out
// when it gets the lock.
func (w *Fabric) stopTimer() {
	if w.line.timer == nil {
		return
	}
	if w.line.timer.stop() {
		w.running.Done()
	}
	w.line.timer = nil
}

// sleeper naps, whenever it is called, until what is due soon has happened.
func (w *Fabric) sleeper() {
	for {
		select {
		case <-w.line.wake:
			for w.nap() {
			}
		case <-w.done:
			return
		}
	}
}

// nap lets what is due happen and sleeps for a moment. It reports false when
// nothing more is due soon.
func (w *Fabric) nap() bool {
	w.mu.Lock()
	w.releaseDue()
	if len(w.queue) > 0 && !w.pumping {
		// The pump's work is done here: one hand-over less.
		w.pumping = true
		w.mu.Unlock()
		w.drain()
		return true
	}
	l := &w.line
	var wait time.Duration
	if len(l.heap) > 0 {
		wait = time.Duration(l.heap[0].due - w.machine.Mark())
	}
	if len(l.heap) == 0 || wait > soon {
		l.awake = false
		w.rouse()
		w.mu.Unlock()
		return false
	}
	w.mu.Unlock()
	sleep(min(wait, napLength))
	return true
}

// releaseDue moves what is due into the queue. It is called with mu held.
func (w *Fabric) releaseDue() {
	l := &w.line
	if len(l.heap) == 0 {
		return
	}
	now := w.machine.Mark()
	for len(l.heap) > 0 && l.heap[0].due <= now {
		w.queue = append(w.queue, heap.Pop(&l.heap).(delayed).event)
	}
	if len(l.heap) == 0 {
		l.heap = nil
	}
}

// clearLine empties the line and returns what was in it. It is called with mu
// held.
func (w *Fabric) clearLine() []event {
	w.stopTimer()
	var lost []event
	for _, d := range w.line.heap {
		lost = append(lost, d.event)
	}
	w.line.heap = nil
	return lost
}
