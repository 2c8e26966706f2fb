package logs

import (
	"context"
	"fmt"
)

// An endingPusher closes a subscription's Pusher while the appliance keeps running, and logs how
// many messages are lost with it, so that none is lost silently.
type endingPusher struct {
	Pusher
	subscription *subscription
	queueKept    bool // the next Pusher continues with the queue on disk
}

// Close closes the Pusher.
func (p endingPusher) Close(ctx context.Context) error {
	err := p.Pusher.Close(ctx)
	stats := p.Stats()
	lost := stats.Waiting
	if p.queueKept {
		lost = stats.MemoryOnly // the disk had no room for these
	}
	if lost > 0 {
		what := "1 message that waited for the syslog server was discarded"
		if lost > 1 {
			what = fmt.Sprintf("%d messages that waited for the syslog server were discarded", lost)
		}
		name := p.subscription.name
		p.subscription.hub.Write(Entry{
			Type: Mail, Level: Warning, Text: "Log Error: Subscription " + name + ": " + what,
			origin: name,
		})
	}
	return err
}
