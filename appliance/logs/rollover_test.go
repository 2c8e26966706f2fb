package logs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/logs"
)

func TestRollOverBySize(t *testing.T) {
	conf := mailLogs()
	conf.MaxSize = logs.MinSize
	conf.MaxFiles = 3
	conf.Alert = true
	h := newHarness(t, 0, nil, conf)
	line := strings.Repeat("x", 1000)
	for i := range 500 {
		h.logMail(logs.Information, "%03d %s", i, line)
		if i%100 == 0 {
			h.clock.Advance(time.Minute)
		}
	}
	names := h.names("mail_logs")
	if len(names) != 3 || !strings.HasSuffix(names[0], ".s") ||
		!strings.HasSuffix(names[1], ".s") || !strings.HasSuffix(names[2], ".c") {
		t.Fatalf("files: %q", names)
	}
	last := -1
	for i, n := range names {
		text := h.read("mail_logs/" + n)
		if len(text) > logs.MinSize+100 {
			t.Errorf("%s has %d bytes", n, len(text))
		}
		rows := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
		if !strings.HasSuffix(rows[0], "Info: Begin Logfile\n") ||
			!strings.Contains(rows[1], "Info: Version: 8.0.1-023 SN: ") {
			t.Errorf("%s begins with %q", n, rows[:2])
		}
		if ended := strings.HasSuffix(rows[len(rows)-1], "Info: End Logfile"); ended != (i < 2) {
			t.Errorf("%s ends with %q", n, rows[len(rows)-1])
		}
		for _, r := range rows {
			var k int
			if _, err := fmt.Sscanf(r[24:], " Info: %03d ", &k); err != nil {
				continue
			}
			if last >= 0 && k != last+1 {
				t.Errorf("%s: %d follows %d", n, k, last)
			}
			last = k
		}
	}
	if last != 499 {
		t.Errorf("the last line is %d", last)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.problems) == 0 || h.problems[0].Kind != logs.FilesRemoved ||
		h.problems[0].Subscription != "mail_logs" {
		t.Errorf("the removal of files was not reported: %v", h.problems)
	}
}

func TestRollOverByTime(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*logs.Subscription)
		after  time.Duration // from Thursday 08:50:03
	}{
		"interval": {func(s *logs.Subscription) {
			s.Schedule, s.IntervalSeconds = logs.Interval, 3600
		}, time.Hour},
		"daily, today": {func(s *logs.Subscription) {
			s.Schedule, s.TimeOfDay = logs.Daily, "09:00"
		}, 9*time.Minute + 57*time.Second},
		"daily, morning": {func(s *logs.Subscription) {
			s.Schedule, s.TimeOfDay = logs.Daily, "00:00"
		}, 15*time.Hour + 9*time.Minute + 57*time.Second},
		"weekly": {func(s *logs.Subscription) {
			s.Schedule, s.Day, s.TimeOfDay = logs.Weekly, "Sunday", "00:00"
		}, 2*24*time.Hour + 15*time.Hour + 9*time.Minute + 57*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			conf := mailLogs()
			c.change(&conf)
			h := newHarness(t, 0, nil, conf)
			h.logMail(logs.Information, "before")
			h.flush()
			h.clock.Advance(c.after - time.Second)
			h.flush()
			if n := h.names("mail_logs"); len(n) != 1 {
				t.Fatalf("too early: %q", n)
			}
			h.clock.Advance(2 * time.Second)
			h.flush()
			at := startTime.Add(c.after).Format("20060102T150405")
			h.want(h.names("mail_logs"), []string{"mail_logs.@20150625T085003.s", "mail_logs.@" + at + ".c"})
			h.clock.Advance(30 * 24 * time.Hour)
			h.flush()
			h.want(len(h.names("mail_logs")), 2) // a file without lines is not rolled over
		})
	}
}

// newNoonHarness returns a harness whose log conf is rolled over daily at 12:00 by a clock that
// can be set. The clock shows 08:50:03.
func newNoonHarness(t *testing.T, conf logs.Subscription) (h *harness, offset *clock.Offset) {
	t.Helper()
	conf.Schedule, conf.TimeOfDay = logs.Daily, "12:00"
	h = newHarness(t, 0, func(o *logs.Options) {
		offset = clock.NewOffset(o.Clock)
		o.Clock = offset
	}, conf)
	return h, offset
}

