package mailevents

import (
	"net/netip"
	"time"
)

// A PolicyMatched tells which mail policy judges a message.
type PolicyMatched struct {
	MID      uint64 `json:"mid"`
	Policy   string `json:"policy"`
	Outgoing bool   `json:"outgoing"`
}

// Kind implements events.Fields.
func (PolicyMatched) Kind() string { return "mail.policy" }

// A MessageQueued tells that a message has left the work queue and waits for delivery.
type MessageQueued struct {
	MID uint64 `json:"mid"`
}

// Kind implements events.Fields.
func (MessageQueued) Kind() string { return "mail.queued" }

// A DeliveryConnectionOpened tells that a connection to a mail server is established.
type DeliveryConnectionOpened struct {
	DCID   uint64         `json:"dcid"`
	Domain string         `json:"domain"`
	Local  netip.Addr     `json:"local"`
	Remote netip.AddrPort `json:"remote"`
}

// Kind implements events.Fields.
func (DeliveryConnectionOpened) Kind() string { return "mail.out.opened" }

// A DeliveryConnectionFailed tells that a connection to a mail server could not be opened, or ended.
type DeliveryConnectionFailed struct {
	DCID    uint64         `json:"dcid"`
	Domain  string         `json:"domain"`
	Local   netip.Addr     `json:"local"`
	Remote  netip.AddrPort `json:"remote"`
	Details string         `json:"details"` // such as "[Errno 61] Connection refused", "EOF"
	Reason  string         `json:"reason"`  // "network error", "connection timeout"
}

// Kind implements events.Fields.
func (DeliveryConnectionFailed) Kind() string { return "mail.out.failed" }

// A ServerTLS tells that the appliance has asked a mail server for TLS.
type ServerTLS struct {
	DCID     uint64 `json:"dcid"`
	Domain   string `json:"domain"`
	OK       bool   `json:"ok"`
	Protocol string `json:"protocol,omitempty"`
	Cipher   string `json:"cipher,omitempty"`
	Verified bool   `json:"verified,omitempty"` // the certificate was verified
	// VerifyError says why the certificate was not verified. The destination does not require it.
	VerifyError string `json:"verify_error,omitempty"`
	Reason      string `json:"reason,omitempty"` // why it failed
}

// Kind implements events.Fields.
func (ServerTLS) Kind() string { return "mail.out.tls" }

// A DeliveryStarted tells that a message is sent to a mail server for some of its recipients.
type DeliveryStarted struct {
	DCID uint64 `json:"dcid"`
	MID  uint64 `json:"mid"`
	RIDs []int  `json:"rids"`
}

// Kind implements events.Fields.
func (DeliveryStarted) Kind() string { return "mail.out.started" }

// A Delivered tells that a mail server has accepted a message for some of its recipients.
type Delivered struct {
	DCID      uint64               `json:"dcid"`
	MID       uint64               `json:"mid"`
	RIDs      []int                `json:"rids"`
	Response  Reply                `json:"response"` // to the whole message
	Domain    string               `json:"domain"`
	From      string               `json:"from"`
	Bytes     int64                `json:"bytes"`
	Local     netip.Addr           `json:"local"`
	Remote    netip.Addr           `json:"remote"`
	Delivered []DeliveredRecipient `json:"delivered"` // in the order of RIDs
	Received  time.Time            `json:"received"`
	Source    netip.Addr           `json:"source"` // of the client; zero: the appliance itself
	// LoggedHeaders are the fields that the administrator has chosen to have logged.
	LoggedHeaders []HeaderField `json:"logged_headers,omitempty"`
}

// Kind implements events.Fields.
func (Delivered) Kind() string { return "mail.out.delivered" }

// An DeliveredRecipient is a delivered recipient, with the number of attempts.
type DeliveredRecipient struct {
	RID      int    `json:"rid"`
	To       string `json:"to"`
	Attempts int    `json:"attempts"`
}

// A Reply is what a mail server said. The zero Reply is no reply: the failure is the network's or
// the appliance's own.
type Reply struct {
	Code  int      `json:"code"`
	Lines []string `json:"lines"` // without code; without a reply, what failed
}

// A Failure is why a recipient could not be reached (mail.md 1.6).
type Failure struct {
	Status string `json:"status"` // such as "5.1.0"
	Phrase string `json:"phrase"` // such as "Unknown address error"
	Reply  Reply  `json:"reply"`
}

