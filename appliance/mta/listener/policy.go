package listener

import (
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

// A Policy is a mail flow policy: what is done with the connections of a sender group.
type Policy struct {
	Name   string `xml:"policy_name"` // without the dollar sign that PRINT shows
	Action Action `xml:"action"`
	// Parameters replace the default ones of the table where they are set.
	Parameters Parameters `xml:"parameters"`
}

// An Action is what a policy does with a connection.
type Action string

// The actions. Continue means that further sender groups are looked at.
const (
	Accept    = Action(mailevents.Accept)
	Relay     = Action(mailevents.Relay)
	Reject    = Action(mailevents.Reject)
	TCPRefuse = Action(mailevents.TCPRefuse)
	Continue  = Action("CONTINUE")
)

// A TLSMode says whether clients may or must use TLS, or authenticate.
type TLSMode string

// The modes.
const (
	Off       TLSMode = "off"
	Preferred TLSMode = "preferred"
	Required  TLSMode = "required"
)

// Parameters are the settings of a mail flow policy that may be set or left to the default. The
// names in XML are those of the table's printed form (mail.md 3.1).
type Parameters struct {
	MaxMessageSize       *int64   `xml:"max_message_size,omitempty"` // bytes
	MaxConnections       *int     `xml:"max_concurrency,omitempty"`  // of one address
	MaxMessages          *int     `xml:"max_msgs_per_session,omitempty"`
	MaxRecipients        *int     `xml:"max_rcpts_per_msg,omitempty"`
	MaxRecipientsPerHour *int     `xml:"max_rcpts_per_hour,omitempty"` // of one address; -1: no limit
	MaxInvalidPerHour    *int     `xml:"dhap_limit,omitempty"`         // refused recipients; 0: no limit
	TLS                  *TLSMode `xml:"tls,omitempty"`
	Auth                 *TLSMode `xml:"smtp_auth,omitempty"`
	AuthNeedsTLS         *bool    `xml:"require_tls_to_offer_auth,omitempty"`
	VerifySender         *bool    `xml:"env_sender_verify,omitempty"` // by DNS
	Banner               *string  `xml:"banner,omitempty"`
	RejectCode           *int     `xml:"reject_code,omitempty"`
	RejectBanner         *string  `xml:"reject_banner,omitempty"`
}

// Effective are the parameters that hold for a connection.
type Effective struct {
	MaxMessageSize       int64
	MaxConnections       int
	MaxMessages          int
	MaxRecipients        int
	MaxRecipientsPerHour int
	MaxInvalidPerHour    int
	TLS, Auth            TLSMode
	AuthNeedsTLS         bool
	VerifySender         bool
	Banner               string // "": the standard one
	RejectCode           int
	RejectBanner         string // "": the standard one
}

// builtIn are the parameters for which neither the policy nor the table has a value.
func builtIn() Effective {
	return Effective{
		MaxMessageSize: 10 << 20, MaxConnections: 10, MaxMessages: 10, MaxRecipients: 50,
		MaxRecipientsPerHour: -1, MaxInvalidPerHour: 25, TLS: Off, Auth: Off, RejectCode: 554,
	}
}

// with returns e with the parameters that p sets.
func (e Effective) with(p Parameters) Effective {
	set(&e.MaxMessageSize, p.MaxMessageSize)
	set(&e.MaxConnections, p.MaxConnections)
	set(&e.MaxMessages, p.MaxMessages)
	set(&e.MaxRecipients, p.MaxRecipients)
	set(&e.MaxRecipientsPerHour, p.MaxRecipientsPerHour)
	set(&e.MaxInvalidPerHour, p.MaxInvalidPerHour)
	set(&e.TLS, p.TLS)
	set(&e.Auth, p.Auth)
	set(&e.AuthNeedsTLS, p.AuthNeedsTLS)
	set(&e.VerifySender, p.VerifySender)
	set(&e.Banner, p.Banner)
	set(&e.RejectCode, p.RejectCode)
	set(&e.RejectBanner, p.RejectBanner)
	return e
}

func set[T any](value *T, to *T) {
	if to != nil {
		*value = *to
	}
}

// check returns a refusal that says which parameter is out of range.
func (p Parameters) check() error {
	e := builtIn().with(p)
	mode := func(m TLSMode) bool { return m == Off || m == Preferred || m == Required }
	switch {
	case e.MaxMessageSize < 1 || e.MaxMessageSize > 1<<40:
		return refusal.New("The maximum message size must be at least one byte.")
	case e.MaxConnections < 1 || e.MaxMessages < 1 || e.MaxRecipients < 1:
		return refusal.New("The limits of connections, messages and recipients must be at least 1.")
	case e.MaxRecipientsPerHour < -1 || e.MaxInvalidPerHour < 0:
		return refusal.New("The limits of recipients per hour must not be negative.")
	case !mode(e.TLS) || !mode(e.Auth):
		return refusal.New("TLS and SMTP authentication must be off, preferred or required.")
	case e.RejectCode < 500 || e.RejectCode > 599:
		return refusal.New("The code of a rejection must be from 500 to 599.")
	}
	return nil
}

// publicHosts returns the host access table of a new public listener. Version 14 renamed two of its
// groups (mail.md 1.9).
func publicHosts(v product.Version) HostTable {
	allowed, blocked := "WHITELIST", "BLACKLIST"
	if !v.Before(product.Version{Major: 14}) {
		allowed, blocked = "ALLOWED_LIST", "BLOCKED_LIST"
	}
	return HostTable{
		Policies: []Policy{
			{Name: "ACCEPTED", Action: Accept},
			{Name: "BLOCKED", Action: Reject},
			{Name: "THROTTLED", Action: Accept, Parameters: Parameters{
				MaxMessageSize: ptr[int64](1 << 20), MaxConnections: ptr(10), MaxMessages: ptr(10),
				MaxRecipients: ptr(25), MaxRecipientsPerHour: ptr(20), MaxInvalidPerHour: ptr(0),
			}},
			{Name: "TRUSTED", Action: Accept, Parameters: Parameters{
				MaxMessageSize: ptr[int64](100 << 20), MaxConnections: ptr(600), MaxMessages: ptr(5000),
				MaxRecipients: ptr(5000), MaxRecipientsPerHour: ptr(-1), MaxInvalidPerHour: ptr(0),
			}},
			{Name: "RELAYED", Action: Relay, Parameters: relayed()},
		},
		Groups: []SenderGroup{
			{Name: "RELAYLIST", Policy: "RELAYED", Comment: "Only hosts that may send to anybody"},
			{Name: allowed, Policy: "TRUSTED",
				Comment: "My trusted senders have no anti-spam scanning or rate limiting"},
			{Name: blocked, Policy: "BLOCKED", Comment: "Spammers are rejected",
				Entries: []Entry{{Host: "sbrs[-10.0:-3.0]"}}},
			{Name: "SUSPECTLIST", Policy: "THROTTLED", Comment: "Suspicious senders are throttled",
				Entries: []Entry{{Host: "sbrs[-3.0:-1.0]"}}},
			{Name: "UNKNOWNLIST", Policy: "ACCEPTED",
				Comment: "Reviewed but undecided, continue normal acceptance",
				Entries: []Entry{{Host: "sbrs[-1.0:10.0]"}, {Host: "sbrs[none]"}}},
		},
		Last: "ACCEPTED",
	}
}

// privateHosts returns the host access table of a new private listener.
func privateHosts() HostTable {
	return HostTable{
		Policies: []Policy{
			{Name: "RELAYED", Action: Relay, Parameters: relayed()},
			{Name: "BLOCKED", Action: Reject},
		},
		Groups: []SenderGroup{{Name: "RELAYLIST", Policy: "RELAYED"}},
		Last:   "BLOCKED",
	}
}

// relayed returns the parameters for hosts whose mail is relayed.
func relayed() Parameters {
	return Parameters{
		MaxMessageSize: ptr[int64](100 << 20), MaxConnections: ptr(600), MaxMessages: ptr(10_000),
		MaxRecipients: ptr(100_000), MaxRecipientsPerHour: ptr(-1), MaxInvalidPerHour: ptr(0),
	}
}

func ptr[T any](v T) *T { return &v }
