package mailevents

import (
	"net/netip"
	"time"
)

// A ConnectionOpened tells that a client has connected to a listener, and what DNS says about its
// address.
type ConnectionOpened struct {
	ICID      uint64         `json:"icid"`
	Listener  string         `json:"listener"`
	Interface string         `json:"interface"` // name of the IP interface
	Local     netip.Addr     `json:"local"`
	Remote    netip.AddrPort `json:"remote"`
	Host      string         `json:"host,omitempty"` // by reverse look-up; "": unknown
	Verified  bool           `json:"verified"`       // the host has that address
}

// Kind implements events.Fields.
func (ConnectionOpened) Kind() string { return "mail.in.opened" }

// An Action is what the host access table does with a connection.
type Action string

// The actions.
const (
	Accept    Action = "ACCEPT"
	Relay     Action = "RELAY"
	Reject    Action = "REJECT"
	TCPRefuse Action = "TCPREFUSE"
)

// A ConnectionJudged tells what the host access table says about a connection. That of a
// connection that is refused without a word has the ICID 0.
type ConnectionJudged struct {
	ICID   uint64     `json:"icid"`
	Remote netip.Addr `json:"remote"`
	Action Action     `json:"action"`
	Group  string     `json:"group,omitempty"` // sender group; "": the last rule of the table
	Entry  string     `json:"entry"`           // of the table, as it is written there
	Policy string     `json:"policy"`          // mail flow policy
	// Score is the reputation, such as "-9.5", or why there is none: "None", "rfc1918",
	// "not enabled".
	Score   string `json:"score"`
	Country string `json:"country,omitempty"` // name, or "not enabled"; "": not known
}

// Kind implements events.Fields.
func (ConnectionJudged) Kind() string { return "mail.in.judged" }

// A ClientTLS tells that a client has asked for TLS.
type ClientTLS struct {
	ICID     uint64 `json:"icid"`
	OK       bool   `json:"ok"`
	Protocol string `json:"protocol,omitempty"` // such as "TLSv1.2"
	Cipher   string `json:"cipher,omitempty"`   // OpenSSL's name
	Reason   string `json:"reason,omitempty"`   // why it failed
}

// Kind implements events.Fields.
func (ClientTLS) Kind() string { return "mail.in.tls" }

// A TLSRequired tells that a client that has to use TLS did not.
type TLSRequired struct {
	ICID uint64 `json:"icid"`
}

// Kind implements events.Fields.
func (TLSRequired) Kind() string { return "mail.in.tls_required" }

// A ClientAuthenticated tells that a client has tried to authenticate.
type ClientAuthenticated struct {
	ICID      uint64 `json:"icid"`
	User      string `json:"user"`
	Mechanism string `json:"mechanism"`
	OK        bool   `json:"ok"`
}

// Kind implements events.Fields.
func (ClientAuthenticated) Kind() string { return "mail.in.authenticated" }

// A SenderRejected tells that a MAIL command was refused. No message has begun.
type SenderRejected struct {
	ICID   uint64 `json:"icid"`
	From   string `json:"from"`
	Reason string `json:"reason"` // such as "envelope sender domain missing"
}

// Kind implements events.Fields.
func (SenderRejected) Kind() string { return "mail.in.sender_rejected" }

// A MessageStarted tells that a MAIL command was accepted, or that the appliance makes a message
// itself.
type MessageStarted struct {
	MID  uint64 `json:"mid"`
	ICID uint64 `json:"icid"`
	From string `json:"from"` // without angle brackets; "" for <>
	// Generated says why the appliance makes the message itself, and Of is the message that it
	// was made in response to.
	Generated Generated `json:"generated,omitempty"`
	Of        uint64    `json:"of,omitempty"`
}

// Generated says why the appliance makes a message itself.
type Generated string

// The reasons that exist. A message from a client has none.
const (
	GeneratedBounce  Generated = "bounce"
	GeneratedWarning Generated = "delay warning"
)

// Kind implements events.Fields.
func (MessageStarted) Kind() string { return "mail.started" }

// A RecipientAccepted tells that a recipient was accepted.
type RecipientAccepted struct {
	MID  uint64 `json:"mid"`
	ICID uint64 `json:"icid"`
	RID  int    `json:"rid"`
	To   string `json:"to"`
}

// Kind implements events.Fields.
func (RecipientAccepted) Kind() string { return "mail.in.recipient" }

// A RecipientExpanded tells that the alias table has replaced a recipient. RecipientAccepted follows
// for each of the recipients that it stands for; there are none if mail for it is dropped.
type RecipientExpanded struct {
	MID  uint64   `json:"mid"`
	ICID uint64   `json:"icid"`
	To   string   `json:"to"`
	Into []string `json:"into"`
}

// Kind implements events.Fields.
func (RecipientExpanded) Kind() string { return "mail.in.recipient_expanded" }

