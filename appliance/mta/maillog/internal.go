package maillog

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// writeInternal writes the lines about the appliance's own messages (logs.md 4.4). It reports
// whether the event is about one.
func (w *Writer) writeInternal(e events.Event) bool {
	switch f := e.Fields.(type) {
	case mailevents.InternalAttempted:
		w.write(logs.Mail, w.attemptLevel(), e, fmt.Sprintf("Internal SMTP system attempting to send a "+
			"message to %s with subject '%s' (attempt #%d).", f.Message.To, f.Message.Subject, f.Attempt))
	case mailevents.InternalFailed:
		text := fmt.Sprintf("Failed to find a mail exchanger of %s for recipient %s: %s.",
			f.Domain, f.Message.To, f.Reason)
		if f.Host.IsValid() {
			text = fmt.Sprintf("Failed to send message to host %v for recipient %s: %s.",
				f.Host, f.Message.To, f.Reason)
		}
		w.write(logs.Mail, logs.Warning, e, "Internal SMTP Error: "+text)
	case mailevents.InternalSent:
		w.write(logs.Mail, w.attemptLevel(), e, fmt.Sprintf("Internal SMTP system successfully sent a "+
			"message to %s with subject '%s'.", f.Message.To, f.Message.Subject))
		if strings.HasSuffix(f.Message.About, mailevents.AlertSuffix) {
			w.write(logs.Mail, logs.Information, e, fmt.Sprintf("A %s was sent to %s with subject \"%s\".",
				f.Message.About, f.Message.To, f.Message.Subject))
		}
	case mailevents.InternalGivenUp:
		w.write(logs.Mail, logs.Critical, e, fmt.Sprintf("Internal SMTP giving up on message to %s with "+
			"subject '%s': %s.", f.Message.To, f.Message.Subject, f.Reason))
		w.write(logs.Mail, logs.Critical, e, notSentLine(f.Message))
	case mailevents.Internal:
	default:
		return false
	}
	return true
}

// notSentLine returns the line about an alert or a report that nobody will get.
func notSentLine(m mailevents.InternalMessage) string {
	if m.About == mailevents.AutoSupport {
		return fmt.Sprintf("Error while sending AutoSupport report to %s with subject \"%s\".",
			m.To, m.Subject)
	}
	return fmt.Sprintf("Error while sending alert: Unable to send %s to %s with subject \"%s\".",
		m.About, m.To, m.Subject)
}

// attemptLevel returns the level of the lines about each attempt to send a message. Before
// version 9 the mail log does not show them at the factory's level: in A4 the first line after
// the header is about the alert.
func (w *Writer) attemptLevel() logs.Level {
	if w.since(version9) {
		return logs.Information
	}
	return logs.Debug
}
