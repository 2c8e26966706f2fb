package web

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
)

// The timers of a lateClock expire at once and can no longer be stopped, but their functions wait
// for release.
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
		late := lateClock{s.clock, make(chan struct{})}
		s.appliance.Clock = clock.NewOffset(late)
		admin, _ := s.appliance.Users.Lookup(users.FactoryName)
		s.site.sessions.begin(admin, netip.MustParseAddr(address))
		closed := make(chan struct{})
		go func() {
			s.site.sessions.close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("close did not wait")
		default:
		}
		close(late.release)
		<-closed
	})
}
