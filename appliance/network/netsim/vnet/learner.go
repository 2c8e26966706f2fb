package vnet

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// A learner is a stack's clock that keeps datagrams in order while a neighbor's MAC is
// learned. gVisor queues packets to a neighbor that it does not know yet, and sends them by
// a timer with zero duration; packets that are written meanwhile would overtake them.
// Therefore timers with zero duration that are set while a message of ARP or NDP is processed
// are deferred, and their functions are called before anything else is sent.
type learner struct {
	tcpip.Clock // the machine's

	// sending is held for reading while a datagram is handed to the stack, and for writing
	// while the stack processes a message and sends the packets that waited for it.
	sending sync.RWMutex

	mu       sync.Mutex
	learning bool
	deferred []*deferredTimer
}

// learn delivers a message of ARP or NDP by calling deliver. It runs on the fabric's pump and
// waits for goroutines that are sending; these do not wait for the pump.
func (l *learner) learn(deliver func()) {
	l.sending.Lock()
	defer l.sending.Unlock()
	l.mu.Lock()
	l.learning = true
	l.mu.Unlock()
	deliver()
	for {
		t := l.nextDeferred()
		if t == nil {
			return
		}
		t.f()
	}
}

// nextDeferred returns the next deferred timer. If there is none, it returns nil and ends the
// deferral of timers.
func (l *learner) nextDeferred() *deferredTimer {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.deferred) > 0 {
		t := l.deferred[0]
		l.deferred = l.deferred[1:]
		if !t.done {
			t.done = true
			return t
		}
	}
	l.learning, l.deferred = false, nil
	return nil
}

// AfterFunc implements tcpip.Clock. It is called with the stack's locks held.
func (l *learner) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	if d == 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.learning {
			t := &deferredTimer{learner: l, f: f}
			l.deferred = append(l.deferred, t)
			return t
		}
	}
	return l.Clock.AfterFunc(d, f)
}

// A deferredTimer is a timer whose function is called when deliver has returned.
type deferredTimer struct {
	learner     *learner
	f           func()
	done        bool        // started or stopped; guarded by learner.mu
	rescheduled tcpip.Timer // once it was reset; likewise
}

// Stop implements tcpip.Timer.
func (t *deferredTimer) Stop() bool {
	t.learner.mu.Lock()
	defer t.learner.mu.Unlock()
	if t.rescheduled != nil {
		return t.rescheduled.Stop()
	}
	stopped := !t.done
	t.done = true
	return stopped
}

// Reset implements tcpip.Timer.
func (t *deferredTimer) Reset(d time.Duration) {
	t.learner.mu.Lock()
	defer t.learner.mu.Unlock()
	if t.rescheduled != nil {
		t.rescheduled.Reset(d)
		return
	}
	t.done = true
	t.rescheduled = t.learner.Clock.AfterFunc(d, t.f)
}
