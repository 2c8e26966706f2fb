package maillog

import (
	"fmt"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// connectionLines returns the lines about clients' connections (mail.md 1.2, 1.4).
func (w *Writer) connectionLines(fields events.Fields) []string {
	switch f := fields.(type) {
	case mailevents.ConnectionOpened:
		host := f.Host
		if host == "" {
			host = "unknown"
		}
		return one("New SMTP ICID %d interface %s (%v) address %v reverse dns host %s verified %s",
			f.ICID, f.Interface, f.Local, f.Remote.Addr(), host, yesNo(f.Verified))
	case mailevents.ConnectionJudged:
		return []string{w.verdictLine(f)}
	case mailevents.ClientTLS:
		if !f.OK {
			return one("ICID %d TLS failed", f.ICID)
		}
		return one("ICID %d TLS success protocol %s cipher %s", f.ICID, f.Protocol, f.Cipher)
	case mailevents.TLSRequired:
		return one("ICID %d TLS was required but remote host did not initiate it", f.ICID)
	case mailevents.ClientAuthenticated:
		return one("SMTP Auth: (ICID %d) %s for user: %s using AUTH mechanism: %s",
			f.ICID, outcome(f.OK), f.User, f.Mechanism)
	case mailevents.SenderRejected:
		return one("ICID %d Address: <%s> sender rejected, %s", f.ICID, f.From, f.Reason)
	case mailevents.MessageRefused:
		if !f.Tarpit {
			return nil // no line is attested for the other refusals
		}
		return one("ICID %d Receiving Failed: Message >2X Max Size. Entering Denial-of-Service tarpit mode",
			f.ICID)
	case mailevents.ConnectionDropped:
		if f.Reason != mailevents.DroppedIdle {
			return nil // no line is attested for the other reasons
		}
		return one("ICID %d disconnected address %v, no messages injected within timeout period",
			f.ICID, f.Remote)
	case mailevents.ConnectionLost:
		return []string{lostLine(f)}
	case mailevents.ConnectionClosed:
		return one("ICID %d close", f.ICID)
	}
	return nil
}

// verdictLine returns the line about the host access table. Version 11 added the country.
func (w *Writer) verdictLine(f mailevents.ConnectionJudged) string {
	group := f.Group
	if group == "" {
		group = "None"
	}
	line := fmt.Sprintf("ICID %d %s SG %s match %s SBRS %s", f.ICID, f.Action, group,
		matched(f.Entry), f.Score)
	if w.since(version11) && f.Country != "" {
		line += " country " + f.Country
	}
	return line
}

// matched returns the entry of the table as the line has it. The entries that are about the state
// of DNS are followed by a second blank.
func matched(entry string) string {
	switch entry {
	case "nx.domain", "serv.fail", "not.double.verified":
		return entry + " "
	}
	return entry
}

// outcome returns the word for the result of an authentication.
func outcome(ok bool) string {
	if ok {
		return "succeeded"
	}
	return "failed"
}

// lostLine returns the line about a connection that the client has not ended properly. The long
// form is that of a client that has not sent anything (logs.md 3.3).
func lostLine(f mailevents.ConnectionLost) string {
	if f.Commands > 0 {
		return fmt.Sprintf("ICID %d lost", f.ICID)
	}
	return fmt.Sprintf("ICID %d Connection from %v on interface %s (%v) lost after %s "+
		"(DNS query took %s), before any commands were received",
		f.ICID, f.Remote, f.Interface, f.Local, seconds(f.Open), seconds(f.Lookups))
}

// seconds returns a duration in whole seconds.
func seconds(d time.Duration) string { return fmt.Sprintf("%d seconds", int64(d/time.Second)) }

// harvestLine returns the line about a client that guesses recipients.
func harvestLine(f mailevents.HarvestSuspected) string {
	host, verified := "None", 0
	if f.Host != "" {
		host = quote(f.Host)
	}
	if f.Verified {
		verified = 1
	}
	return fmt.Sprintf("LDAP: Dropping connection due to potential Directory Harvest Attack from "+
		"host=('%v', None), dhap_limit=%d, sender_group=%s, listener=%s, "+
		"reverse_dns=('%v', %s, %d), sender=%s, rcpt=%s",
		f.Remote, f.Limit, strings.TrimSpace(f.Group), f.Listener, f.Remote, host, verified,
		f.From, f.To)
}
