package clock

import (
	"sync"
	"time"
)

// A Group is the timers of one owner, which must not end before their functions have returned.
// The zero value is usable. A Group is safe for concurrent use, with one exception: when Wait is
// called, no timer may be set any more, except by the functions of the group's own timers.
type Group struct{ running sync.WaitGroup }

// AfterFunc calls c.AfterFunc and adds the timer to the group. stop may be called more than once.
func (g *Group) AfterFunc(c Clock, d time.Duration, f func()) (stop func() bool) {
	g.running.Add(1)
	stopTimer := c.AfterFunc(d, func() {
		defer g.running.Done()
		f()
	})
	return func() bool {
		stopped := stopTimer()
		if stopped {
			g.running.Done()
		}
		return stopped
	}
}

// Wait blocks until each timer has been stopped or its function has returned. A timer's function
// must not call Wait.
func (g *Group) Wait() { g.running.Wait() }
