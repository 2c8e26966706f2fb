package peers

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// MailRules are the rules of one mail server, in the order in which they are evaluated: see
// topology.MailRule. They may outlive the server, with their counts. Methods are safe for
// concurrent use and do not block.
type MailRules struct {
	countBytes atomic.Bool // a rule cuts connections after some bytes

	mu      sync.Mutex
	initial []topology.MailRule
	random  func(id int) *entropy.Stream
	list    []*mailRule
	lastID  int
}

// A mailRule is a rule with its effects so far.
type mailRule struct {
	topology.MailRule
	id       int
	reply    topology.MailReply
	hits     int
	messages int             // accepted by the server since the rule was added
	draws    *entropy.Stream // of a rule with a share; nil until it is needed
	greylist greylist
}

// A MailRuleState is the current state of a rule.
type MailRuleState struct {
	ID    int               `json:"id"`
	Rule  topology.MailRule `json:"rule"`
	State RuleState         `json:"state"`
	// Hits is how often the rule has applied: how many replies it gave, connections it cut or
	// handshakes it spoiled, or how many stages it delayed or accepted.
	Hits int `json:"hits"`
}

// A RuleState tells whether a rule applies.
type RuleState string

// States of rules.
const (
	RuleWaiting   RuleState = "waiting" // for the messages of its AfterMessages
	RuleActing    RuleState = "acting"
	RuleExhausted RuleState = "exhausted" // has applied as often as its Times says
)

// NewMailRules returns the rules that a mail server begins with: those of the topology, then
// those that its options stand for.
func NewMailRules(rules []topology.MailRule, options map[string]string) *MailRules {
	r := &MailRules{
		initial: slices.Concat(rules, rulesOfOptions(options)),
		random:  func(int) *entropy.Stream { return entropy.System().Stream("mail rule") },
	}
	r.Restore()
	return r
}

// SetRandom sets the source of the random numbers of rules with a share. A rule that has drawn
// a number already keeps its stream. server is the name of the server: rules of several servers
// draw different numbers.
func (r *MailRules) SetRandom(source entropy.Source, server string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.random = func(id int) *entropy.Stream {
		return source.Stream(fmt.Sprintf("netsim/mail/%s/rule/%d", server, id))
	}
}

// Restore replaces all rules by those that the server began with, without counts.
func (r *MailRules) Restore() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list, r.lastID = nil, 0
	for _, rule := range r.initial {
		r.list = append(r.list, r.newRule(rule))
	}
	r.changed()
}

// newRule is called with mu held.
func (r *MailRules) newRule(rule topology.MailRule) *mailRule {
	r.lastID++
	x := &mailRule{MailRule: rule, id: r.lastID}
	text := rule.Reply
	if text == "" {
		text = usualReplies[rule.Action]
	}
	if text != "" {
		x.reply, _ = topology.ParseMailReply(text) // Check has accepted it
	}
	return x
}

// usualReplies are the replies of rules that may have none, by their actions.
var usualReplies = map[string]string{
	topology.MailGreylist:    "451 4.7.1 Greylisted, please try again later",
	topology.MailConnections: "421 4.3.2 Too many concurrent SMTP connections",
}

// changed is called with mu held when the list has changed.
func (r *MailRules) changed() {
	r.countBytes.Store(slices.ContainsFunc(r.list, func(x *mailRule) bool { return x.AfterBytes > 0 }))
}

// Add adds a rule in front of all others. It returns an error of one line if the rule has a
// mistake, or if there are topology.MaxMailRules rules, exhausted ones included.
func (r *MailRules) Add(rule topology.MailRule) (MailRuleState, error) {
	if err := rule.Check(); err != nil {
		return MailRuleState{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.list); n >= topology.MaxMailRules {
		return MailRuleState{}, fmt.Errorf(
			"there are %d rules, which is the limit: remove one first", n)
	}
	x := r.newRule(rule)
	r.list = slices.Insert(r.list, 0, x)
	r.changed()
	return x.report(), nil
}

// Remove removes a rule and forgets its count. It reports whether there was one.
func (r *MailRules) Remove(id int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.list)
	r.list = slices.DeleteFunc(r.list, func(x *mailRule) bool { return x.id == id })
	r.changed()
	return len(r.list) < n
}

// Clear removes all rules, those of the topology too.
func (r *MailRules) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
	r.changed()
}

// List returns all rules, exhausted ones too, in the order in which they are evaluated.
func (r *MailRules) List() []MailRuleState {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]MailRuleState, len(r.list))
	for i, x := range r.list {
		list[i] = x.report()
	}
	return list
}

func (x *mailRule) report() MailRuleState {
	return MailRuleState{x.id, x.MailRule, x.state(), x.hits}
}

