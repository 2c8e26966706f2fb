package alert

import (
	"fmt"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/product"
)

// Subject returns the subject of an alert: severity, class, the appliance's host name, and the
// first length characters of the text (A8, A23).
func Subject(c Class, s Severity, hostname, text string, length int) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > length {
		text = string(r[:length]) + "..."
	}
	return fmt.Sprintf("%s <%s> %s: %s", s.ShortName(), c, hostname, text)
}

// stampLayout is the time in a message and in displayalerts.
const stampLayout = "2 Jan 2006 15:04:05 -0700"

// body returns the text of an alert's message (logs.md 4.3).
func body(a Alert, p product.Facts, zone *time.Location) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The %s message is:\n\n%s\n\n", a.Severity.ShortName(), a.Text)
	if a.Repeats != nil {
		fmt.Fprintf(&b, "%s\n\n", a.Repeats.Text(zone))
	}
	fmt.Fprintf(&b, "Version: %v\nSerial Number: %s\nTimestamp: %s\n\n",
		p.Version, p.Serial, a.Time.In(zone).Format(stampLayout))
	b.WriteString(supportLinks(p.Version))
	fmt.Fprintf(&b, "If you desire further information, please contact your support provider.\n\n"+
		"To open a support request for this issue, access the IronPort %s\n"+
		"and issue the \"supportrequest\" command. The command sends an email with\n"+
		"diagnostic information directly to Cisco IronPort Customer Support to\n"+
		"facilitate a rapid diagnosis of the problem.\n\n\nThank you.\n", p.Model)
	return b.String()
}

// supportLinks returns the paragraph about further information, which changed with version 9.
// The addresses in it are invented.
func supportLinks(v product.Version) string {
	if v.Before(product.Version{Major: 9}) {
		return "To learn more about alerts, please visit our Knowledge Base. In many cases, you can find further information about this specific alert. " +
			"Please click the Knowledge Base link after logging into our Support Portal at:\nhttp://www.cisco.com/web/ironport/index.html\n\n"
	}
	return "To learn more about alerts, visit our support community and troubleshooting site.  In many cases, you can find more information about this specific alert.\n" +
		"https://community.cisco.com/\nhttps://www.cisco.com/c/en/us/support/index.html\n\n"
}

// Text returns a sentence about the repeats, with times in the given zone.
func (r Repeats) Text(zone *time.Location) string {
	times := "times"
	if r.Count == 1 {
		times = "time"
	}
	first, last := r.First.In(zone), r.Last.In(zone)
	return fmt.Sprintf("Last message occurred %d %s between %s and %s.",
		r.Count, times, first.Format(time.ANSIC), last.Format(time.ANSIC))
}

// A Message is a message of the desk to one recipient.
type Message struct {
	About    string // what it is, for the log: see mailevents.InternalMessage
	From, To string // addresses of the envelope
	Subject  string
	Data     []byte // header and body
}

// messages returns a message with the given subject and text for each address.
func (d *Desk) messages(about, subject, text string, to []string) []Message {
	now, host := d.o.Clock.Now().In(d.o.Zone()), d.o.Hostname()
	from := d.o.Settings().Sender(host)
	var out []Message
	for _, address := range to {
		m := mail.Message{
			From:    fmt.Sprintf("IronPort %s Alert <%s>", d.o.Product.Model, from),
			To:      []string{address},
			Subject: subject,
			Date:    now,
			ID:      fmt.Sprintf("%x.%016x@%s", now.UnixNano(), d.o.Rand.Uint64(), host),
			Text:    text,
		}
		out = append(out, Message{
			About: about, From: from, To: address, Subject: subject, Data: m.Bytes(),
		})
	}
	return out
}
