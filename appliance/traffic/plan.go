package traffic

import (
	"cmp"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A plan makes the messages of a flow. Every message depends on the flow, the seed and the message's
// key alone, so that a run can be repeated whatever the speed of the machine.
type plan struct {
	flow    topology.Flow
	seed    entropy.Source
	tag     string                   // of the seed, in Message-IDs
	helloOf func(host string) string // the name that a host says in EHLO
}

// A planned is a message that is due at a time.
type planned struct {
	key     string
	due     time.Time
	group   string // messages of a group are sent on one connection
	host    string // of the topology
	tls     bool
	last    bool // of its group
	message Message
}

// defaultSize is the size of large messages.
const defaultSize = topology.MiB

func newPlan(f topology.Flow, seed int, helloOf func(string) string) *plan {
	p := &plan{flow: f, helloOf: helloOf, tag: fmt.Sprintf("%d", uint32(seed))}
	p.seed = entropy.Seeded(uint64(seed)) //nolint:gosec // every number is a seed
	return p
}

// kind returns the kind of a message.
func (p *plan) kind(r *entropy.Stream) string {
	total := 0
	for _, weight := range p.flow.Kinds {
		total += weight
	}
	if total == 0 {
		return "text"
	}
	x := r.IntN(total)
	kinds := slices.Sorted(maps.Keys(p.flow.Kinds))
	for _, kind := range kinds {
		if x -= p.flow.Kinds[kind]; x < 0 {
			return kind
		}
	}
	panic("traffic: the weights of kinds have changed")
}

// stream returns the random numbers for a purpose.
func (p *plan) stream(purpose, key string) *entropy.Stream {
	return p.seed.Stream("traffic/" + p.flow.Name + "/" + purpose + "/" + key)
}

// message returns the message with a key, which is sent on the connection of a group.
func (p *plan) message(key, group string, due time.Time) planned {
	g := p.stream("connection", group)
	m := planned{key: key, group: group, due: due, host: pick(g, p.flow.From)}
	m.tls = g.Float64() < p.flow.TLS
	r := p.stream("message", key)
	hello := p.helloOf(m.host)
	m.message.From = p.sender(r, hello)
	m.message.To = p.recipients(r)
	m.message.Text = p.text(r, key, hello, &m)
	return m
}

// sender returns the sender's address of a message.
func (p *plan) sender(r *entropy.Stream, hello string) string {
	list := p.flow.Senders
	if len(list) == 0 {
		list = []string{"@" + hello}
	}
	if a := pick(r, list); a != "<>" {
		return madeUp(r, a)
	}
	return ""
}

// madeUp returns an address of the domain if a is one with an @ before it, and otherwise a.
func madeUp(r *entropy.Stream, a string) string {
	if strings.HasPrefix(a, "@") {
		return localPart(r) + a
	}
	return a
}

// recipients returns the recipients of a message, each once.
func (p *plan) recipients(r *entropy.Stream) []string {
	span := p.flow.Recipients
	if span == (topology.Span{}) {
		span = topology.Span{Min: 1, Max: 1}
	}
	n := span.Min + r.IntN(span.Max-span.Min+1)
	badTo := p.flow.BadTo
	if len(badTo) == 0 {
		badTo = []string{"@unknown.invalid"}
	}
	var to []string
	seen := map[string]bool{}
	// A list may have fewer addresses than the message is to have recipients.
	for tries := 0; len(to) < n && tries < 20*n; tries++ {
		list := p.flow.To
		switch x := r.Float64(); {
		case x < p.flow.Bad:
			list = badTo
		case x < p.flow.Bad+p.flow.Down:
			list = p.flow.DownTo
		}
		if a := madeUp(r, pick(r, list)); !seen[a] {
			seen[a] = true
			to = append(to, a)
		}
	}
	return to
}

// text returns the header and body of a message.
func (p *plan) text(r *entropy.Stream, key, hello string, m *planned) Text {
	id := fmt.Sprintf("%08x.%s.%s.%s", uint32(r.Uint64()), p.tag, strings.ReplaceAll(p.flow.Name, " ", "-"),
		strings.ReplaceAll(key, "/", "."))
	parts := Parts{
		From: cmp.Or(m.message.From, "MAILER-DAEMON@"+hello), To: m.message.To[0], Date: m.due,
		MessageID: id + "@" + hello, Headers: p.flow.Headers, Boundary: "part-" + id,
	}
	if len(p.flow.Subjects) > 0 {
		parts.Subject = pick(r, p.flow.Subjects)
	} else {
		parts.Subject = subject(r)
	}
	for range 1 + r.IntN(4) {
		parts.Lines = append(append(parts.Lines, paragraph(r)...), "")
	}
	switch p.kind(r) {
	case "html":
		parts.HTML = inHTML(parts.Subject, parts.Lines)
	case "newsletter":
		parts.HTML = inHTML(parts.Subject, parts.Lines)
		parts.Headers = maps.Clone(parts.Headers)
		if parts.Headers == nil {
			parts.Headers = map[string]string{}
		}
		parts.Headers["List-Unsubscribe"] = "<mailto:unsubscribe@" + hello + ">"
		parts.Headers["Precedence"] = "bulk"
	case "attachment":
		data := make([]byte, 2000+r.IntN(60_000))
		r.Read(data) //nolint:errcheck // it never fails
		kind := pick(r, []string{"pdf", "rtf", "zip", "json"})
		parts.Attachments = []Attachment{{
			Name: pick(r, nouns()) + "." + kind, Type: "application/" + kind, Data: data,
		}}
	case "large":
		parts.Filler = int64(cmp.Or(p.flow.Size, defaultSize))
	}
	return Compose(parts)
}

// inHTML returns lines as a page.
func inHTML(title string, lines []string) []string {
	page := []string{"<html><head><title>" + html.EscapeString(title) + "</title></head><body>"}
	for _, l := range lines {
		page = append(page, "<p>"+html.EscapeString(l)+"</p>")
	}
	return append(page, "</body></html>")
}
