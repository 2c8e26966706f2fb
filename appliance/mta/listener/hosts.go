package listener

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/pattern"
	"github.com/esasim/esasim/appliance/refusal"
)

// A HostTable is a host access table.
type HostTable struct {
	Default  Parameters    `xml:"default_parameters"`
	Policies []Policy      `xml:"policies>policy"`
	Groups   []SenderGroup `xml:"sender_groups>sender_group"` // the first match counts
	Last     string        `xml:"last_policy"`                // for all other hosts; as SenderGroup.Policy
}

// A SenderGroup is a set of hosts with a policy. One without a name has a single host: it is a plain
// entry of the table.
type SenderGroup struct {
	Name    string  `xml:"group_name"`
	Policy  string  `xml:"policy"` // its name, or an action
	Comment string  `xml:"comment,omitempty"`
	Entries []Entry `xml:"hosts>host"`
}

// An Entry of a sender group describes hosts: an address, a range such as 192.0.2.1-10, a network,
// a host name, .domain, sbrs[-3.0:-1.0], sbrs[none], dnslist[query.example.net], nx.domain,
// serv.fail, not.double.verified, or ALL.
type Entry struct {
	Host    string `xml:",chardata"`
	Comment string `xml:"comment,attr,omitempty"`
}

// Label returns the group's name, or, if it has none, its host.
func (g SenderGroup) Label() string {
	if g.Name == "" && len(g.Entries) > 0 {
		return g.Entries[0].Host
	}
	return g.Name
}

// policy returns the policy of that name, or, for the name of an action, one that has only this
// action.
func (t HostTable) policy(name string) (p Policy, ok bool) {
	i := slices.IndexFunc(t.Policies, func(p Policy) bool { return strings.EqualFold(p.Name, name) })
	if i >= 0 {
		return t.Policies[i], true
	}
	if a := Action(strings.ToUpper(name)); a.known() {
		return Policy{Action: a}, true
	}
	return p, false
}

// known reports whether there is such an action.
func (a Action) known() bool {
	switch a {
	case Accept, Relay, Reject, TCPRefuse, Continue:
		return true
	}
	return false
}

// Effective returns the parameters that hold under a policy.
func (t HostTable) Effective(p Policy) Effective {
	return builtIn().with(t.Default).with(p.Parameters)
}

func (t HostTable) check() error {
	if err := t.Default.check(); err != nil {
		return err
	}
	policies := map[string]bool{}
	for _, p := range t.Policies {
		key := strings.ToLower(p.Name)
		switch {
		case CheckName(p.Name) != nil || policies[key] || Action(strings.ToUpper(p.Name)).known():
			return refusal.Newf("Every policy needs a name of its own, unlike %q.", p.Name)
		case !p.Action.known():
			return refusal.Newf("The policy %s has the unknown action %q.", p.Name, p.Action)
		}
		policies[key] = true
		if err := p.Parameters.check(); err != nil {
			return refusal.Because(err, "The policy %s: %v", p.Name, err)
		}
	}
	if _, ok := t.policy(t.Last); !ok {
		return refusal.Newf("The last rule has the policy %q, which does not exist.", t.Last)
	}
	names := map[string]bool{}
	for _, g := range t.Groups {
		key := strings.ToLower(g.Label())
		switch {
		case g.Name == "" && len(g.Entries) != 1:
			return refusal.New("A sender group without a name must have one host.")
		case g.Name != "" && CheckName(g.Name) != nil || names[key] || key == "all":
			return refusal.Newf("Every sender group needs a name of its own, unlike %q.", g.Label())
		}
		names[key] = true
		if _, ok := t.policy(g.Policy); !ok {
			return refusal.Newf("The sender group %s has the policy %q, which does not exist.",
				g.Label(), g.Policy)
		}
		comments := g.Comment
		for _, e := range g.Entries {
			if _, err := parseEntry(e.Host); err != nil {
				return err
			}
			comments += e.Comment
		}
		if strings.ContainsFunc(comments, func(r rune) bool { return r < ' ' }) {
			return refusal.Newf("A comment of the sender group %s has more than one line.", g.Label())
		}
	}
	return nil
}

// A sender is what a connection is judged by.
type sender struct {
	addr     netip.Addr
	host     string // by reverse look-up; "": none
	verified bool   // the host has the address
	noName   bool   // DNS says that the address has no name
	noAnswer bool   // DNS did not answer
	score    *float64
	country  string // "": not known
	// listed reports whether a DNS list has the address. It may block.
	listed func(zone string) bool
}