// A Category says which counter a bounce belongs to.
type Category string

// The categories of hard bounces.
const (
	DNSBounce     Category = "dns"
	FiveXXBounce  Category = "5xx"
	FilterBounce  Category = "filter"
	ExpiredBounce Category = "expired"
	OtherBounce   Category = "other"
)

// A Bounced tells that a recipient is given up.
type Bounced struct {
	DCID     uint64   `json:"dcid"`
	MID      uint64   `json:"mid"`
	RID      int      `json:"rid"`
	Domain   string   `json:"domain"`
	From     string   `json:"from"`
	To       string   `json:"to"`
	Failure  Failure  `json:"failure"`
	Category Category `json:"category"`
	// Double says that the message is itself a bounce, so no bounce message is sent.
	Double   bool       `json:"double,omitempty"`
	Bytes    int64      `json:"bytes"`
	Received time.Time  `json:"received"`
	Source   netip.Addr `json:"source"` // of the client; zero: the appliance itself
	Remote   netip.Addr `json:"remote"` // of the server that refused; zero: none did
	Attempts int        `json:"attempts"`
	// Message is the beginning of the message, as much as a log wants.
	Message       []byte        `json:"message,omitempty"`
	LoggedHeaders []HeaderField `json:"logged_headers,omitempty"`
}

// Kind implements events.Fields.
func (Bounced) Kind() string { return "mail.out.bounced" }

// A Delayed tells that an attempt has failed for one recipient and that there will be another.
type Delayed struct {
	DCID          uint64        `json:"dcid"`
	MID           uint64        `json:"mid"`
	RID           int           `json:"rid"`
	Domain        string        `json:"domain"`
	From          string        `json:"from"`
	To            string        `json:"to"`
	Failure       Failure       `json:"failure"`
	LoggedHeaders []HeaderField `json:"logged_headers,omitempty"`
}

// Kind implements events.Fields.
func (Delayed) Kind() string { return "mail.out.delayed" }

// A Pending tells when recipients of a message are tried again.
type Pending struct {
	MID   uint64    `json:"mid"`
	RIDs  []int     `json:"rids"`
	Until time.Time `json:"until"`
}

// Kind implements events.Fields.
func (Pending) Kind() string { return "mail.out.pending" }

// A RecipientsDeleted tells that an administrator has deleted recipients of a message, or that a
// route leads to nowhere.
type RecipientsDeleted struct {
	MID    uint64 `json:"mid"`
	RIDs   []int  `json:"rids"`
	Domain string `json:"domain"`
	By     string `json:"by"` // "administrator", "route"
}

// Kind implements events.Fields.
func (RecipientsDeleted) Kind() string { return "mail.out.deleted" }

// A DNSFailed tells that the addresses of a destination could not be found for now.
type DNSFailed struct {
	Domain string `json:"domain"`
	Route  bool   `json:"route"`  // Domain is the destination of an SMTP route
	Detail string `json:"detail"` // what failed
}

// Kind implements events.Fields.
func (DNSFailed) Kind() string { return "mail.out.dns_failed" }

// A DeliveryConnectionClosed tells that a connection to a mail server is closed. It is the last event of a
// DCID.
type DeliveryConnectionClosed struct {
	DCID uint64 `json:"dcid"`
}

// Kind implements events.Fields.
func (DeliveryConnectionClosed) Kind() string { return "mail.out.closed" }

// A HostChanged tells that all addresses of a destination have failed, or that one works again.
type HostChanged struct {
	Domain string `json:"domain"`
	Up     bool   `json:"up"`
}

// Kind implements events.Fields.
func (HostChanged) Kind() string { return "mail.out.host" }

// A Part is a part of the mail system that can be suspended.
type Part string

// The parts.
const (
	Receiving Part = "receiving"
	Delivery  Part = "delivery"
	WorkQueue Part = "work queue"
)

// A Suspension tells that an administrator has suspended or resumed a part of the mail system.
type Suspension struct {
	What      Part     `json:"what"`
	Listeners []string `json:"listeners,omitempty"`
	Suspended bool     `json:"suspended"`
}

// Kind implements events.Fields.
func (Suspension) Kind() string { return "mail.suspension" }

// A MessagesWaiting tells which messages the queue holds when the mail system has stopped.
type MessagesWaiting struct {
	MIDs []uint64 `json:"mids"` // in order
}

// Kind implements events.Fields.
func (MessagesWaiting) Kind() string { return "mail.waiting" }
