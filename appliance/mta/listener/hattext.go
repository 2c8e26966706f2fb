package listener

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// The text form of the host access table is that of the public CLI references, which show the table
// as it is printed: policies with their parameters, sender groups with their hosts, plain entries,
// and the rule for all other hosts. In a file, parameters of the table itself stand in a block DEFAULT
// before the rest, which is our own. The keys that no reference shows are ours, too.

// A parameter is one of Parameters in the text form.
type parameter struct {
	key string
	// get returns the value as it is written; set is false if the parameter is not set.
	get func(p *Parameters) (text string, set bool)
	// put sets the parameter, or reports that text is no value for it.
	put func(p *Parameters, text string) bool
}

// parameters returns all parameters, in the order of the text form.
func parameters() []parameter {
	return []parameter{
		number("max_msgs_per_session", func(p *Parameters) **int { return &p.MaxMessages }),
		number("max_concurrency", func(p *Parameters) **int { return &p.MaxConnections }),
		number("max_rcpts_per_msg", func(p *Parameters) **int { return &p.MaxRecipients }),
		number("max_rcpts_per_hour", func(p *Parameters) **int { return &p.MaxRecipientsPerHour }),
		number("max_rcpts_per_hour_code", func(p *Parameters) **int { return &p.PerHourCode }),
		quoted("max_rcpts_per_hour_text", func(p *Parameters) **string { return &p.PerHourText }),
		number("max_rcpts_per_sender", func(p *Parameters) **int { return &p.MaxRecipientsPerSender }),
		number("sender_interval", func(p *Parameters) **int { return &p.SenderInterval }),
		number("max_rcpts_per_sender_code", func(p *Parameters) **int { return &p.PerSenderCode }),
		quoted("max_rcpts_per_sender_text", func(p *Parameters) **string { return &p.PerSenderText }),
		number("dhap_limit", func(p *Parameters) **int { return &p.MaxInvalidPerHour }),
		number("dhap_code", func(p *Parameters) **int { return &p.InvalidCode }),
		quoted("dhap_text", func(p *Parameters) **string { return &p.InvalidText }),
		number("max_message_size", func(p *Parameters) **int64 { return &p.MaxMessageSize }),
		mode("tls", func(p *Parameters) **TLSMode { return &p.TLS }),
		mode("smtp_auth", func(p *Parameters) **TLSMode { return &p.Auth }),
		onOff("require_tls_to_offer_auth", func(p *Parameters) **bool { return &p.AuthNeedsTLS }),
		onOff("env_sender_verify", func(p *Parameters) **bool { return &p.VerifySender }),
		number("env_sender_malformed_code", func(p *Parameters) **int { return &p.MalformedCode }),
		quoted("env_sender_malformed_text", func(p *Parameters) **string { return &p.MalformedText }),
		number("env_sender_nxdomain_code", func(p *Parameters) **int { return &p.NoDomainCode }),
		quoted("env_sender_nxdomain_text", func(p *Parameters) **string { return &p.NoDomainText }),
		number("env_sender_unresolved_code", func(p *Parameters) **int { return &p.UnresolvedCode }),
		quoted("env_sender_unresolved_text", func(p *Parameters) **string { return &p.UnresolvedText }),
		number("banner_code", func(p *Parameters) **int { return &p.BannerCode }),
		quoted("banner", func(p *Parameters) **string { return &p.Banner }),
		quoted("banner_host", func(p *Parameters) **string { return &p.BannerHost }),
		number("reject_code", func(p *Parameters) **int { return &p.RejectCode }),
		quoted("reject_banner", func(p *Parameters) **string { return &p.RejectBanner }),
	}
}

// notSimulated are the parameters of the real table that this appliance does not have.
func notSimulated(key string) bool {
	return slices.Contains([]string{"spam_check", "virus_check", "use_sb", "dkim_signing",
		"dkim_verification", "spf", "dmarc_verify", "significant_bits", "accept_untagged_bounces"}, key)
}

func number[T int | int64](key string, at func(p *Parameters) **T) parameter {
	return typed(key, at, func(v T) string { return fmt.Sprint(v) }, func(text string) (T, bool) {
		n, err := strconv.ParseInt(text, 10, 64)
		return T(n), err == nil && int64(T(n)) == n
	})
}