func (x *mailRule) state() RuleState {
	switch {
	case x.Times > 0 && x.hits >= x.Times:
		return RuleExhausted
	case x.messages < x.AfterMessages:
		return RuleWaiting
	}
	return RuleActing
}

// countMessage counts a message that the server has accepted.
func (r *MailRules) countMessage() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.list {
		x.messages++
	}
}

// A mailMoment is a place in a conversation at which rules are evaluated.
type mailMoment struct {
	stage      string
	client     netip.Addr
	sender     *string  // nil until it is known
	recipients []string // that a rule may match; empty until one is known
	open       int      // other connections, at stage connect
	now        clock.Mark
}

// A mailVerdict is what rules demand. The zero value demands nothing.
type mailVerdict struct {
	delay time.Duration
	reply topology.MailReply // Code is 0 if there is none
	cut   string             // topology.CutReset or CutClose, or ""
}

// evaluate returns what the rules demand at a moment, and counts the rules that apply.
func (r *MailRules) evaluate(m mailMoment) (v mailVerdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.list {
		if x.AfterBytes > 0 || !x.matches(m) {
			continue
		}
		switch x.Action {
		case topology.MailConnections:
			if m.stage != topology.StageConnect || m.open < x.Connections || !r.applies(x) {
				continue
			}
			v.reply = x.reply
		case topology.MailGreylist:
			if m.stage != topology.StageRCPT || !r.greylisted(x, m) {
				continue
			}
			v.reply = x.reply
		case topology.MailCertificate:
			continue
		default:
			if !r.applies(x) {
				continue
			}
			v.reply, v.cut = x.reply, x.cut()
		}
		if x.Action != topology.MailDelay {
			return v
		}
		v.delay += x.Delay
	}
	return v
}

// greylisted reports whether rule x refuses the recipient of moment m. It is called with mu held.
func (r *MailRules) greylisted(x *mailRule, m mailMoment) bool {
	t := triple{m.client, strings.ToLower(*m.sender), strings.ToLower(m.recipients[0])}
	return !x.greylist.passed(t, m.now, x.Greylist) && r.applies(x)
}

// cut returns how a rule cuts the connection, "" if it does not.
func (x *mailRule) cut() string {
	if x.Action == topology.MailCut && x.Cut == "" {
		return topology.CutReset
	}
	return x.Cut
}

// cutWithin returns how the connection is cut if a rule demands that between two numbers of bytes
// that have arrived: of the message if the moment's stage is StageEnd, else of the connection.
// "" means that it is not cut.
func (r *MailRules) cutWithin(m mailMoment, from, to int64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var accepts *mailRule
	for _, x := range r.list {
		if x.Action == topology.MailAccept && accepts == nil && x.matches(m) {
			accepts = x
		}
		n := int64(x.AfterBytes)
		if n == 0 || n <= from || n > to || x.Stage != m.stage || !x.matches(m) {
			continue
		}
		if accepts != nil && r.applies(accepts) {
			return ""
		}
		if r.applies(x) {
			return x.cut()
		}
	}
	return ""
}

// certificate returns the certificate that rules demand for a handshake, "" if none does.
func (r *MailRules) certificate() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.list {
		if x.Action == topology.MailCertificate && x.state() == RuleActing && r.applies(x) {
			return x.Certificate
		}
	}
	return ""
}

// matches reports whether the conditions of a rule match, except for its share.
func (x *mailRule) matches(m mailMoment) bool {
	switch {
	case x.state() != RuleActing:
		return false
	case x.Stage != "" && x.Stage != m.stage:
		return false
	case x.Sender != "" && (m.sender == nil || !matchesAddress(x.Sender, *m.sender)):
		return false
	}
	return x.Recipient == "" || slices.ContainsFunc(m.recipients, func(to string) bool {
		return matchesAddress(x.Recipient, to)
	})
}

// applies decides by the share of a rule whose conditions match, and counts the rule if it
// applies. It is called with mu held.
func (r *MailRules) applies(x *mailRule) bool {
	if x.Share > 0 {
		if x.draws == nil {
			x.draws = r.random(x.id)
		}
		if x.draws.Float64() >= x.Share {
			return false
		}
	}
	x.hits++
	return true
}

// matchesAddress reports whether an address matches a pattern of a topology.MailRule.
func matchesAddress(pattern, address string) bool {
	if pattern == "<>" {
		return address == ""
	}
	pattern, address = strings.ToLower(pattern), strings.ToLower(address)
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return pattern == address
	}
	if len(address) < len(first)+len(last) ||
		!strings.HasPrefix(address, first) || !strings.HasSuffix(address, last) {
		return false
	}
	address = address[len(first) : len(address)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(address, part)
		if i < 0 {
			return false
		}
		address = address[i+len(part):]
	}
	return true
}
