package check

import (
	"net/netip"
	"slices"
	"strings"
)

// mailInvariants are about messages and the connections over which they came and went.
func mailInvariants() []Invariant {
	return []Invariant{{
		Name:     "mail-over-connections",
		Sentence: "Each ICID and DCID has an address and port of a connection that was opened before.",
		check:    checkMailConnections,
	}, {
		Name:     "messages-live-once",
		Sentence: "A message is started once and finished once, and nothing happens to it after that.",
		check:    checkMessageLives,
	}, {
		Name: "accepted-mail-is-somewhere",
		Sentence: "When the mail system stops, each accepted message is finished or in the queue, and " +
			"not both.",
		check: checkAcceptedMail,
	}, {
		Name: "recipients-end-once",
		Sentence: "Each recipient of a finished message was delivered, bounced or deleted, and only " +
			"one of these, once.",
		check: checkRecipients,
	}, {
		Name:     "deliveries-arrive",
		Sentence: "A message that was delivered to a simulated mail server was received there.",
		check:    checkDeliveries,
	}}
}

func checkMailConnections(s *story, report reportFunc) {
	type end struct {
		direction string
		local     netip.Addr
		remote    netip.AddrPort
	}
	open := make(map[end]bool)
	for _, e := range s.events {
		switch e.Kind {
		case "connection.opened":
			open[end{e.text("direction"), e.addrPort("local").Addr(), e.addrPort("remote")}] = true
		case "mail.in.opened", "mail.out.opened":
			direction := strings.Split(e.Kind, ".")[1]
			x := end{direction, e.addr("local"), e.addrPort("remote")}
			if !x.remote.IsValid() || x.remote.Port() == 0 || s.events[0].Seq != 1 || s.lossy {
				continue
			}
			if !open[x] {
				report(s.witnesses(e), "no connection with these addresses was opened")
			}
		}
	}
}

// A message is the number of a message, and the era in which it exists.
type message struct {
	era int
	mid int64
}

func (s *story) message(e *Event) message { return message{s.eras[e], e.number("mid")} }

func checkMessageLives(s *story, report reportFunc) {
	started, finished := make(map[message]*Event), make(map[message]*Event)
	for _, e := range s.events {
		if _, has := e.Fields["mid"]; !has || !strings.HasPrefix(e.Kind, "mail.") {
			continue
		}
		m := s.message(e)
		if end := finished[m]; end != nil {
			report(s.witnesses(end, e), "message %d was finished before", m.mid)
		}
		switch e.Kind {
		case "mail.started":
			if other := started[m]; other != nil {
				report(s.witnesses(other, e), "message %d is started twice", m.mid)
			}
			started[m] = e
		case "mail.finished":
			finished[m] = e
		}
	}
}

func checkAcceptedMail(s *story, report reportFunc) {
	ready, finished := make(map[message]*Event), make(map[message]*Event)
	for _, e := range s.events {
		switch e.Kind {
		case "mail.in.ready":
			ready[s.message(e)] = e
		case "mail.finished":
			delete(ready, s.message(e))
			finished[s.message(e)] = e
		case "mail.aborted":
			delete(ready, s.message(e))
		case "mail.waiting":
			waiting := make(map[int64]bool)
			for _, x := range e.list("mids") {
				if f, ok := x.(float64); ok {
					waiting[int64(f)] = true
				}
			}
			for m, accepted := range ready {
				if m.era == s.eras[e] && !waiting[m.mid] {
					report(s.witnesses(accepted, e), "message %d was accepted and is nowhere", m.mid)
				}
			}
			for mid := range waiting {
				if end := finished[message{s.eras[e], mid}]; end != nil {
					report(s.witnesses(end, e), "message %d is finished and still in the queue", mid)
				}
			}
		}
	}
}

func checkRecipients(s *story, report reportFunc) {
	type recipient struct {
		message
		rid int64
	}
	accepted := make(map[message][]recipient)
	end := make(map[recipient]*Event)
	for _, e := range s.events {
		m := s.message(e)
		var rids []any
		switch e.Kind {
		case "mail.started":
			accepted[m] = []recipient{}
		case "mail.in.recipient":
			if list, known := accepted[m]; known {
				accepted[m] = append(list, recipient{m, e.number("rid")})
			}
		case "mail.out.delivered", "mail.out.deleted":
			rids = e.list("rids")
		case "mail.out.bounced":
			rids = []any{float64(e.number("rid"))}
		case "mail.finished":
			for _, r := range accepted[m] {
				if end[r] == nil && !e.is("aborted") {
					report(s.witnesses(e), "message %d is finished, but nothing has become of its recipient %d", m.mid, r.rid)
				}
			}
		}
		for _, x := range rids {
			f, _ := x.(float64)
			r := recipient{m, int64(f)}
			if other := end[r]; other != nil {
				report(s.witnesses(other, e), "two things have become of recipient %d of message %d", r.rid, m.mid)
			}
			end[r] = e
		}
	}
}

func checkDeliveries(s *story, report reportFunc) {
	servers := make(map[netip.Addr]bool)
	type receipt struct{ from, to string }
	received := make(map[receipt]int)
	for _, e := range s.byKind["server.mail"] {
		for _, a := range s.attempts {
			if a.opened != nil && a.pair.local == e.addrPort("client") {
				servers[a.pair.remote.Addr()] = true
			}
		}
		for _, to := range e.texts("to") {
			received[receipt{strings.ToLower(e.text("from")), strings.ToLower(to)}]++
		}
	}
	for _, e := range s.byKind["mail.out.delivered"] {
		if !servers[e.addr("remote")] {
			continue
		}
		for _, x := range e.list("delivered") {
			fields, _ := x.(map[string]any)
			to, _ := fields["to"].(string)
			k := receipt{strings.ToLower(e.text("from")), strings.ToLower(to)}
			if received[k]--; received[k] < 0 && !s.lossy {
				others := slices.DeleteFunc(slices.Clone(s.byKind["server.mail"]), func(m *Event) bool {
					return !slices.Contains(m.texts("to"), to)
				})
				report(s.witnesses(append([]*Event{e}, others[:min(len(others), 3)]...)...),
					"a message to %s was delivered, but no server has received it", to)
			}
		}
	}
}
