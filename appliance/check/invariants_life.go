package check

// lifeInvariants are about what begins and ends: the appliance, its services, sessions, servers.
func lifeInvariants() []Invariant {
	return []Invariant{{
		Name:     "up-and-down",
		Sentence: "The appliance and a simulated server go up and down in turn, and a service goes down after it went up.",
		check:    checkUpAndDown,
	}, {
		Name:     "sessions-in-logins",
		Sentence: "A login ends once, and its user enters commands and transfers files only before that.",
		check:    checkSessions,
	}, {
		Name:     "faults-count-up",
		Sentence: "Each hit of a fault raises its count of packets, and no hit lowers that of connections.",
		check:    checkFaults,
	}}
}

func checkUpAndDown(s *story, report reportFunc) {
	last := make(map[string]*Event)
	services := make(map[string][]*Event)
	for _, e := range s.events {
		name, up := "", false
		switch e.Kind {
		case "appliance.up", "appliance.down":
			name, up = "appliance", e.Kind == "appliance.up"
			for key := range last { // servers run again in the new world
				if key != "appliance" && up && key[0] == '>' {
					delete(last, key)
				}
			}
		case "service.up", "service.down":
			checkService(s, e, services, report)
			continue
		case "server.started", "server.stopped":
			name, up = ">"+e.text("server"), e.Kind == "server.started"
		default:
			continue
		}
		if before := last[name]; before != nil && (before.Kind == e.Kind) {
			report(s.witnesses(before, e), "it went %s twice", map[bool]string{true: "up", false: "down"}[up])
		}
		last[name] = e
	}
}

// checkService checks the event that a service went up or down. up has the events of those that are
// up: two services may have the same name.
func checkService(s *story, e *Event, up map[string][]*Event, report reportFunc) {
	name := e.text("service")
	list := up[name]
	switch {
	case e.Kind == "service.up":
		up[name] = append(list, e)
	case len(list) > 0:
		up[name] = list[:len(list)-1]
	case s.events[0].Seq == 1:
		report(s.witnesses(e), "a service goes down that is not up")
	}
}

func checkSessions(s *story, report reportFunc) {
	closed := make(map[uint64]*Event)
	for _, e := range s.events {
		switch e.Kind {
		case "command.entered", "login.closed", "transfer.done":
		default:
			continue
		}
		login := s.bySeq[e.Cause]
		if login == nil || login.Kind != "login.opened" {
			continue
		}
		if login.text("user") != e.text("user") {
			report(s.witnesses(login, e), "the login of a user is used by another one")
		}
		if end := closed[e.Cause]; end != nil {
			report(s.witnesses(login, end, e), "the session has ended before")
		}
		if e.Kind == "login.closed" {
			closed[e.Cause] = e
		}
	}
}

func checkFaults(s *story, report reportFunc) {
	type key struct {
		id   int64
		rule string
		era  int
	}
	last := make(map[key]*Event)
	for _, e := range s.byKind["fault.hit"] {
		k := key{e.number("id"), e.text("rule"), s.eras[e]}
		if b := last[k]; b != nil && (e.number("packets") <= b.number("packets") ||
			e.number("connections") < b.number("connections")) {
			report(s.witnesses(b, e), "a later hit of the fault has smaller counts")
		}
		last[k] = e
	}
}
