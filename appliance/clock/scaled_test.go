package clock_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

func TestScaledRunsFaster(t *testing.T) {
	f := clock.NewFake(start)
	s := clock.NewScaled(f, 60)
	m := s.Mark()
	var fired []time.Time
	s.AfterFunc(time.Hour, func() { fired = append(fired, s.Now()) })
	stop := s.AfterFunc(time.Hour, func() { t.Error("a stopped timer has run") })
	if !stop() || stop() {
		t.Error("want true from the first stop and false from the second")
	}
	f.Advance(59 * time.Second)
	if got := s.Now(); !got.Equal(start.Add(59*time.Minute)) || len(fired) > 0 {
		t.Errorf("after 59 seconds Now = %v, and timers have fired at %v", got, fired)
	}
	f.Advance(time.Second)
	if len(fired) != 1 || !fired[0].Equal(start.Add(time.Hour)) {
		t.Errorf("a timer of an hour has fired at %v", fired)
	}
	if err := s.Sleep(t.Context(), time.Hour); err != nil || s.Since(m) != 2*time.Hour {
		t.Errorf("Sleep = %v, Since = %v, want 2h", err, s.Since(m))
	}
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := s.Sleep(ctx, time.Hour); !errors.Is(err, why) {
		t.Errorf("Sleep = %v", err)
	}
}

// A wait on a fast clock is never shorter than was asked for, and time never runs back.
func TestScaledRounding(t *testing.T) {
	f := clock.NewFake(start)
	s := clock.NewScaled(f, 1000)
	fired := false
	s.AfterFunc(1500*time.Nanosecond, func() { fired = true })
	if f.Advance(time.Nanosecond); fired {
		t.Error("a timer of 1500 ns has fired after 1000 ns")
	}
	if f.Advance(time.Nanosecond); !fired {
		t.Error("a timer of 1500 ns has not fired after 2000 ns")
	}
	before := s.Now()
	f.Advance(math.MaxInt64 / 10) // 29 years, which are 29,000 on s
	if now := s.Now(); now.Before(before) || s.Since(0) < 0 {
		t.Errorf("after %v, Now = %v, Since = %v", before, now, s.Since(0))
	}
}

func TestRealTime(t *testing.T) {
	f := clock.NewFake(start)
	if o := clock.NewOffset(f); clock.RealTime(o) != clock.Clock(f) || clock.Rate(o) != 1 {
		t.Error("the real time of an Offset is not the clock that it wraps")
	}
	o := clock.NewOffset(clock.NewScaled(f, 24))
	if clock.RealTime(o) != clock.Clock(f) || clock.Rate(o) != 24 {
		t.Errorf("an Offset over a Scaled has the rate %d, want 24", clock.Rate(o))
	}
	o.Advance(time.Hour)
	f.Advance(time.Second)
	if got := o.Now(); !got.Equal(start.Add(time.Hour + 24*time.Second)) {
		t.Errorf("Now = %v", got)
	}
	if s := clock.NewScaled(f, 0); clock.Rate(s) != 1 {
		t.Errorf("a rate of 0 is %d", clock.Rate(s))
	}
}
