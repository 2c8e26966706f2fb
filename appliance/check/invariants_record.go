package check

// recordInvariants are about a record as such.
func recordInvariants() []Invariant {
	return []Invariant{{
		Name:     "events-in-order",
		Sentence: "Events are numbered in the order of their lines, without gaps and repetitions.",
		check:    checkNumbers,
	}, {
		Name:     "causes-come-first",
		Sentence: "The cause of an event is an earlier event of a kind that can cause it.",
		check:    checkCauses,
	}, {
		Name:     "time-goes-on",
		Sentence: "No event is earlier than the one before it, unless the clock was set.",
		check:    checkTimes,
	}}
}

func checkNumbers(s *story, report reportFunc) {
	var last *Event
	for _, e := range s.events {
		switch {
		case last == nil || last.Kind == "events.lost" || e.Kind == "events.lost":
		case e.Seq <= last.Seq:
			report(s.witnesses(last, e), "event %d comes after event %d", e.Seq, last.Seq)
		case e.Seq != last.Seq+1:
			report(s.witnesses(last, e), "%d events are missing after event %d", e.Seq-last.Seq-1, last.Seq)
		}
		last = e
	}
}

// causes are the kinds that can cause an event, by its kind. Kinds that are not listed can have any
// cause.
var causes = map[string][]string{
	"connection.opened":  {"connection.started"},
	"connection.refused": {"connection.started"},
	"connection.failed":  {"connection.started"},
	"connection.closed":  {"connection.opened"},
	"socket.closed":      {"socket.opened"},
	"login.closed":       {"login.opened"},
	"command.entered":    {"login.opened"},
	"capture.stopping":   {"capture.started"},
	"capture.ended":      {"capture.started"},
	"query.ended":        {"query.sent"},
	"probe.ended":        {"probe.sent"},
	"transfer.done":      {"login.opened"},
	"alert.raised":       {"appliance.trouble"},
	"mail.in.closed":     {"mail.in.opened"},
	"mail.in.ready":      {"mail.started"},
	"mail.in.recipient":  {"mail.started"},
}

// needCause are the kinds of events that always have a cause.
var needCause = map[string]bool{
	"connection.closed": true, "connection.failed": true, "socket.closed": true, "login.closed": true,
	"capture.stopping": true, "capture.ended": true, "query.ended": true, "probe.ended": true,
	"transfer.done": true,
}

func checkCauses(s *story, report reportFunc) {
	if len(s.events) == 0 {
		return
	}
	first := s.events[0].Seq
	for _, e := range s.events {
		cause := s.bySeq[e.Cause]
		switch {
		case e.Cause == 0 && needCause[e.Kind]:
			report(s.witnesses(e), "event %d has no cause", e.Seq)
		case e.Cause == 0:
		case e.Cause >= e.Seq:
			report(s.witnesses(e, cause), "event %d has the cause %d, which is not earlier", e.Seq, e.Cause)
		case cause == nil:
			if e.Cause >= first && !s.lossy {
				report(s.witnesses(e), "event %d has the cause %d, which is not in the record", e.Seq, e.Cause)
			}
		case causes[e.Kind] != nil && !contains(causes[e.Kind], cause.Kind):
			report(s.witnesses(cause, e), "an event %s caused an event %s", cause.Kind, e.Kind)
		}
	}
}

func checkTimes(s *story, report reportFunc) {
	var last *Event
	for _, e := range s.events {
		if e.Kind == "events.lost" {
			continue
		}
		if last != nil && e.Time.Before(last.Time) && e.Kind != "clock.set" && last.Kind != "clock.set" {
			report(s.witnesses(last, e), "event %d is %v earlier than event %d",
				e.Seq, last.Time.Sub(e.Time), last.Seq)
		}
		last = e
	}
}
