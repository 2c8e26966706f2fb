package logs

import "time"

// scheduleRollOver computes when the next roll-over by time is due and starts its timer. mu must
// be held.
func (s *subscription) scheduleRollOver() {
	s.clearTimer()
	if s.conf.Schedule == NoSchedule || s.ended {
		return
	}
	now := s.now()
	s.due = s.conf.nextRollOver(now)
	s.startTimer(now)
}

func (s *subscription) clearTimer() {
	if s.stopTimer != nil {
		s.stopTimer()
		s.stopTimer = nil
	}
}

// startTimer starts the timer of the roll-over that is due, or of the next look at the clock. mu
// must be held.
func (s *subscription) startTimer(now time.Time) {
	wait := s.due.Sub(now)
	if s.conf.Schedule != Interval {
		wait = min(wait, clockCheckInterval)
	}
	s.stopTimer = s.hub.timers.AfterFunc(s.hub.o.Clock, wait, s.timerFired)
}

// timerFired is called when a timer has expired.
func (s *subscription) timerFired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.conf.Schedule == NoSchedule {
		return
	}
	if s.conf.Schedule == Interval {
		s.enqueueRollOver(s.now())
		return
	}
	s.checkTimeOfDay()
}

// clockSet is called when the clock or its zone was set.
func (s *subscription) clockSet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.second = 0 // the next stamp may be earlier
	if !s.ended && (s.conf.Schedule == Daily || s.conf.Schedule == Weekly) {
		s.checkTimeOfDay()
	}
}

// checkTimeOfDay rolls over if the time of day is reached, and otherwise keeps waiting for it.
// mu must be held.
func (s *subscription) checkTimeOfDay() {
	s.clearTimer()
	now := s.now()
	if !now.Before(s.due) {
		// Before the drainer's turn another check must not find the same roll-over due.
		s.due = s.conf.nextRollOver(now)
		s.enqueueRollOver(now)
		return
	}
	if next := s.conf.nextRollOver(now); next.Before(s.due) { // the clock was set back
		s.due = next
	}
	s.startTimer(now)
}

// enqueueRollOver lets the drainer roll over and then schedule the next roll-over. mu must be
// held.
func (s *subscription) enqueueRollOver(now time.Time) {
	s.jobs = append(s.jobs, job{kind: jobScheduledRollOver, at: now})
	s.startDrainer()
}

func (s *subscription) now() time.Time { return s.hub.o.Clock.Now().In(s.hub.o.Zone()) }

// nextRollOver returns when the first roll-over by time after now is due.
func (s Subscription) nextRollOver(now time.Time) time.Time {
	if s.Schedule == Interval {
		return now.Add(time.Duration(s.IntervalSeconds) * time.Second)
	}
	at, _ := time.Parse("15:04", s.TimeOfDay) // Check has found it valid
	day := now.Day()
	for {
		t := time.Date(now.Year(), now.Month(), day, at.Hour(), at.Minute(), 0, 0, now.Location())
		weekday, _ := s.Day.day()
		if t.After(now) && (s.Schedule == Daily || t.Weekday() == weekday) {
			return t
		}
		day++
	}
}