// A time of day is read from the appliance's clock, even if that is set meanwhile, and is in the
// zone that the appliance has at that time.
func TestRollOverByTimeFollowsTheClock(t *testing.T) {
	at := func(clock string) time.Time {
		c, err := time.ParseInLocation("15:04:05", clock, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(2015, 6, 25, c.Hour(), c.Minute(), c.Second(), 0, berlin)
	}
	for name, c := range map[string]struct {
		change func(*harness, *clock.Offset) // at 08:50:03; the roll-over is at 12:00
		after  time.Duration
	}{
		"not set": {func(*harness, *clock.Offset) {}, 3*time.Hour + 9*time.Minute +
			57*time.Second},
		"set forward": {func(_ *harness, o *clock.Offset) { o.Set(at("11:50:03")) },
			9*time.Minute + 57*time.Second},
		"set back": {func(_ *harness, o *clock.Offset) { o.Set(at("08:40:03")) },
			3*time.Hour + 19*time.Minute + 57*time.Second},
		"set past it": {func(_ *harness, o *clock.Offset) { o.Set(at("12:30:00")) },
			time.Minute},
		"the day before": {func(_ *harness,
			o *clock.Offset) {
			o.Set(at("11:50:03").AddDate(0, 0, -1))
		}, 9*time.Minute +
			57*time.Second},
		"another zone": {func(h *harness, _ *clock.Offset) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.zone = time.FixedZone("", 5*3600) // where it is 11:50:03
		}, 9*time.Minute + 57*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			h, offset := newNoonHarness(t, mailLogs())
			h.logMail(logs.Information, "before")
			h.flush()
			c.change(h, offset)
			h.clock.Advance(c.after - time.Second)
			if n := h.names("mail_logs"); len(n) != 1 {
				t.Errorf("too early: %q", n)
			}
			h.clock.Advance(time.Second)
			if n := h.names("mail_logs"); len(n) != 2 {
				t.Errorf("not rolled over: %q", n)
			}
		})
	}
}

// The clock is set twice before the disk has done the roll-over that the first change caused.
func TestTimeOfDayRollsOverOnce(t *testing.T) {
	h, offset := newNoonHarness(t, oneSavedFile())
	unblock := h.blockDisk()
	offset.Advance(4 * time.Hour) // from 08:50:03
	h.ClockSet()
	h.logMail(logs.Information, "between")
	h.ClockSet()
	h.logMail(logs.Information, "after")
	unblock()
	h.flush()
	names := h.names("mail_logs")
	if text := h.read("mail_logs/" + names[len(names)-1]); !strings.HasSuffix(text, "Info: between\nThu Jun 25 12:50:03 2015 Info: after\n") {
		t.Errorf("%q ends with %q", names, text)
	}
}

// ClockSet takes effect immediately, even if the clock is set past the time of day and back.
func TestRollOverWhenTheClockIsSet(t *testing.T) {
	h, offset := newNoonHarness(t, mailLogs())
	h.logMail(logs.Information, "before")
	for i, hours := range []time.Duration{4, -4, 4} {
		offset.Advance(hours * time.Hour) // from 08:50:03
		h.ClockSet()
		h.logMail(logs.Information, "after")
		h.flush()
		if n := h.names("mail_logs"); len(n) != 2+i/2 {
			t.Errorf("after %d changes: %q", i+1, n)
		}
	}
}

func TestRollOverByHand(t *testing.T) {
	h := newHarness(t, 0, nil)
	if err := h.RollOver(t.Context(), "mail_logs"); err != nil || len(h.names("mail_logs")) != 0 {
		t.Errorf("nothing to roll over: %v, %q", err, h.names("mail_logs"))
	}
	h.logMail(logs.Information, "before")
	if err := h.RollOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "after")
	h.want(h.names("mail_logs"), []string{"mail_logs.@20150625T085003.s", "mail_logs.@20150625T085004.c"})
	h.want(h.read("mail_logs/mail_logs.@20150625T085003.s"), header+
		"Thu Jun 25 08:50:03 2015 Info: before\nThu Jun 25 08:50:03 2015 Info: End Logfile\n")
	h.want(h.read("mail_logs/mail_logs.current"), header+"Thu Jun 25 08:50:03 2015 Info: after\n")
	if err := h.RollOver(t.Context(), "nothing"); !errors.Is(err, logs.ErrNoSubscription) {
		t.Errorf("an unknown log: %v", err)
	}
}
