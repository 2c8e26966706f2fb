package logs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/logs"
)

// The times of the lines of a log rise, whatever the order in which goroutines have read the clock,
// unless the clock was set back.
func TestLinesAreInTheOrderOfTheirTimes(t *testing.T) {
	for name, c := range map[string]struct {
		rate int
		late time.Duration // of the second line
		set  bool          // the clock was set in between
		want string        // times of the three lines
	}{
		"in order":       {1, -time.Second, false, "08:50:03 08:50:04 08:50:04"},
		"overtaken":      {1, 4 * time.Second, false, "08:50:03 08:50:03 08:50:04"},
		"fast clock":     {60, 4 * time.Minute, false, "08:50:03 08:50:03 08:50:04"},
		"set back":       {1, time.Hour, false, "08:50:03 07:50:03 08:50:04"},
		"set back a bit": {1, 2 * time.Second, true, "08:50:03 08:50:01 08:50:04"},
	} {
		h := newHarness(t, 0, func(o *logs.Options) { o.Clock = clock.NewScaled(o.Clock, c.rate) }, mailLogs())
		for i, at := range []time.Time{startTime, startTime.Add(-c.late), startTime.Add(time.Second)} {
			if i == 1 && c.set {
				h.ClockSet()
			}
			h.Write(logs.Entry{Time: at, Type: logs.Mail, Level: logs.Information, Text: "line"})
		}
		var got []string
		for line := range strings.Lines(h.read("mail_logs/mail_logs.current")) {
			if strings.HasSuffix(line, " Info: line\n") {
				got = append(got, line[11:19])
			}
		}
		if times := strings.Join(got, " "); times != c.want {
			t.Errorf("%s: %s, want %s", name, times, c.want)
		}
	}
}
