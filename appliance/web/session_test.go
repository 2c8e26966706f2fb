package web

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
)

// A tardyClock's timers fall due at once, cannot be stopped any more, and do what they are
// set for when they are let.
type tardyClock struct {
	clock.Clock
	let chan struct{}
}

func (c tardyClock) AfterFunc(_ time.Duration, f func()) func() bool {
	go func() {
		<-c.let
		f()
	}()
	return func() bool { return false }
}

func TestTheEndOfTheSessionsWaitsForTheirTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		tardy := tardyClock{s.clock, make(chan struct{})}
		s.appliance.Clock = clock.NewOffset(tardy)
		s.site.sessions.begin(users.Account{Name: "admin"}, netip.MustParseAddr(address))
		closed := make(chan struct{})
		go func() {
			s.site.sessions.close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("it did not wait")
		default:
		}
		close(tardy.let)
		<-closed
	})
}
