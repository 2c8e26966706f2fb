package commands_test

import (
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/metrics"
)

// tried waits until deliveries to a number of recipients have been tried: each has succeeded or
// failed. A recipient counts again with each failed attempt.
func (s *script) tried(ts *testscript.TestScript, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: tried N")
	}
	want, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	app := s.running.Appliance()
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	cancel := app.Events.Subscribe(func(events.Event) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer cancel()
	timeout := time.After(replyTimeout)
	for {
		select {
		case <-changed:
			f := app.Metrics.Snapshot()
			completed := f.Counter(metrics.CompletedRecipients).Uptime
			if completed+f.Counter(metrics.SoftBounces).Uptime >= want {
				return
			}
		case <-timeout:
			ts.Fatalf("not tried within %v", replyTimeout)
		}
	}
}
