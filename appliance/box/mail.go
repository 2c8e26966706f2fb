package box

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A MailServer is a simulated mail server of a box: the mail that it has received, and the rules
// by which it misbehaves. A reboot of the appliance does not change the rules; the mail is lost.
// Methods are safe for concurrent use.
type MailServer struct {
	SimulatedServer
	rules *peers.MailRules
}

// Mail returns the mail server of that name: the name of its host if the host has one mail server,
// and otherwise that of the service, HOST/TYPE. The error is as that of Syslog.
func (b *Box) Mail(server string) (*MailServer, error) {
	rules, err := b.faults.MailRules(server)
	if err != nil {
		return nil, err
	}
	s, err := b.newServer(netsim.MailRole, server)
	return &MailServer{s, rules}, err
}

// exchanger returns the server in the current world.
func (m *MailServer) exchanger() *peers.MailExchanger {
	return m.box.World().Peer(m.service).(*peers.MailExchanger)
}

// after is the intake of the server. Its cursor is the identifier of a message.
func (m *MailServer) after(w *netsim.World, cursor int) (
	list []peers.Message, next, total int, changed <-chan struct{}) {
	stored, total, _, changed := w.Peer(m.service).(*peers.MailExchanger).Contents()
	next = cursor
	for _, x := range stored {
		if x.ID > cursor {
			list, next = append(list, x), x.ID
		}
	}
	return list, next, total, changed
}

// Messages returns the messages that are stored, the oldest first. The server must have been
// started with its box.
func (m *MailServer) Messages() []peers.Message { return m.exchanger().Messages() }

// Message returns a message that is stored, by its identifier. The error is a
// *netsim.NotFoundError.
func (m *MailServer) Message(id int) (peers.Message, error) {
	list := m.Messages()
	i := slices.IndexFunc(list, func(x peers.Message) bool { return x.ID == id })
	if i < 0 {
		return peers.Message{}, netsim.NotFound("the mail server %s has no message %d", m.name, id)
	}
	return list[i], nil
}

// Wait blocks until a message is stored for which match returns true, and returns the first such
// message; it may have arrived already. A nil match accepts every message. Wait continues while
// the appliance reboots. If ctx ends first, the error wraps its cause and says how many messages
// there were. A reset ends it with ErrReset.
func (m *MailServer) Wait(ctx context.Context, match func(peers.Message) bool) (
	found peers.Message, err error) {
	err = await(ctx, m.SimulatedServer, "messages that have arrived at the mail server", m.after,
		func(list []peers.Message, _ int) bool { return first(list, match, &found) })
	return found, err
}

// Await blocks until n messages have arrived since the start or the last Clear, and returns
// Messages. It is like Wait in everything else.
func (m *MailServer) Await(ctx context.Context, n int) ([]peers.Message, error) {
	err := await(ctx, m.SimulatedServer, "messages that have arrived at the mail server", m.after,
		func(_ []peers.Message, total int) bool { return total >= n })
	return m.Messages(), err
}

// Clear forgets all messages and their number. Messages that follow have new identifiers.
func (m *MailServer) Clear() { m.exchanger().Clear() }

// AddRule adds a rule in front of all others. If the rule has a mistake, the error is a
// *topology.RuleError; if there are topology.MaxMailRules rules, it is a *netsim.ConflictError.
func (m *MailServer) AddRule(r topology.MailRule) (peers.MailRuleState, error) {
	if err := r.Check(); err != nil {
		return peers.MailRuleState{}, err
	}
	state, err := m.rules.Add(r)
	if err != nil {
		return state, netsim.Conflict("%v", err)
	}
	return state, nil
}

// Rules returns all rules with their counts, exhausted ones too, in the order in which they are
// evaluated.
func (m *MailServer) Rules() []peers.MailRuleState { return m.rules.List() }

// Rule returns one rule. The error is a *netsim.NotFoundError.
func (m *MailServer) Rule(id int) (peers.MailRuleState, error) {
	for _, r := range m.Rules() {
		if r.ID == id {
			return r, nil
		}
	}
	return peers.MailRuleState{}, netsim.NotFound("the mail server %s has no rule %d", m.name, id)
}

// RemoveRule removes a rule. The error is a *netsim.NotFoundError.
func (m *MailServer) RemoveRule(id int) error {
	if !m.rules.Remove(id) {
		return netsim.NotFound("the mail server %s has no rule %d", m.name, id)
	}
	return nil
}

// ClearRules removes all rules, those of the topology too.
func (m *MailServer) ClearRules() { m.rules.Clear() }

// A Mailbox is the mail that a simulated mail server has received since the start.
type Mailbox struct {
	Received int              `json:"received"` // messages, those that are no longer stored too
	Dropped  int              `json:"dropped"`  // the oldest ones, for which there was no room
	Messages []MessageSummary `json:"messages"` // those that are stored, the oldest first
}

// A MessageSummary is what a Mailbox says of a message.
type MessageSummary struct {
	ID      int            `json:"id"` // 1 for the first message since the start, then counting up
	Time    time.Time      `json:"time"`
	Client  netip.AddrPort `json:"client"`
	Hello   string         `json:"hello"` // the name in the client's EHLO or HELO
	TLS     bool           `json:"tls"`
	User    string         `json:"user,omitempty"` // that the client has logged in as
	From    string         `json:"from"`
	To      []string       `json:"to"`
	Subject string         `json:"subject"`
	Size    int64          `json:"size"` // bytes
	// Cut reports whether only the beginning of the message is stored, for lack of room.
	Cut bool `json:"cut,omitempty"`
}

// A MessageContent is a message with its content in readable form.
type MessageContent struct {
	MessageSummary
	peers.DecodedMessage
}

// Mailbox returns the mail that the server has received.
func (m *MailServer) Mailbox() Mailbox {
	stored, received, dropped, _ := m.exchanger().Contents()
	box := Mailbox{Received: received, Dropped: dropped, Messages: []MessageSummary{}}
	for _, x := range stored {
		box.Messages = append(box.Messages, summaryOf(x))
	}
	return box
}

// Content returns a message in readable form. The error is a *netsim.NotFoundError.
func (m *MailServer) Content(id int) (MessageContent, error) {
	x, err := m.Message(id)
	if err != nil {
		return MessageContent{}, err
	}
	return MessageContent{summaryOf(x), x.Decode()}, nil
}

func summaryOf(m peers.Message) MessageSummary {
	return MessageSummary{
		ID: m.ID, Time: m.Time, Client: m.Client, Hello: m.Hello, TLS: m.TLS, User: m.User,
		From: m.From, To: m.To, Subject: m.Subject(), Size: m.Size, Cut: m.Cut,
	}
}
