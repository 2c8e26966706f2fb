package clock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

var start = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)

func TestFakeRunsTimersInOrder(t *testing.T) {
	c := clock.NewFake(start)
	var got []string
	c.AfterFunc(2*time.Second, func() { got = append(got, "two at "+c.Now().Format("05")) })
	c.AfterFunc(time.Second, func() {
		got = append(got, "one")
		c.AfterFunc(500*time.Millisecond, func() { got = append(got, "one and a half") })
	})
	stop := c.AfterFunc(time.Second, func() { got = append(got, "stopped") })
	if !stop() || stop() {
		t.Error("want true from the first stop and false from the second")
	}
	m := c.Mark()
	if err := c.Sleep(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	want := []string{"one", "one and a half", "two at 05"}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("ran %q, want %q", got, want)
	}
	if c.Since(m) != time.Hour || !c.Now().Equal(start.Add(time.Hour)) {
		t.Errorf("a sleep of an hour took %v and ended at %v", c.Since(m), c.Now())
	}
}

func TestSleepEndsWithTheCause(t *testing.T) {
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	for _, c := range []clock.Clock{clock.System(), clock.NewFake(start)} {
		if err := c.Sleep(ctx, time.Hour); !errors.Is(err, why) {
			t.Errorf("%T: Sleep = %v", c, err)
		}
	}
}

func TestOffsetShiftsWallTimeOnly(t *testing.T) {
	f := clock.NewFake(start)
	o := clock.NewOffset(f)
	m := o.Mark()
	o.Set(start.Add(-24 * time.Hour))
	if got := o.Now(); !got.Equal(start.Add(-24 * time.Hour)) {
		t.Errorf("Now = %v", got)
	}
	if d := o.Since(m); d != 0 {
		t.Errorf("Since = %v after the wall time was set, want 0", d)
	}
	f.Advance(time.Minute)
	if got := o.Now(); !got.Equal(start.Add(time.Minute - 24*time.Hour)) {
		t.Errorf("a minute later Now = %v", got)
	}
	o.Advance(24 * time.Hour)
	if got := o.Now(); !got.Equal(start.Add(time.Minute)) || o.Shift() != 0 {
		t.Errorf("after Advance by a day Now = %v, Shift = %v", got, o.Shift())
	}
}

func TestGroupWaitsForRunningTimersOnly(t *testing.T) {
	var g clock.Group
	stop := g.AfterFunc(clock.System(), time.Hour, func() { t.Error("a stopped timer has run") })
	if !stop() || stop() {
		t.Error("want true from the first stop and false from the second")
	}
	started, release, done := make(chan struct{}), make(chan struct{}), false
	g.AfterFunc(clock.System(), 0, func() {
		close(started)
		<-release
		done = true
	})
	<-started
	close(release)
	if g.Wait(); !done {
		t.Error("Wait returned before the function of the timer")
	}
}
