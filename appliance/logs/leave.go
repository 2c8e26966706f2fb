package logs

import (
	"context"
	"fmt"
)

// A leave closes a subscription's Pusher while the appliance goes on, and says in the
// mail log what is lost with it: nothing is lost without a word.
type leave struct {
	Pusher
	of   *subscription
	kept bool // another Pusher goes on with what is on disk
}

// Close is the Pusher's.
func (l leave) Close(ctx context.Context) error {
	err := l.Pusher.Close(ctx)
	stats := l.Stats()
	lost := stats.Waiting
	if l.kept {
		lost = stats.MemoryOnly // the disk had no room for it
	}
	if lost > 0 {
		what := "1 message that waited for the syslog server was discarded"
		if lost > 1 {
			what = fmt.Sprintf("%d messages that waited for the syslog server were discarded", lost)
		}
		l.of.hub.Write(Entry{Type: Mail, Level: Warning, Text: "Log Error: Subscription " + l.of.name + ": " + what, origin: l.of.name})
	}
	return err
}
