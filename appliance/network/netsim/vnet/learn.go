package vnet

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// A learner is a stack's clock that keeps datagrams in order while a neighbour's
// address is learned. gVisor holds what is sent to a neighbour that it does not know
// yet, and lets it go "at once", by a timer of no duration; what is sent meanwhile
// would overtake it. So what is to be done at once while an answer is taken in is done
// before anything else is sent.
type learner struct {
	tcpip.Clock // the machine's

	// sending is held for reading while a datagram is handed to the stack, and for
	// writing while the stack takes in an answer and lets go what waited for it.
	sending sync.RWMutex

	mu       sync.Mutex
	learning bool
	soon     []*soonTimer
}

// learn takes in a message of ARP or NDP. It runs on the wire's pump, and waits for
// senders, who wait for nobody.
func (l *learner) learn(deliver func()) {
	l.sending.Lock()
	defer l.sending.Unlock()
	l.mu.Lock()
	l.learning = true
	l.mu.Unlock()
	deliver()
	for {
		t := l.next()
		if t == nil {
			return
		}
		t.f()
	}
}

// next is what is to be done now; nil: no more, and from now on timers do it.
func (l *learner) next() *soonTimer {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.soon) > 0 {
		t := l.soon[0]
		l.soon = l.soon[1:]
		if !t.over {
			t.over = true
			return t
		}
	}
	l.learning, l.soon = false, nil
	return nil
}

// AfterFunc implements tcpip.Clock. It is called with the stack's locks held.
func (l *learner) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	if d == 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.learning {
			t := &soonTimer{learner: l, f: f}
			l.soon = append(l.soon, t)
			return t
		}
	}
	return l.Clock.AfterFunc(d, f)
}

// A soonTimer is due when learn has delivered.
type soonTimer struct {
	learner *learner
	f       func()
	over    bool        // started or stopped; guarded by learner.mu
	again   tcpip.Timer // once it was reset; likewise
}

// Stop implements tcpip.Timer.
func (t *soonTimer) Stop() bool {
	t.learner.mu.Lock()
	defer t.learner.mu.Unlock()
	if t.again != nil {
		return t.again.Stop()
	}
	stopped := !t.over
	t.over = true
	return stopped
}

// Reset implements tcpip.Timer.
func (t *soonTimer) Reset(d time.Duration) {
	t.learner.mu.Lock()
	defer t.learner.mu.Unlock()
	if t.again != nil {
		t.again.Reset(d)
		return
	}
	t.over = true
	t.again = t.learner.Clock.AfterFunc(d, t.f)
}
