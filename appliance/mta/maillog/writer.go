package maillog

import (
	"fmt"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/product"
)

// Options configure a Writer. All are required.
type Options struct {
	Version product.Version
	// Settings returns the committed settings of all logs, which say whether the lines about
	// Message-ID, subject and response are written.
	Settings func() logs.Settings
	// Zone returns the appliance's time zone, for times within lines.
	Zone func() *time.Location
	// Write writes an entry. It must not block.
	Write func(logs.Entry)
}

// A Writer writes the mail log, the bounce log and the delivery log. It is safe for concurrent use.
type Writer struct{ o Options }

// New returns a Writer.
func New(o Options) *Writer { return &Writer{o} }

// The versions that changed the form of lines (mail.md 1.9).
var (
	version7_6 = product.Version{Major: 7, Minor: 6}
	version9   = product.Version{Major: 9}
	version10  = product.Version{Major: 10}
	version11  = product.Version{Major: 11}
	version14  = product.Version{Major: 14}
)

// since reports whether the appliance's version is v or a later one.
func (w *Writer) since(v product.Version) bool { return !w.o.Version.Before(v) }

// Handle writes the lines about an event. Events that are not about mail are ignored.
func (w *Writer) Handle(e events.Event) {
	if w.writeInternal(e) {
		return
	}
	for _, line := range w.lines(e.Fields) {
		w.write(logs.Mail, logs.Information, e, line)
	}
	switch f := e.Fields.(type) {
	case mailevents.Suspension:
		for _, line := range suspensionLines(f) {
			w.write(logs.Mail, logs.Information, e, line)
			w.write(logs.System, logs.Information, e, line)
		}
	case mailevents.Delivered:
		w.writeRecord(e, func(int) string { return w.deliveryRecord(e.Wall, f) })
	case mailevents.HarvestSuspected:
		w.write(logs.Mail, logs.Warning, e, harvestLine(f))
	case mailevents.Bounced:
		w.o.Write(logs.Entry{
			Time: e.Wall, Type: logs.Bounce, Level: logs.Information, Cause: e.Seq, Follows: true,
			Text: w.bounceLogLine("Bounced", f.DCID, f.MID, f.RID, f.From, f.To, f.Failure) +
				w.bounceLogHeaders(f.LoggedHeaders),
			Rest: func(n int) string { return bouncedMessage(f.Message, n) },
		})
		w.writeRecord(e, func(int) string { return w.bounceRecord(e.Wall, f) })
	case mailevents.Delayed:
		w.write(logs.Bounce, logs.Information, e, w.bounceLogLine("Delayed", f.DCID, f.MID, f.RID,
			f.From, f.To, f.Failure))
	}
}

// writeRecord writes to the delivery log. The record is made only if there is one.
func (w *Writer) writeRecord(e events.Event, record func(int) string) {
	w.o.Write(logs.Entry{
		Time: e.Wall, Type: logs.Delivery, Level: logs.Information, Rest: record,
		Cause: e.Seq, Follows: true,
	})
}

func (w *Writer) write(t logs.Type, level logs.Level, e events.Event, text string) {
	w.o.Write(logs.Entry{
		Time: e.Wall, Type: t, Level: level, Text: text, Cause: e.Seq, Follows: true,
	})
}

// lines returns the lines of the mail log about an event that are of level Info.
func (w *Writer) lines(fields events.Fields) []string {
	if out := w.connectionLines(fields); out != nil {
		return out
	}
	if out := w.messageLines(fields); out != nil {
		return out
	}
	return w.deliveryLines(fields)
}

// messageLines returns the lines about messages until they are queued for delivery, and about
// their end (mail.md 1.3, 1.4).
func (w *Writer) messageLines(fields events.Fields) []string {
	switch f := fields.(type) {
	case mailevents.MessageStarted:
		out := []string{fmt.Sprintf("Start MID %d ICID %d", f.MID, f.ICID)}
		if f.Generated != "" {
			out = append(out, fmt.Sprintf("MID %d was generated for %s of MID %d", f.MID, f.Generated, f.Of))
		}
		return append(out, fmt.Sprintf("MID %d ICID %d From: <%s>", f.MID, f.ICID, f.From))
	case mailevents.RecipientAccepted:
		return one("MID %d ICID %d RID %d To: <%s>", f.MID, f.ICID, f.RID, f.To)
	case mailevents.RecipientExpanded: // no line of the appliance is public
		return one("MID %d ICID %d To: <%s> Rewritten by alias table", f.MID, f.ICID, f.To)
	case mailevents.RecipientRejected:
		return one("MID %d ICID %d To: <%s> Rejected by %s", f.MID, f.ICID, f.To, f.By)
	case mailevents.MessageRead:
		return w.headerLines(f)
	case mailevents.MessageReady:
		return one("MID %d ready %d bytes from <%s>", f.MID, f.Bytes, f.From)
	case mailevents.MessageAborted:
		return one("Message aborted MID %d %s", f.MID, f.Reason)
	case mailevents.MessageFinished:
		how := "done"
		if f.Aborted {
			how = "aborted"
		}
		return one("Message finished MID %d %s", f.MID, how)
	case mailevents.PolicyMatched:
		table := "inbound"
		if f.Outgoing {
			table = "outbound"
		}
		return one("MID %d matched all recipients for per-recipient policy %s in the %s table",
			f.MID, f.Policy, table)
	case mailevents.MessageQueued:
		return one("MID %d queued for delivery", f.MID)
	}
	return nil
}

// headerLines returns the lines about a message's header that the settings ask for.
func (w *Writer) headerLines(f mailevents.MessageRead) []string {
	settings := w.o.Settings()
	var out []string
	if settings.MessageID {
		out = append(out, fmt.Sprintf("MID %d Message-ID %s", f.MID, quote(f.MessageID)))
	}
	if settings.Subject {
		subject := quote(f.Subject)
		if w.since(version14) {
			subject = quoteWith(f.Subject, '"')
		}
		out = append(out, fmt.Sprintf("MID %d Subject %s", f.MID, subject))
	}
	return out
}

// suspensionLines returns the lines about what an administrator has suspended or resumed, which
// the mail log and the system log have. Their text is that of the commands (mail.md 3.7).
func suspensionLines(f mailevents.Suspension) []string {
	how := "resumed"
	if f.Suspended {
		how = "suspended"
	}
	switch f.What {
	case mailevents.Receiving:
		var out []string
		for _, name := range f.Listeners {
			out = append(out, fmt.Sprintf("Receiving %s for %s.", how, name))
		}
		return out
	case mailevents.Delivery:
		return one("Mail delivery %s.", how)
	}
	if f.Suspended {
		how = "paused"
	}
	return one("Work queue %s.", how)
}

// one returns a single line.
func one(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }

// yesNo returns the word for a fact in a line.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// sentences joins what is not empty by blanks.
func sentences(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, " ")
}
