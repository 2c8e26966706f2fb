package delivery

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/network"
)

// A failure is why an attempt failed for a recipient, and whether another one may succeed.
type failure struct {
	mailevents.Failure
	category mailevents.Category
	soft     bool
	remote   netip.Addr // of the server that refused; zero: none did
	dcid     uint64     // of the connection to it; 0: there was none
}

// replyFailure classifies a server's negative reply (mail.md 1.6). inData says that the server
// refused the message and not an address.
func replyFailure(r mail.Reply, inData bool) failure {
	f := failure{soft: r.Code < 500, category: mailevents.FiveXXBounce}
	class := r.Code / 100
	subject, phrase := "1.0", "Unknown address error"
	switch {
	case r.Code == 421:
		subject, phrase = "3.2", "Not accepting messages at this time"
	case r.Code == 452:
		subject, phrase = "3.1", "Mail system full"
	case inData:
		subject, phrase = "3.0", "Other mail system problem"
	}
	f.Failure = mailevents.Failure{
		Status: fmt.Sprintf("%d.%s", class, subject), Phrase: phrase, Reply: eventReply(r),
	}
	return f
}

// eventReply returns a reply in the form of events: with the enhanced code in each line, as the
// server sent it.
func eventReply(r mail.Reply) mailevents.Reply {
	lines := strings.Split(r.Text, "\n")
	if r.Enhanced != "" {
		for i := range lines {
			lines[i] = strings.TrimSuffix(r.Enhanced+" "+lines[i], " ")
		}
	}
	return mailevents.Reply{Code: r.Code, Lines: lines}
}

// networkFailure classifies the loss of a connection during a delivery.
func networkFailure(err error) failure {
	return failure{soft: true, category: mailevents.OtherBounce, Failure: mailevents.Failure{
		Status: "4.4.0", Phrase: "Other network problem",
		Reply: mailevents.Reply{Lines: []string{errnoText(err)}},
	}}
}

// expired is the failure of a recipient that was tried for too long.
func expired() failure {
	return failure{category: mailevents.ExpiredBounce, Failure: mailevents.Failure{
		Status: "5.4.7", Phrase: "Delivery expired (message too old)",
		Reply: mailevents.Reply{Lines: []string{"timeout"}},
	}}
}

// unreadable is the failure of recipients whose message the queue's disk does not give.
func unreadable() failure {
	return failure{soft: true, category: mailevents.OtherBounce, Failure: mailevents.Failure{
		Status: "4.3.0", Phrase: "Other mail system problem",
		Reply: mailevents.Reply{Lines: []string{"The message cannot be read"}},
	}}
}

// noHost is the failure of recipients whose domain has no mail server.
func noHost(text string) failure {
	return failure{category: mailevents.DNSBounce, Failure: mailevents.Failure{
		Status: "5.1.2", Phrase: "Bad destination host", Reply: mailevents.Reply{Lines: []string{text}},
	}}
}

// byAdministrator is the failure of recipients that an administrator has bounced.
func byAdministrator() failure {
	return failure{category: mailevents.OtherBounce, Failure: mailevents.Failure{
		Status: "5.0.0", Phrase: "Other address status",
		Reply: mailevents.Reply{Lines: []string{"Bounced by administrator"}},
	}}
}

// errnos are FreeBSD's numbers and texts of network errors, which the log shows.
var errnos = []struct {
	err    syscall.Errno
	number int
	text   string
}{
	{syscall.ECONNREFUSED, 61, "Connection refused"},
	{syscall.ETIMEDOUT, 60, "Operation timed out"},
	{syscall.ECONNRESET, 54, "Connection reset by peer"},
	{syscall.EPIPE, 32, "Broken pipe"},
	{syscall.EHOSTUNREACH, 65, "No route to host"},
	{syscall.ENETUNREACH, 51, "Network is unreachable"},
	{syscall.EADDRNOTAVAIL, 49, "Can't assign requested address"},
}

// errnoText returns what the log says about the end of a connection (mail.md 1.6).
func errnoText(err error) string {
	var timeout net.Error
	if errors.Is(err, mail.ErrClosed) {
		return "EOF"
	}
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return fmt.Sprintf("[Errno %d] %s", e.number, e.text)
		}
	}
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "[Errno 60] Operation timed out"
	}
	if errors.Is(err, mail.ErrMalformed) || errors.Is(err, mail.ErrTLSOnly) {
		return "Unexpected SMTP response"
	}
	if text, ok := network.ErrorText(err); ok {
		return text
	}
	return "[Errno 0] Error"
}

// reasonText returns the reason in the line about a failed connection.
func reasonText(err error) string {
	var timeout net.Error
	if errors.Is(err, syscall.ETIMEDOUT) || errors.As(err, &timeout) && timeout.Timeout() {
		return "connection timeout"
	}
	return "network error"
}

// firstLine returns the text of a reply for the queue, which keeps it with the recipient.
func firstLine(r mailevents.Reply) string {
	if len(r.Lines) == 0 {
		return ""
	}
	return r.Lines[0]
}

// sortedRIDs returns numbers of recipients in their order.
func sortedRIDs(rids []int) []int {
	slices.Sort(rids)
	return rids
}