// A RecipientRejected tells that a recipient was refused.
type RecipientRejected struct {
	MID  uint64 `json:"mid"`
	ICID uint64 `json:"icid"`
	To   string `json:"to"`
	By   string `json:"by"` // "RAT", "Receiving Control"
}

// Kind implements events.Fields.
func (RecipientRejected) Kind() string { return "mail.in.recipient_rejected" }

// A MessageRead tells what the header of a message says. It comes when the client has sent the
// whole message.
type MessageRead struct {
	MID       uint64 `json:"mid"`
	MessageID string `json:"message_id"` // with angle brackets
	Subject   string `json:"subject"`    // decoded
}

// Kind implements events.Fields.
func (MessageRead) Kind() string { return "mail.in.read" }

// A HeaderField is one field of a message's header.
type HeaderField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A MessageReady tells that a message is safe on disk. The client is told next.
type MessageReady struct {
	MID        uint64 `json:"mid"`
	ICID       uint64 `json:"icid"`
	Bytes      int64  `json:"bytes"` // as stored
	From       string `json:"from"`
	Recipients int    `json:"recipients"`
	// Generated is that of MessageStarted.
	Generated Generated `json:"generated,omitempty"`
}

// Kind implements events.Fields.
func (MessageReady) Kind() string { return "mail.in.ready" }

// A MessageAborted tells that a message has ended before it could be delivered.
type MessageAborted struct {
	MID        uint64 `json:"mid"`
	Reason     string `json:"reason"`     // such as "Receiving aborted by sender"
	Recipients int    `json:"recipients"` // that had been accepted
	Receiving  bool   `json:"receiving"`  // the message had not been received as a whole
}

// Kind implements events.Fields.
func (MessageAborted) Kind() string { return "mail.aborted" }

// A MessageFinished tells that nothing will happen to a message any more.
type MessageFinished struct {
	MID     uint64 `json:"mid"`
	Aborted bool   `json:"aborted"` // it was never received as a whole
}

// Kind implements events.Fields.
func (MessageFinished) Kind() string { return "mail.finished" }

// A MessageRefused tells that a client has sent a message that is refused for what it is: too
// large, or with too many header lines. The message is aborted next.
type MessageRefused struct {
	MID    uint64 `json:"mid"`
	ICID   uint64 `json:"icid"`
	Reason string `json:"reason"` // "size", "header size", "hops", "bare line ends", "queue full"
	// Tarpit says that the client sent more than twice the limit and is cut off.
	Tarpit bool `json:"tarpit,omitempty"`
}

// Kind implements events.Fields.
func (MessageRefused) Kind() string { return "mail.in.refused" }

// A HarvestSuspected tells that a client has named too many recipients that do not exist, and is
// cut off.
type HarvestSuspected struct {
	ICID     uint64     `json:"icid"`
	Listener string     `json:"listener"`
	Remote   netip.Addr `json:"remote"`
	Host     string     `json:"host,omitempty"`
	Verified bool       `json:"verified"`
	Limit    int        `json:"limit"`
	Group    string     `json:"group"`
	From     string     `json:"from"`
	To       string     `json:"to"`
}

// Kind implements events.Fields.
func (HarvestSuspected) Kind() string { return "mail.in.harvest" }

// A ConnectionDropped tells that the appliance ends a client's connection because a time or a
// count was exceeded.
type ConnectionDropped struct {
	ICID   uint64     `json:"icid"`
	Remote netip.Addr `json:"remote"`
	Reason DropReason `json:"reason"`
}

// A DropReason says why the appliance ends a client's connection.
type DropReason string

// The reasons.
const (
	DroppedIdle            DropReason = "idle" // no message was accepted within the time
	DroppedTime            DropReason = "connection time"
	DroppedBadCommands     DropReason = "bad commands"
	DroppedTooManyMessages DropReason = "too many messages"
	DroppedSuspended       DropReason = "suspended"
	DroppedStopped         DropReason = "stopped" // the mail system was restarted, or the appliance
)

// Kind implements events.Fields.
func (ConnectionDropped) Kind() string { return "mail.in.dropped" }

// A ConnectionLost tells that a client's connection has ended without QUIT.
type ConnectionLost struct {
	ICID      uint64        `json:"icid"`
	Interface string        `json:"interface"`
	Local     netip.Addr    `json:"local"`
	Remote    netip.Addr    `json:"remote"`
	Commands  int           `json:"commands"` // that had been received
	Open      time.Duration `json:"open"`
	Lookups   time.Duration `json:"lookups"` // of Open, spent on DNS queries
}

// Kind implements events.Fields.
func (ConnectionLost) Kind() string { return "mail.in.lost" }

// A ConnectionClosed tells that a client's connection is closed. It is the last event of an ICID.
type ConnectionClosed struct {
	ICID uint64 `json:"icid"`
}

// Kind implements events.Fields.
func (ConnectionClosed) Kind() string { return "mail.in.closed" }