func quoted(key string, at func(p *Parameters) **string) parameter {
	return typed(key, at, strconv.Quote, func(text string) (string, bool) {
		s, err := strconv.Unquote(text)
		return s, err == nil && strings.HasPrefix(text, `"`)
	})
}

func mode(key string, at func(p *Parameters) **TLSMode) parameter {
	return typed(key, at, func(m TLSMode) string { return strconv.Quote(string(m)) },
		func(text string) (TLSMode, bool) {
			m := TLSMode(strings.Trim(text, `"`))
			return m, m == Off || m == Preferred || m == Required
		})
}

func onOff(key string, at func(p *Parameters) **bool) parameter {
	return typed(key, at, func(on bool) string {
		if on {
			return `"on"`
		}
		return `"off"`
	}, func(text string) (bool, bool) {
		word := strings.Trim(text, `"`)
		return word == "on", word == "on" || word == "off"
	})
}

func typed[T any](
	key string, at func(p *Parameters) **T, write func(T) string, read func(string) (T, bool),
) parameter {
	return parameter{key, func(p *Parameters) (string, bool) {
		if v := *at(p); v != nil {
			return write(*v), true
		}
		return "", false
	}, func(p *Parameters, text string) bool {
		v, ok := read(text)
		if ok {
			*at(p) = &v
		}
		return ok
	}}
}

// FileText returns the table in the text form for files.
func (t HostTable) FileText() string {
	if t.Default == (Parameters{}) {
		return t.Text()
	}
	var b strings.Builder
	b.WriteString("DEFAULT\n   ")
	writeBlock(&b, &t.Default)
	return b.String() + t.Text()
}

