package mailevents

import (
	"net/netip"

	"github.com/esasim/esasim/appliance/events"
)

// An Internal wraps an event about a message that the internal SMTP system sends, or about its
// connection. It is counted like the event in it. The mail log has lines of its own about these
// messages, which the other events of this file tell.
type Internal struct {
	What  string        `json:"what"` // the kind of Event
	Event events.Fields `json:"event"`
}

// Wrap returns fields as an event about internal mail.
func Wrap(fields events.Fields) Internal { return Internal{What: fields.Kind(), Event: fields} }

// Kind implements events.Fields.
func (Internal) Kind() string { return "mail.internal" }

// An InternalMessage names a message of the internal SMTP system.
type InternalMessage struct {
	MID     uint64 `json:"mid"` // 0: the queue does not have it
	About   string `json:"about"`
	To      string `json:"to"`
	Subject string `json:"subject"`
}

// What internal messages are about. An alert is "System/Critical alert", with its class and
// severity.
const (
	AlertSuffix = " alert"
	AutoSupport = "AutoSupport report"
)

// An InternalAttempted tells that the internal SMTP system begins to send a message.
type InternalAttempted struct {
	Message InternalMessage `json:"message"`
	Attempt int             `json:"attempt"` // from 0
}

// Kind implements events.Fields.
func (InternalAttempted) Kind() string { return "mail.internal.attempted" }

// An InternalFailed tells that the internal SMTP system could not send a message to a host, or
// could not find one.
type InternalFailed struct {
	Message InternalMessage `json:"message"`
	Domain  string          `json:"domain"`
	Host    netip.AddrPort  `json:"host"` // zero: no host was found
	Reason  string          `json:"reason"`
}

// Kind implements events.Fields.
func (InternalFailed) Kind() string { return "mail.internal.failed" }

// An InternalSent tells that a server has accepted a message of the internal SMTP system.
type InternalSent struct {
	Message InternalMessage `json:"message"`
}

// Kind implements events.Fields.
func (InternalSent) Kind() string { return "mail.internal.sent" }

// An InternalGivenUp tells that the internal SMTP system gives a message up.
type InternalGivenUp struct {
	Message InternalMessage `json:"message"`
	Reason  string          `json:"reason"`
}

// Kind implements events.Fields.
func (InternalGivenUp) Kind() string { return "mail.internal.given_up" }
