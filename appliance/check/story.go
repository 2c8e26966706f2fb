package check

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A story is what a record tells, by what it is about.
type story struct {
	run      *Run
	events   []*Event
	bySeq    map[uint64]*Event
	byKind   map[string][]*Event
	eras     map[*Event]int // how often the world was reset before; of events in later eras
	lossy    bool           // events are missing: some could not be written
	clockSet bool

	attempts []*attempt // of connections, in the order of their first events
	byPair   map[pair][]*attempt
	sockets  map[portKey][]*openSocket
	probes   map[probeKey]bool // of TCP and UDP
	refused  map[pair]bool     // datagrams to no socket
	captures []*captured
	own      map[netip.Addr]bool // the appliance's addresses
}

// A portKey is a local port.
type portKey struct {
	protocol string
	port     uint16
}

// A probeKey is the protocol and the addresses of a probe.
type probeKey struct {
	protocol string
	pair     pair
}

// A pair is the addresses of a connection: the appliance's side first.
type pair struct{ local, remote netip.AddrPort }

// An attempt is a TCP connection, or one that did not come to be.
type attempt struct {
	pair    pair
	started *Event // of the direction out
	opened  *Event // nil: it was refused, or failed
	failed  *Event // connection.refused or connection.failed
	closed  *Event // nil: it is open at the end
}

// An openSocket is a listener or a UDP socket.
type openSocket struct {
	protocol      string
	local, remote netip.AddrPort
	opened        *Event
	closed        *Event // nil: it is open at the end
}

// A captured is a capture with what the record says of it.
type captured struct {
	*Capture
	started  *Event // nil: the record does not know the capture
	stopping *Event // nil: it is running at the end
	ended    *Event
}

// newStory collects what the record of a run tells.
func newStory(r *Run) *story {
	s := &story{
		run: r, events: r.Record.Events,
		bySeq: make(map[uint64]*Event, len(r.Record.Events)), byKind: make(map[string][]*Event),
		byPair: make(map[pair][]*attempt), sockets: make(map[portKey][]*openSocket),
		probes: make(map[probeKey]bool), refused: make(map[pair]bool),
		own: map[netip.Addr]bool{},
	}
	era, reset := 0, false
	s.eras = make(map[*Event]int)
	for _, e := range s.events {
		if s.bySeq[e.Seq] == nil {
			s.bySeq[e.Seq] = e
		}
		if era > 0 {
			s.eras[e] = era
		}
		if reset = reset || e.Kind == "world.reset"; reset && e.Kind == "appliance.down" {
			era, reset = era+1, false
		}
		s.byKind[e.Kind] = append(s.byKind[e.Kind], e)
	}
	s.lossy = len(s.byKind["events.lost"]) > 0
	s.clockSet = len(s.byKind["clock.set"]) > 0
	s.collectAttempts()
	s.collectSockets()
	for _, c := range r.Captures {
		s.captures = append(s.captures, s.captured(c))
	}
	for _, e := range s.byKind["interface.changed"] {
		for _, text := range e.texts("addrs") {
			if p, err := netip.ParsePrefix(text); err == nil {
				s.own[p.Addr().Unmap()] = true
			}
		}
	}
	return s
}

func pairOf(e *Event) pair { return pair{e.addrPort("local"), e.addrPort("remote")} }

func (s *story) collectAttempts() {
	byOpened := make(map[uint64]*attempt)
	for _, e := range s.events {
		switch e.Kind {
		case "connection.opened", "connection.refused", "connection.failed":
			a := &attempt{pair: pairOf(e)}
			if cause := s.bySeq[e.Cause]; cause != nil && cause.Kind == "connection.started" {
				a.started = cause
			}
			if a.failed = e; e.Kind == "connection.opened" {
				a.opened, a.failed = e, nil
				byOpened[e.Seq] = a
			}
			s.attempts = append(s.attempts, a)
			s.byPair[a.pair] = append(s.byPair[a.pair], a)
		case "connection.closed":
			if a := byOpened[e.Cause]; a != nil && a.closed == nil {
				a.closed = e
			}
		}
	}
}

func (s *story) collectSockets() {
	byOpened := make(map[uint64]*openSocket)
	for _, e := range s.events {
		switch e.Kind {
		case "socket.opened":
			x := &openSocket{e.text("protocol"), e.addrPort("local"), e.addrPort("remote"), e, nil}
			byOpened[e.Seq] = x
			key := portKey{x.protocol, x.local.Port()}
			s.sockets[key] = append(s.sockets[key], x)
		case "socket.closed":
			if x := byOpened[e.Cause]; x != nil {
				x.closed = e
			}
		case "probe.sent":
			s.probes[probeKey{e.text("protocol"), pairOf(e)}] = true
		case "datagram.refused":
			s.refused[pairOf(e)] = true
		}
	}
}

// captured finds what the record says of a capture: it knows the name of its file or, of a capture of
// a cable, the name without the extension. The file of a cable's capture may have been read before the
// capture ended, so it covers nothing.
func (s *story) captured(c *Capture) *captured {
	out := &captured{Capture: c}
	name := path.Base(filepath.ToSlash(c.Name))
	for _, e := range s.byKind["capture.started"] {
		if path.Base(e.text("file")) == name {
			out.started = e
		}
	}
	cable := strings.TrimSuffix(name, path.Ext(name))
	for _, e := range s.byKind["capture.cable.started"] {
		if out.started == nil && e.text("name") == cable {
			out.started = e
		}
	}
	if out.started == nil {
		return out
	}
	for _, kind := range []string{"capture.stopping", "capture.ended", "capture.cable.ended"} {
		for _, e := range s.byKind[kind] {
			if e.Cause == out.started.Seq {
				if kind == "capture.stopping" {
					out.stopping = e
				} else {
					out.ended = e
				}
			}
		}
	}
	return out
}

// before reports whether an event is earlier than another one. Nil is later than all.
func before(a, b *Event) bool { return a != nil && (b == nil || a.Seq < b.Seq) }

// witness returns an event as a witness.
func (s *story) witness(e *Event) Witness {
	return Witness{File: s.run.Record.Name, Line: e.Line, Text: e.String()}
}

// witnesses returns events as witnesses, without those that are nil.
func (s *story) witnesses(list ...*Event) []Witness {
	var out []Witness
	for _, e := range list {
		if e != nil {
			out = append(out, s.witness(e))
		}
	}
	return out
}

// nowhere is the witness for what a file should say and does not.
func nowhere(file, format string, a ...any) Witness {
	return Witness{File: file, Text: fmt.Sprintf(format, a...)}
}

// witness returns a frame as a witness.
func (c *Capture) witness(f *Frame) Witness {
	return Witness{File: c.Name, Frame: f.Number, Text: f.String()}
}

// maxWitness bounds the text of an event that a report shows.
const maxWitness = 300

// String returns the kind of the event with its fields.
func (e *Event) String() string {
	text, err := json.Marshal(e.Fields)
	if err != nil {
		return e.Kind
	}
	if len(text) > maxWitness {
		text = append(slices.Clip(text[:maxWitness]), "..."...)
	}
	return fmt.Sprintf("%s %s", e.Kind, text)
}
