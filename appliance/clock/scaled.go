package clock

import (
	"context"
	"math"
	"time"
)

// A Scaled is a clock that runs a whole number of times as fast as the clock that it wraps.
type Scaled struct {
	base   Clock
	rate   int
	start  time.Time // the wall time at origin
	origin Mark      // of base
}

// NewScaled returns a clock that shows c's time now, and runs rate times as fast from now on. A rate
// below 1 counts as 1.
func NewScaled(c Clock, rate int) *Scaled {
	return &Scaled{base: c, rate: max(rate, 1), start: c.Now().Round(0), origin: c.Mark()}
}

// Now returns the wall time.
func (s *Scaled) Now() time.Time { return s.start.Add(time.Duration(s.Mark())) }

// Mark returns the time that has passed on s since NewScaled. After 292 years it stands still.
func (s *Scaled) Mark() Mark {
	passed := max(s.base.Since(s.origin), 0)
	if passed > math.MaxInt64/time.Duration(s.rate) {
		return math.MaxInt64
	}
	return Mark(passed * time.Duration(s.rate))
}

// Since returns the time that has passed on s since m.
func (s *Scaled) Since(m Mark) time.Duration { return time.Duration(s.Mark() - m) }

// Sleep waits until d has passed on s.
func (s *Scaled) Sleep(ctx context.Context, d time.Duration) error {
	return s.base.Sleep(ctx, s.onBase(d))
}

// AfterFunc calls f when d has passed on s.
func (s *Scaled) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return s.base.AfterFunc(s.onBase(d), f)
}

// onBase returns the time in which d passes on s. It is rounded up, so that a wait is never shorter
// than was asked for.
func (s *Scaled) onBase(d time.Duration) time.Duration {
	rate := time.Duration(s.rate)
	short := d / rate
	if d > short*rate {
		short++
	}
	return short
}

// RealTime returns the clock on which time passes at its own pace, even if c is a Scaled, or an
// Offset over one: the clock that these wrap. It is for waits whose end depends on a machine or a
// person outside, such as the limit of an idle session. Marks of the two clocks must not be mixed.
func RealTime(c Clock) Clock {
	switch c := c.(type) {
	case *Offset:
		return RealTime(c.Clock)
	case *Scaled:
		return RealTime(c.base)
	}
	return c
}

// Rate returns how many times as fast c runs as RealTime(c).
func Rate(c Clock) int {
	switch c := c.(type) {
	case *Offset:
		return Rate(c.Clock)
	case *Scaled:
		return c.rate * Rate(c.base)
	}
	return 1
}
