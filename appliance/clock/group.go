package clock

import (
	"sync"
	"time"
)

// A Group is timers of one owner, who waits for what they do. Its zero value is usable,
// and it is safe for concurrent use, but for Wait: no timer is set any more when it is
// called.
type Group struct{ running sync.WaitGroup }

// AfterFunc is c's. Who stops a timer may do so more than once.
func (g *Group) AfterFunc(c Clock, d time.Duration, f func()) (stop func() bool) {
	g.running.Add(1)
	unset := c.AfterFunc(d, func() {
		defer g.running.Done()
		f()
	})
	return func() bool {
		stopped := unset()
		if stopped {
			g.running.Done()
		}
		return stopped
	}
}

// Wait returns when every timer has been stopped or has done what it was set for. It must
// not be called by a timer's function.
func (g *Group) Wait() { g.running.Wait() }