// writeBlock writes the parameters that are set, in braces.
func writeBlock(b *strings.Builder, p *Parameters) {
	var lines []string
	for _, one := range parameters() {
		if text, set := one.get(p); set {
			lines = append(lines, one.key+" = "+text)
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(b, " {\n        %s\n    }", strings.Join(lines, "\n        "))
	}
	b.WriteString("\n")
}

// Text returns the table in its text form, as it is printed.
func (t HostTable) Text() string {
	var b strings.Builder
	for _, p := range t.Policies {
		fmt.Fprintf(&b, "$%s\n    %s", p.Name, p.Action)
		writeBlock(&b, &p.Parameters)
	}
	for _, g := range t.Groups {
		b.WriteString(t.GroupText(g))
	}
	fmt.Fprintf(&b, "ALL\n    %s\n", t.behavior(t.Last))
	return b.String()
}

// behavior returns a policy, or an action, as the text form has it.
func (t HostTable) behavior(policy string) string {
	if p, ok := t.policy(policy); ok && p.Name == "" {
		return string(p.Action)
	}
	return "$" + policy
}

// GroupText returns a sender group in the text form of the table.
func (t HostTable) GroupText(g SenderGroup) string {
	comment := func(text string) string {
		if text == "" {
			return ""
		}
		return " (" + text + ")"
	}
	var b strings.Builder
	if g.Name == "" {
		fmt.Fprintf(&b, "%s\n    %s%s\n", g.Label(), t.behavior(g.Policy), comment(g.Comment))
		return b.String()
	}
	fmt.Fprintf(&b, "%s:\n", g.Name)
	for _, e := range g.Entries {
		fmt.Fprintf(&b, "        %s%s\n", e.Host, comment(e.Comment))
	}
	fmt.Fprintf(&b, "        %s%s\n", t.behavior(g.Policy), comment(g.Comment))
	return b.String()
}

// A tableParser reads the text form of a host access table.
type tableParser struct {
	lines   []string
	next    int // index of the next line
	table   HostTable
	ignored []string // keys of parameters that are not simulated
}

// ParseHosts returns the table of a text, and the keys of its parameters that this appliance does
// not have. A refusal names the line that is wrong.
func ParseHosts(text string) (t HostTable, ignored []string, err error) {
	p := &tableParser{lines: strings.Split(text, "\n")}
	for {
		line, ok := p.line()
		if !ok {
			break
		}
		if err := p.entry(line); err != nil {
			return HostTable{}, nil, refusal.Because(err, "Line %d: %v", p.next, err)
		}
	}
	return p.table, p.ignored, p.table.check()
}

// line returns the next line that is neither empty nor a comment, without blanks around it.
func (p *tableParser) line() (line string, ok bool) {
	for p.next < len(p.lines) {
		line = strings.TrimSpace(p.lines[p.next])
		p.next++
		if line != "" && line[0] != '#' {
			return line, true
		}
	}
	return "", false
}

// entry reads a policy, a sender group or a plain entry, whose first line is given.
func (p *tableParser) entry(head string) error {
	t := &p.table
	if CheckEntry(head) == nil && head != "DEFAULT" {
		return p.plain(head)
	}
	if name, ok := strings.CutPrefix(head, "$"); ok {
		line, _ := p.line()
		action, block, _ := strings.Cut(line, " ")
		policy := Policy{Name: name, Action: Action(action)}
		if !policy.Action.known() {
			return refusal.Newf("The policy %s has the unknown action %q.", name, action)
		}
		t.Policies = append(t.Policies, policy)
		return p.block(strings.TrimSpace(block), &t.Policies[len(t.Policies)-1].Parameters)
	}
	if block, ok := strings.CutPrefix(head, "DEFAULT"); ok {
		if block == "" {
			block, _ = p.line()
		}
		return p.block(strings.TrimSpace(block), &t.Default)
	}
	g := SenderGroup{Name: strings.TrimSuffix(head, ":")}
	if g.Name == head {
		return refusal.Newf("%q begins no entry: expected $POLICY, GROUP:, a host or ALL.", head)
	}
	for {
		line, ok := p.line()
		if !ok {
			return refusal.Newf("The sender group %s has no policy.", g.Name)
		}
		text, comment := cutComment(line)
		if name, ok := parseBehavior(text); ok {
			g.Policy, g.Comment = name, comment
			t.Groups = append(t.Groups, g)
			return nil
		}
		if err := CheckEntry(text); err != nil {
			return err
		}
		g.Entries = append(g.Entries, Entry{Host: text, Comment: comment})
	}
}

// plain reads the rest of an entry that is no group, or of the rule for all other hosts.
func (p *tableParser) plain(host string) error {
	line, _ := p.line()
	text, comment := cutComment(strings.TrimSuffix(strings.TrimSpace(line), " {}"))
	name, ok := parseBehavior(text)
	switch {
	case !ok:
		return refusal.Newf("%q is no behavior for %s: expected the name of a policy, such as $ACCEPTED, "+
			"or ACCEPT, RELAY, REJECT, TCPREFUSE or CONTINUE.", text, host)
	case host == "ALL":
		p.table.Last = name
		return nil
	}
	p.table.Groups = append(p.table.Groups,
		SenderGroup{Policy: name, Comment: comment, Entries: []Entry{{Host: host}}})
	return CheckEntry(host)
}

// parseBehavior returns the name of a policy, or an action.
func parseBehavior(text string) (policy string, ok bool) {
	if name, ok := strings.CutPrefix(text, "$"); ok {
		return name, name != ""
	}
	return text, Action(text).known()
}

// cutComment divides a line at the comment in parentheses at its end.
func cutComment(line string) (text, comment string) {
	if inside, ok := strings.CutSuffix(line, ")"); ok {
		if text, comment, ok = strings.Cut(inside, " ("); ok {
			return strings.TrimSpace(text), comment
		}
	}
	return line, ""
}

// block reads parameters in braces. open is the rest of the line before it: nothing, the opening
// brace, or both.
func (p *tableParser) block(open string, to *Parameters) error {
	switch open {
	case "", "{}":
		return nil
	case "{":
	default:
		return refusal.Newf("%q is unexpected: expected { and parameters.", open)
	}
	for {
		line, ok := p.line()
		switch {
		case !ok:
			return refusal.New("The closing } of the parameters is missing.")
		case line == "}":
			return nil
		}
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		i := slices.IndexFunc(parameters(), func(one parameter) bool { return one.key == key })
		switch {
		case i >= 0 && !parameters()[i].put(to, value):
			return refusal.Newf("%q is no value for %s.", value, key)
		case i < 0 && !notSimulated(key):
			return refusal.Newf("%q is no parameter of a policy.", key)
		case i < 0 && !slices.Contains(p.ignored, key):
			p.ignored = append(p.ignored, key)
		}
	}
}
