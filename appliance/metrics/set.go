package metrics

import (
	"log/slog"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// saveInterval is how long a changed lifetime counter may be in memory only.
const saveInterval = time.Minute

// Options configure a Set. All are required.
type Options struct {
	Clock  clock.Clock
	File   string // keeps the lifetime counters
	Logger *slog.Logger
}

// A Set holds the figures of one appliance. It is safe for concurrent use.
type Set struct {
	o      Options
	timers clock.Group

	mu         sync.Mutex
	lifetime   tally
	atStart    tally // lifetime when the appliance came up
	atReset    tally // lifetime at the last reset
	lastReset  time.Time
	history    *history // nil before the first event
	hosts      hostTable
	inbound    map[uint64]source // open connections from clients, by ICID
	saveTimer  func() bool       // nil: none is set
	unsaved    bool              // the file is not up to date
	saveFailed bool
	closed     bool
}

// Open returns a Set with the lifetime counters of the file. A file that is missing, empty or
// damaged counts as zeros; a damaged one is logged.
func Open(o Options) *Set {
	s := &Set{o: o, hosts: newHostTable(), inbound: map[uint64]source{}}
	saved, err := load(o.File)
	if err != nil {
		o.Logger.Warn("the file of the lifetime counters is ignored", "file", o.File, "err", err)
	}
	s.lifetime, s.atReset, s.lastReset = saved.tallies()
	s.atStart = s.lifetime
	return s
}

// Handle counts an event. It is a subscriber of the appliance's event stream.
func (s *Set) Handle(e events.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := e.Fields.(mailevents.Internal); ok {
		e.Fields = f.Event
	}
	changed := false
	count(e.Fields, func(c Counter, n uint64) {
		changed = true
		s.lifetime[c] += n
		if s.history == nil {
			s.history = &history{newest: slotOf(e.Monotonic)}
		}
		s.history.add(e.Monotonic, c, n)
	})
	s.hosts.handle(e)
	switch f := e.Fields.(type) {
	case mailevents.ConnectionOpened:
		s.inbound[f.ICID] = source{f.Host, f.Verified, f.Remote.Addr(), f.Listener}
	case mailevents.ConnectionClosed:
		delete(s.inbound, f.ICID)
	}
	if changed {
		s.saveLater()
	}
}

// Reset starts the column Reset at zero, and returns the time of the reset. It waits until the file
// is written; if that fails, the reset holds until the appliance is restarted.
func (s *Set) Reset() time.Time {
	s.mu.Lock()
	at := s.o.Clock.Now()
	s.atReset, s.lastReset, s.unsaved = s.lifetime, at, true
	s.mu.Unlock()
	s.save()
	return at
}

// saveLater has the file written within saveInterval. mu must be held.
func (s *Set) saveLater() {
	s.unsaved = true
	if s.saveTimer != nil || s.closed {
		return
	}
	s.saveTimer = s.timers.AfterFunc(clock.RealTime(s.o.Clock), saveInterval, func() {
		s.mu.Lock()
		s.saveTimer = nil
		s.mu.Unlock()
		s.save()
	})
}

// save writes the file. An error is logged once, until a later write succeeds.
func (s *Set) save() {
	s.mu.Lock()
	now := newSaved(s.lifetime, s.atReset, s.lastReset)
	s.unsaved = false
	s.mu.Unlock()
	err := now.write(s.o.File)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.unsaved = true
	}
	if err != nil && !s.saveFailed {
		s.o.Logger.Warn("the lifetime counters are kept in memory: they cannot be stored", "err", err)
	}
	s.saveFailed = err != nil
}

// Close writes the file if counters have changed since it was written. Events that come later are
// counted, but not saved. Close may be called more than once.
func (s *Set) Close() {
	s.mu.Lock()
	if s.saveTimer != nil {
		s.saveTimer()
		s.saveTimer = nil
	}
	s.closed = true
	s.mu.Unlock()
	s.timers.Wait()
	s.mu.Lock()
	unsaved := s.unsaved
	s.mu.Unlock()
	if unsaved {
		s.save()
	}
}
