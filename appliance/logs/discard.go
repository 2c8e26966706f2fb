package logs

import (
	"context"
	"fmt"
)

// A discarder closes a Pusher whose queue nobody goes on with, and says in the mail log
// what was in it: nothing is lost without a word.
type discarder struct {
	Pusher
	subscription *subscription
}

// Close is the Pusher's.
func (d discarder) Close(ctx context.Context) error {
	err := d.Pusher.Close(ctx)
	if n := d.Stats().Waiting; n > 0 {
		what := "1 message that waited for the syslog server was discarded"
		if n > 1 {
			what = fmt.Sprintf("%d messages that waited for the syslog server were discarded", n)
		}
		name := d.subscription.name
		d.subscription.hub.Write(Entry{Type: Mail, Level: Warning, Text: "Log Error: Subscription " + name + ": " + what, origin: name})
	}
	return err
}
