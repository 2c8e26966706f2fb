package topology

import (
	"reflect"
	"slices"
	"time"
)

// A MailRule makes a simulated mail server misbehave: an action, and conditions. A condition that
// is left out matches everything; a zero that is written down is refused. A rule is written the
// same way in a topology, in JSON (where numbers may be texts too) and on the command line.
//
// A server evaluates its rules at every stage of every conversation, in their order. All delays
// that match are added up. Of the other actions, the first rule that matches decides, and later
// rules are skipped. The order is that of the topology; rules that are added while the server
// runs are in front of those, the newest first. Certificates are chosen apart from that: the first
// rule for certificates decides.
type MailRule struct {
	Name string `yaml:"name"` // for people

	// Action is what the server does:
	//
	//	reply        It sends the error reply Reply instead of its own.
	//	delay        It waits for Delay before it replies.
	//	cut          It cuts the connection, in the way that Cut says, instead of replying.
	//	greylist     The first attempt of a client, sender and recipient, and further ones within
	//	             the time Greylist, are answered with Reply, or with 451 if there is none.
	//	certificate  Its certificate in TLS is one that Certificate names.
	//	connections  If Connections connections are open, another one is answered with Reply, or
	//	             with 421 if there is none, and closed.
	//	accept       It behaves well: later rules are skipped.
	Action      string        `yaml:"action"`
	Reply       string        `yaml:"reply"`    // see ParseMailReply
	Delay       time.Duration `yaml:"delay"`    // of action delay, in real time
	Cut         string        `yaml:"cut"`      // of action cut: "reset", the default, or "close"
	Greylist    time.Duration `yaml:"greylist"` // of action greylist, on the appliance's timers
	Certificate string        `yaml:"certificate"`
	Connections int           `yaml:"connections"`

	// Stage is the place in the conversation, one of MailStages.
	Stage string `yaml:"stage"`
	// Sender and Recipient are patterns of addresses. "*" stands for any text, upper and lower
	// case are equal, and "<>" is the empty sender. Recipient matches if the address of the RCPT
	// command does or, later on, if one of the accepted recipients does.
	Sender    string `yaml:"sender"`
	Recipient string `yaml:"recipient"`

	// Times is how often the rule applies; then it is exhausted.
	Times int `yaml:"times" nonzero:"more than 0; without this key there is no limit"`
	// AfterMessages is the number of messages that the server accepts, counted from when the
	// rule was added, before the rule applies.
	AfterMessages int `yaml:"after_messages" nonzero:"more than 0"`
	// AfterBytes is of action cut. The connection is cut when so many bytes of it have arrived
	// or, at stage end, so many bytes of a message.
	AfterBytes Bytes `yaml:"after_bytes" nonzero:"more than 0"`
	// Share is the probability with which the rule applies if its conditions match.
	Share float64 `yaml:"share" nonzero:"more than 0 and at most 1 (100%)"`
}

// Actions of a MailRule.
const (
	MailReplies     = "reply"
	MailDelay       = "delay"
	MailCut         = "cut"
	MailGreylist    = "greylist"
	MailCertificate = "certificate"
	MailConnections = "connections"
	MailAccept      = "accept"
)

// MailActions returns the actions of mail servers' rules, in the order in which messages name
// them.
func MailActions() []string {
	return []string{
		MailReplies, MailDelay, MailCut, MailGreylist, MailCertificate, MailConnections, MailAccept,
	}
}

// Stages of a conversation with a mail server.
const (
	StageConnect  = "connect" // the greeting
	StageEHLO     = "ehlo"
	StageHELO     = "helo"
	StageSTARTTLS = "starttls"
	StageAUTH     = "auth"
	StageMAIL     = "mail"
	StageRCPT     = "rcpt"
	StageDATA     = "data" // the command
	StageEnd      = "end"  // of the message
)

// MailStages returns the stages in the order of a conversation.
func MailStages() []string {
	return []string{
		StageConnect, StageEHLO, StageHELO, StageSTARTTLS, StageAUTH,
		StageMAIL, StageRCPT, StageDATA, StageEnd,
	}
}

// Ways to cut a connection.
const (
	CutReset = "reset" // with a TCP reset
	CutClose = "close" // as if the server had replied
)

// Certificates that a rule can give to a mail server. The certificate of a server without rules
// names the server and is signed by the authority of the world.
const (
	CertificateExpired    = "expired"     // since yesterday
	CertificateFuture     = "future"      // valid from tomorrow on
	CertificateSelfSigned = "self-signed" // otherwise correct
	CertificateUnknownCA  = "unknown-ca"  // signed by an authority that nobody knows
	CertificateWrongName  = "wrong-name"  // of another server
	CertificateBroken     = "broken"      // cannot be read, so that the handshake fails
)

// Certificates returns the certificates that a rule can name.
func Certificates() []string {
	return []string{
		CertificateExpired, CertificateFuture, CertificateSelfSigned, CertificateUnknownCA,
		CertificateWrongName, CertificateBroken,
	}
}

// atLeast reports whether a stage is that one or a later one.
func atLeast(stage, first string) bool {
	stages := MailStages()
	return slices.Index(stages, stage) >= slices.Index(stages, first)
}

// String returns the rule as one line, without its name: `reply "450 4.2.0 later" stage rcpt
// times 2`.
func (r MailRule) String() string { return inWords(r.Action, fieldsOf(reflect.ValueOf(r))) }

// MarshalJSON returns an object with the keys of a topology and the fields that are set.
func (r MailRule) MarshalJSON() ([]byte, error) { return inJSON(fieldsOf(reflect.ValueOf(r))) }

// UnmarshalJSON reads an object with the keys of a topology. Values may be written as in a
// topology too, numbers as texts. Errors are in the terms of a topology, not of Go.
func (r *MailRule) UnmarshalJSON(data []byte) error {
	*r = MailRule{}
	return decodeJSON(data, r)
}
