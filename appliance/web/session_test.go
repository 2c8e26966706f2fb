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
type lateClock struct {
	clock.Clock
	release chan struct{}
}

func (c lateClock) AfterFunc(_ time.Duration, f func()) func() bool {
	go func() {
		<-c.release
		f()
	}()
	return func() bool { return false }
}

func TestCloseWaitsForTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSite(t)
		tardy := lateClock{s.clock, make(chan struct{})}
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
		close(tardy.release)
		<-closed
	})
}