// A verdict is what the table says about a sender.
type verdict struct {
	group  string // "": the last rule
	entry  string
	policy Policy
}

// judge returns the verdict about a sender: that of the first group with a matching entry whose
// policy does not continue.
func (t HostTable) judge(s sender) verdict {
	for _, g := range t.Groups {
		for _, e := range g.Entries {
			match, err := parseEntry(e.Host)
			if err != nil || !match(s) {
				continue
			}
			if p, ok := t.policy(g.Policy); ok && p.Action != Continue {
				return verdict{g.Name, e.Host, p}
			}
			break // the next group
		}
	}
	p, _ := t.policy(t.Last) // check knows that it exists
	return verdict{"", "ALL", p}
}

var (
	scoreEntry = pattern.New(`^sbrs\[(-?\d+(?:\.\d+)?):(-?\d+(?:\.\d+)?)\]$`)
	listEntry  = pattern.New(`^dnslist\[([A-Za-z0-9._-]+)\]$`)
	rangeEntry = pattern.New(`^(\d+\.\d+\.\d+\.)(\d+)-(\d+)$`)
	nameEntry  = pattern.New(`^\.?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
)

// parseEntry returns a function that reports whether an entry matches a sender, or a refusal if the
// text is no entry.
func parseEntry(text string) (match func(sender) bool, err error) {
	switch text {
	case "ALL":
		return func(sender) bool { return true }, nil
	case "nx.domain":
		return func(s sender) bool { return s.noName }, nil
	case "serv.fail":
		return func(s sender) bool { return s.noAnswer }, nil
	case "not.double.verified":
		return func(s sender) bool { return !s.verified }, nil
	case "sbrs[none]":
		return func(s sender) bool { return s.score == nil }, nil
	}
	if m := scoreEntry().FindStringSubmatch(text); m != nil {
		return parseScores(text, m[1], m[2])
	}
	if m := listEntry().FindStringSubmatch(text); m != nil {
		return func(s sender) bool { return s.listed(m[1]) }, nil
	}
	if match, ok := parseAddrs(text); ok {
		return match, nil
	}
	// A name that ends like an address is a mistyped address or range, and no host has it.
	last := text[strings.LastIndexByte(text, '.')+1:]
	if !nameEntry().MatchString(text) || strings.Trim(last, "0123456789-") == "" {
		return nil, refusal.Newf("%q is no entry for a sender group: expected an address, a range "+
			"such as 192.0.2.1-10, a network, a host name, .domain, sbrs[-3.0:-1.0] or ALL.", text)
	}
	name := strings.ToLower(text)
	return func(s sender) bool {
		host := strings.ToLower(s.host)
		if strings.HasPrefix(name, ".") {
			return s.verified && strings.HasSuffix(host, name)
		}
		return s.verified && host == name
	}, nil
}

// parseScores parses the entry for a range of scores.
func parseScores(text, from, to string) (match func(sender) bool, err error) {
	low, err1 := strconv.ParseFloat(from, 64)
	high, err2 := strconv.ParseFloat(to, 64)
	if err := cmp.Or(err1, err2); err != nil || low < -10 || high > 10 || low > high {
		return nil, refusal.Because(err, "%q is no range of scores: expected two numbers from "+
			"-10.0 to 10.0, the smaller one first.", text)
	}
	return func(s sender) bool { return s.score != nil && low <= *s.score && *s.score <= high }, nil
}

// parseAddrs parses the entry for an address, a range or a network.
func parseAddrs(text string) (match func(sender) bool, ok bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return func(s sender) bool { return s.addr == a }, true
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return func(s sender) bool { return p.Contains(s.addr) }, true
	}
	m := rangeEntry().FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	low, err1 := netip.ParseAddr(m[1] + m[2])
	high, err2 := netip.ParseAddr(m[1] + m[3])
	if err1 != nil || err2 != nil || high.Less(low) {
		return nil, false
	}
	return func(s sender) bool {
		return s.addr.Is4() && !s.addr.Less(low) && !high.Less(s.addr)
	}, true
}

// formatScore returns a score as the mail log shows it.
func formatScore(score float64) string { return fmt.Sprintf("%.1f", score) }
