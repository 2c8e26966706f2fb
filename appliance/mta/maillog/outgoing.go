package maillog

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/pattern"
)

// deliveryLines returns the lines about deliveries and bounces (mail.md 1.3, 1.6).
func (w *Writer) deliveryLines(fields events.Fields) []string {
	switch f := fields.(type) {
	case mailevents.DeliveryConnectionOpened:
		line := fmt.Sprintf("New SMTP DCID %d interface %v address %v", f.DCID, f.Local,
			f.Remote.Addr())
		if w.since(version7_6) {
			line += fmt.Sprintf(" port %d", f.Remote.Port())
		}
		return []string{line}
	case mailevents.ServerTLS:
		return []string{w.serverTLSLine(f)}
	case mailevents.DeliveryStarted:
		return one("Delivery start DCID %d MID %d to RID %s", f.DCID, f.MID, recipients(f.RIDs))
	case mailevents.Delivered:
		return w.deliveredLines(f)
	case mailevents.Bounced:
		if f.Double {
			return one("Double bounce: MID %d to %d - %s - %s %s", f.MID, f.RID, f.Failure.Status,
				f.Failure.Phrase, Diagnostic(f.Failure.Reply))
		}
		return []string{failureLine("Bounced", f.DCID, f.MID, f.RID, f.Failure, f.LoggedHeaders)}
	case mailevents.Delayed:
		return []string{failureLine("Delayed", f.DCID, f.MID, f.RID, f.Failure, f.LoggedHeaders)}
	case mailevents.Pending:
		return one("Message %d to RID %s pending till %s", f.MID, recipients(f.RIDs),
			f.Until.In(w.o.Zone()).Format("Mon Jan _2 15:04:05 2006"))
	case mailevents.DeliveryConnectionFailed:
		return []string{w.connectionErrorLine(f)}
	case mailevents.DNSFailed:
		if f.Route {
			return one("DNS failure for SMTP route destination %s", f.Domain)
		}
		return one("DNS Temporary Failure %s %s", f.Domain, f.Detail)
	case mailevents.RecipientsDeleted: // the form is not attested
		return one("Message deleted MID %d to RID %s", f.MID, recipients(f.RIDs))
	case mailevents.DeliveryConnectionClosed:
		return one("DCID %d close", f.DCID)
	}
	return nil
}

// serverTLSLine returns the line about TLS with a mail server. Before version 9 a line about
// success ended with a blank; since version 11 it names the domain.
func (w *Writer) serverTLSLine(f mailevents.ServerTLS) string {
	if !f.OK {
		return sentences(fmt.Sprintf("DCID %d TLS failed:", f.DCID), f.Reason)
	}
	line := fmt.Sprintf("DCID %d TLS success protocol %s cipher %s", f.DCID, f.Protocol, f.Cipher)
	switch {
	case w.since(version11):
		line += " for " + f.Domain
	case !w.since(version9):
		line += " "
	}
	return line
}

// deliveredLines returns the line about a delivery and, if the settings ask for it, the one about
// the server's response. Before version 9 the first one ended with a blank.
func (w *Writer) deliveredLines(f mailevents.Delivered) []string {
	line := fmt.Sprintf("Message done DCID %d MID %d to RID %s", f.DCID, f.MID, recipients(f.RIDs))
	switch {
	case len(f.LoggedHeaders) > 0:
		line += " " + headers(f.LoggedHeaders)
	case !w.since(version9):
		line += " "
	}
	out := []string{line}
	if w.o.Settings().Response {
		out = append(out, fmt.Sprintf("MID %d RID %s Response %s", f.MID, recipients(f.RIDs),
			quote(response(f.Response))))
	}
	return out
}

// emptyPraise is what the line about a response leaves out at its beginning: white space and
// punctuation, and the OK of a positive reply (logs.md 3.2).
var emptyPraise = pattern.New(`^[\s[:punct:]]*((Ok|OK)\b[\s[:punct:]]*)?`)

// response returns the text of a positive reply as the line about it has it. A reply that says
// nothing but OK is kept.
func response(r mailevents.Reply) string {
	text := strings.Join(r.Lines, "\n")
	if rest := emptyPraise().ReplaceAllString(text, ""); rest != "" {
		return rest
	}
	return text
}

// failureLine returns the line about a recipient who could not be reached.
func failureLine(
	kind string, dcid, mid uint64, rid int, f mailevents.Failure, logged []mailevents.HeaderField,
) string {
	return fmt.Sprintf("%s: DCID %d MID %d to RID %d - %s - %s %s %s", kind, dcid, mid, rid,
		f.Status, f.Phrase, reply(f.Reply), headers(logged))
}

// Diagnostic returns a reply as bounce messages and the line about double bounces have it:
// 550-'5.1.1 no such user'. The lines of a long reply are joined by an escaped line end.
func Diagnostic(r mailevents.Reply) string {
	return fmt.Sprintf("%03d-%s", r.Code, quote(strings.Join(r.Lines, "\n")))
}

// connectionErrorLine returns the line about a server that could not be reached. The older form
// (2004) has neither domain nor port.
func (w *Writer) connectionErrorLine(f mailevents.DeliveryConnectionFailed) string {
	if !w.since(version7_6) {
		return fmt.Sprintf("Connection Error: DCID: %d IP: %v details: %s interface: %v reason: %s",
			f.DCID, f.Remote.Addr(), f.Details, f.Local, f.Reason)
	}
	return fmt.Sprintf("Connection Error: DCID %d domain: %s IP: %v port: %d details: %s "+
		"interface: %v reason: %s",
		f.DCID, f.Domain, f.Remote.Addr(), f.Remote.Port(), f.Details, f.Local, f.Reason)
}

// bounceLogLine returns the line of the bounce log. The older form is that of the guides up to
// version 9.1 (mail.md 2.1).
func (w *Writer) bounceLogLine(
	kind string, dcid, mid uint64, rid int, from, to string, f mailevents.Failure,
) string {
	if w.since(version10) {
		return fmt.Sprintf("%s: DCID %d MID %d From:<%s> To:<%s> RID %d - %s - %s %s",
			kind, dcid, mid, from, to, rid, f.Status, f.Phrase, reply(f.Reply))
	}
	return fmt.Sprintf(`%s: %d:%d From:<%s> To:<%s> Reason: "%s - %s" Response: "%s"`,
		kind, mid, rid, from, to, f.Status, f.Phrase, reply(f.Reply))
}

// bounceLogHeaders returns the end of a line of the bounce log about the header fields that are
// logged, which the older form has.
func (w *Writer) bounceLogHeaders(fields []mailevents.HeaderField) string {
	if w.since(version10) || len(fields) == 0 {
		return ""
	}
	texts := make([]string, len(fields))
	for i, f := range fields {
		texts[i] = f.Name + ": " + f.Value
	}
	return " Headers: " + list(texts)
}

// bouncedMessage returns the end of a line of the bounce log about the first n bytes of the message
// (mail.md 2.1). Line ends and other control characters are written in octal.
func bouncedMessage(message []byte, n int) string {
	if n == 0 || len(message) == 0 {
		return ""
	}
	return " Message: " + octal(message[:min(n, len(message))])
}

// octal returns text in which bytes that are not printable ASCII are octal numbers: \015\012.
func octal(text []byte) string {
	var b strings.Builder
	for _, c := range text {
		if c < ' ' || c > '~' {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
