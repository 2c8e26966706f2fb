package listener

import (
	"strings"

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
// names in XML are those of the table's text form (hattext.go).
type Parameters struct {
	MaxMessageSize *int64 `xml:"max_message_size,omitempty"` // bytes
	MaxConnections *int   `xml:"max_concurrency,omitempty"`  // of one address
	MaxMessages    *int   `xml:"max_msgs_per_session,omitempty"`
	MaxRecipients  *int   `xml:"max_rcpts_per_msg,omitempty"`

	// Recipients of one address in an hour; -1: no limit. The answer to one too many has a code and a
	// text.
	MaxRecipientsPerHour *int    `xml:"max_rcpts_per_hour,omitempty"`
	PerHourCode          *int    `xml:"max_rcpts_per_hour_code,omitempty"`
	PerHourText          *string `xml:"max_rcpts_per_hour_text,omitempty"`
	// Recipients of one envelope sender within SenderInterval minutes; -1: no limit.
	MaxRecipientsPerSender *int    `xml:"max_rcpts_per_sender,omitempty"`
	SenderInterval         *int    `xml:"sender_interval,omitempty"`
	PerSenderCode          *int    `xml:"max_rcpts_per_sender_code,omitempty"`
	PerSenderText          *string `xml:"max_rcpts_per_sender_text,omitempty"`
	// Refused recipients of one address in an hour; 0: no limit. The code and the text are those of
	// the last answer before the connection is dropped.
	MaxInvalidPerHour *int    `xml:"dhap_limit,omitempty"`
	InvalidCode       *int    `xml:"dhap_code,omitempty"`
	InvalidText       *string `xml:"dhap_text,omitempty"`

	TLS          *TLSMode `xml:"tls,omitempty"`
	Auth         *TLSMode `xml:"smtp_auth,omitempty"`
	AuthNeedsTLS *bool    `xml:"require_tls_to_offer_auth,omitempty"`

	// Verification of the envelope sender by DNS, and the answers to senders without a domain, with a
	// domain that does not exist, and with one that DNS does not answer for.
	VerifySender   *bool   `xml:"env_sender_verify,omitempty"`
	MalformedCode  *int    `xml:"env_sender_malformed_code,omitempty"`
	MalformedText  *string `xml:"env_sender_malformed_text,omitempty"`
	NoDomainCode   *int    `xml:"env_sender_nxdomain_code,omitempty"`
	NoDomainText   *string `xml:"env_sender_nxdomain_text,omitempty"`
	UnresolvedCode *int    `xml:"env_sender_unresolved_code,omitempty"`
	UnresolvedText *string `xml:"env_sender_unresolved_text,omitempty"`

	BannerCode *int    `xml:"banner_code,omitempty"`
	Banner     *string `xml:"banner,omitempty"`
	// BannerHost replaces the host name in the banner; "" leaves it out.
	BannerHost   *string `xml:"banner_host,omitempty"`
	RejectCode   *int    `xml:"reject_code,omitempty"`
	RejectBanner *string `xml:"reject_banner,omitempty"`
}

// Effective are the parameters that hold for a connection.
type Effective struct {
	MaxMessageSize         int64
	MaxConnections         int
	MaxMessages            int
	MaxRecipients          int
	MaxRecipientsPerHour   int
	PerHour                Reply
	MaxRecipientsPerSender int
	SenderInterval         int // minutes
	PerSender              Reply
	MaxInvalidPerHour      int
	Invalid                Reply
	TLS, Auth              TLSMode
	AuthNeedsTLS           bool
	VerifySender           bool
	Malformed              Reply
	NoDomain               Reply
	Unresolved             Reply
	Banner                 Reply   // without a text: the standard one
	BannerHost             *string // nil: that of the IP interface
	Reject                 Reply   // without a text: the standard one
}

// A Reply is an answer of one line to a client.
type Reply struct {
	Code int
	Text string
}

// builtIn are the parameters for which neither the policy nor the table has a value. The texts for
// too many recipients of a sender and for invalid recipients are those of the page of the guides.
func builtIn() Effective {
	return Effective{
		MaxMessageSize: 10 << 20, MaxConnections: 10, MaxMessages: 10, MaxRecipients: 50,
		MaxRecipientsPerHour: -1, PerHour: Reply{452, "Too many recipients received this hour"},
		MaxRecipientsPerSender: -1, SenderInterval: 60,
		PerSender:         Reply{452, "Too many recipients received from the sender"},
		MaxInvalidPerHour: 25, Invalid: Reply{550, "Too many invalid recipients"},
		TLS: Off, Auth: Off,
		Malformed:  Reply{553, "#5.5.4 Domain required for sender address"},
		NoDomain:   Reply{553, "#5.1.8 Domain of sender address <$EnvelopeSender> does not exist"},
		Unresolved: Reply{451, "#4.1.8 Domain of sender address <$EnvelopeSender> does not resolve"},
		Banner:     Reply{Code: 220}, Reject: Reply{Code: 554},
	}
}

// with returns e with the parameters that p sets.
func (e Effective) with(p Parameters) Effective {
	set(&e.MaxMessageSize, p.MaxMessageSize)
	set(&e.MaxConnections, p.MaxConnections)
	set(&e.MaxMessages, p.MaxMessages)
	set(&e.MaxRecipients, p.MaxRecipients)
	set(&e.MaxRecipientsPerHour, p.MaxRecipientsPerHour)
	set(&e.MaxRecipientsPerSender, p.MaxRecipientsPerSender)
	set(&e.SenderInterval, p.SenderInterval)
	set(&e.MaxInvalidPerHour, p.MaxInvalidPerHour)
	set(&e.TLS, p.TLS)
	set(&e.Auth, p.Auth)
	set(&e.AuthNeedsTLS, p.AuthNeedsTLS)
	set(&e.VerifySender, p.VerifySender)
	for _, r := range []struct {
		to   *Reply
		code *int
		text *string
	}{
		{&e.PerHour, p.PerHourCode, p.PerHourText},
		{&e.PerSender, p.PerSenderCode, p.PerSenderText},
		{&e.Invalid, p.InvalidCode, p.InvalidText},
		{&e.Malformed, p.MalformedCode, p.MalformedText},
		{&e.NoDomain, p.NoDomainCode, p.NoDomainText},
		{&e.Unresolved, p.UnresolvedCode, p.UnresolvedText},
		{&e.Banner, p.BannerCode, p.Banner},
		{&e.Reject, p.RejectCode, p.RejectBanner},
	} {
		set(&r.to.Code, r.code)
		set(&r.to.Text, r.text)
	}
	if p.BannerHost != nil {
		e.BannerHost = p.BannerHost
	}
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
	case e.MaxRecipientsPerHour < -1 || e.MaxRecipientsPerSender < -1 || e.MaxInvalidPerHour < 0:
		return refusal.New("The limits of recipients must not be negative.")
	case e.SenderInterval < 1 || e.SenderInterval > 1440:
		return refusal.New("The interval for recipients of an envelope sender must be 1 to 1440 minutes.")
	case !mode(e.TLS) || !mode(e.Auth):
		return refusal.New("TLS and SMTP authentication must be off, preferred or required.")
	case e.Banner.Code < 200 || e.Banner.Code > 299:
		return refusal.New("The code of a banner must be from 200 to 299.")
	case e.Reject.Code < 500 || e.Reject.Code > 599:
		return refusal.New("The code of a rejection must be from 500 to 599.")
	case e.BannerHost != nil && *e.BannerHost != "" && !domainName().MatchString(*e.BannerHost):
		return refusal.Newf("%q is no host name for a banner.", *e.BannerHost)
	}
	for _, r := range []Reply{e.PerHour, e.PerSender, e.Invalid, e.Malformed, e.NoDomain, e.Unresolved} {
		if r.Code < 400 || r.Code > 599 {
			return refusal.Newf("The code of %q must be from 400 to 599.", r.Text)
		}
		if err := CheckReply(r.Text); err != nil {
			return err
		}
	}
	for _, text := range []string{e.Banner.Text, e.Reject.Text} {
		if text == "" {
			continue
		}
		if err := CheckReply(text); err != nil {
			return err
		}
	}
	return nil
}

// CheckReply returns a refusal if s cannot be one line of an SMTP answer.
func CheckReply(s string) error {
	odd := func(r rune) bool { return r < ' ' || r > '~' }
	if s == "" || len(s) > 400 || strings.ContainsFunc(s, odd) {
		return refusal.New("The value must be 1 to 400 characters of ASCII.")
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
