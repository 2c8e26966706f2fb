package check

import "slices"

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// connectionInvariants are about the appliance's connections and sockets.
func connectionInvariants() []Invariant {
	return []Invariant{{
		Name:     "connections-end-once",
		Sentence: "A connection is closed once at most, with the addresses with which it was opened.",
		check:    checkConnectionLives,
	}, {
		Name:     "addresses-are-free",
		Sentence: "No connection is opened between two addresses that an open connection has.",
		check:    checkPairsFree,
	}}
}

func checkConnectionLives(s *story, report reportFunc) {
	closed := make(map[uint64]*Event)
	for _, kind := range []string{"connection.closed", "socket.closed"} {
		for _, e := range s.byKind[kind] {
			opened := s.bySeq[e.Cause]
			if other := closed[e.Cause]; other != nil && e.Cause != 0 {
				report(s.witnesses(opened, other, e), "it is closed twice")
			}
			closed[e.Cause] = e
			if opened == nil {
				continue
			}
			if pairOf(opened) != pairOf(e) || opened.text("process") != e.text("process") {
				report(s.witnesses(opened, e), "one connection is opened and another one is closed")
			}
			if e.number("acknowledged") > e.number("sent") {
				report(s.witnesses(e), "more bytes are acknowledged than were sent")
			}
		}
	}
}

func checkPairsFree(s *story, report reportFunc) {
	open := make(map[pair]*attempt)
	for _, a := range s.attempts {
		if a.opened == nil || s.isLocal(a.pair) {
			continue
		}
		if other := open[a.pair]; other != nil && before(a.opened, other.closed) &&
			!s.wentDownBetween(other.opened, a.opened) {
			report(s.witnesses(other.opened, a.opened), "two open connections have the same addresses")
		}
		open[a.pair] = a
	}
}

// isLocal reports whether both ends of a connection are the appliance's own.
func (s *story) isLocal(p pair) bool {
	return p.remote.Addr().IsLoopback() || s.own[p.remote.Addr()]
}

// wentDownBetween reports whether the appliance has stopped between two events.
func (s *story) wentDownBetween(a, b *Event) bool {
	return slices.ContainsFunc(s.byKind["appliance.down"], func(e *Event) bool {
		return before(a, e) && before(e, b)
	})
}
