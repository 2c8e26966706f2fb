package wan

import (
	"bytes"
	"net/netip"
)

// An Action is what a rule does.
type Action uint8

// Actions.
const (
	Pass     Action = iota
	Drop            // nobody hears anything
	Reset           // both ends of a TCP connection get a reset; others a port unreachable
	Prohibit        // ICMP: administratively prohibited
)

// A Protocol is what a rule is for.
type Protocol uint8

// Protocols.
const (
	Any Protocol = iota
	TCP
	UDP
	ICMP // of both families
)

// A Rule is a firewall's. The first that matches a packet decides.
//
// With AfterBytes or AfterRecords, that much of each flow's data passes first:
// bytes of payload from From to To or, as records, lines that end in a newline
// (for UDP: datagrams). A segment that begins before the limit passes whole; one
// that begins at or beyond it is what the action is for. Reset acts also
// as soon as the other end has acknowledged all data up to the limit,
// after that acknowledgement: so nothing that was allowed is lost, and a capture
// shows what A3 does, data, acknowledgement, reset. A SYN begins a flow anew; a
// connection that is older than the rule is counted from the first segment seen.
type Rule struct {
	From, To     netip.Prefix // invalid: any
	Protocol     Protocol
	Port         uint16 // destination's; 0: any
	Action       Action
	AfterBytes   int64
	AfterRecords int
}

func (r *Rule) matches(p *packet) bool {
	switch r.Protocol {
	case TCP:
		if p.proto != protoTCP {
			return false
		}
	case UDP:
		if p.proto != protoUDP {
			return false
		}
	case ICMP:
		if p.proto != protoICMP && p.proto != protoICM6 {
			return false
		}
	}
	return (!r.From.IsValid() || r.From.Contains(p.src)) &&
		(!r.To.IsValid() || r.To.Contains(p.dst)) &&
		(r.Port == 0 || r.Port == p.dport && !p.later)
}

func (r *Rule) counts() bool { return r.AfterBytes > 0 || r.AfterRecords > 0 }

// flowLimit is how many flows are remembered.
const flowLimit = 4096

// A ruleSet is the firewall's rules with what they remember. The flows belong to
// the pump.
type ruleSet struct {
	rules []Rule
	flows map[flowKey]*flow
}

type flowKey struct {
	src, dst netip.AddrPort
	proto    uint8
}

// A flow is the data from one port to another, as far as a counting rule lets it
// pass.
type flow struct {
	rule   *Rule
	base   uint32 // TCP: sequence number of the first byte
	passed int64  // bytes from base to the last seen
	lines  int    // newlines, or datagrams, among them
	limit  int64  // bytes that may pass; -1 while records are being counted
	over   bool   // the rule has acted
}

func newRuleSet(rules []Rule) *ruleSet {
	return &ruleSet{rules: append([]Rule(nil), rules...), flows: make(map[flowKey]*flow)}
}

func (p *packet) flow() flowKey {
	return flowKey{netip.AddrPortFrom(p.src, p.sport), netip.AddrPortFrom(p.dst, p.dport), p.proto}
}

// firewall reports whether a packet passes the gateway's rules; it answers one
// that does not.
func (w *WAN) firewall(j *journey) bool {
	set := w.rules.Load()
	if len(set.rules) == 0 {
		return true
	}
	if len(set.flows) > 0 && j.proto == protoTCP {
		w.acknowledged(set, j)
	}
	for i := range set.rules {
		r := &set.rules[i]
		if !r.matches(j.packet) {
			continue
		}
		if r.Action == Pass || r.counts() && set.count(r, j.packet) {
			return true
		}
		w.act(r, j)
		return false
	}
	return true
}

// count adds a packet to its flow and reports whether it passes.
func (s *ruleSet) count(r *Rule, p *packet) bool {
	seg, isTCP := p.tcp()
	f := s.flows[p.flow()]
	if f == nil || f.rule != r || isTCP && seg.has(flagSYN) {
		f = s.begin(r, p)
	}
	data := p.data()
	if !isTCP {
		if f.limit >= 0 && f.passed >= f.limit {
			return false
		}
		f.passed += int64(len(data))
		if f.lines++; f.limit < 0 && f.lines == r.AfterRecords {
			f.limit = f.passed
		}
		return true
	}
	offset := int64(int32(seg.seq() - f.base))
	if f.over || len(data) > 0 && f.limit >= 0 && offset >= f.limit {
		f.over = true
		return false
	}
	end := offset + int64(len(data))
	if fresh := end - f.passed; fresh > 0 {
		f.records(r, data[max(0, int64(len(data))-fresh):], end)
		f.passed = end
	}
	return true
}

// begin makes a flow of a packet's.
func (s *ruleSet) begin(r *Rule, p *packet) *flow {
	f := &flow{rule: r, limit: -1}
	if r.AfterBytes > 0 {
		f.limit = r.AfterBytes
	}
	if seg, ok := p.tcp(); ok {
		f.base = seg.seq()
		if seg.has(flagSYN) {
			f.base++
		}
	}
	if len(s.flows) >= flowLimit {
		for k := range s.flows {
			delete(s.flows, k) // some old one
			break
		}
	}
	s.flows[p.flow()] = f
	return f
}

// records counts the lines in data, whose end is at offset end, and finds the
// limit.
func (f *flow) records(r *Rule, data []byte, end int64) {
	for f.limit < 0 {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return
		}
		data = data[i+1:]
		if f.lines++; f.lines == r.AfterRecords {
			f.limit = end - int64(len(data))
		}
	}
}

// acknowledged resets a counted connection when j acknowledges the last byte
// that may pass. The acknowledgement itself goes on its way first.
func (w *WAN) acknowledged(set *ruleSet, j *journey) {
	f := set.flows[flowKey{netip.AddrPortFrom(j.dst, j.dport), netip.AddrPortFrom(j.src, j.sport), j.proto}]
	if f == nil || f.over || f.limit < 0 || f.rule.Action != Reset {
		return
	}
	s, ok := j.tcp()
	if !ok || !s.has(flagACK) || int64(int32(s.ack()-f.base)) < f.limit {
		return
	}
	f.over = true
	sender := reset{src: j.src, dst: j.dst, sport: j.sport, dport: j.dport, seq: s.next(), ack: s.ack(), window: s.window(), hasAck: true}
	receiver := reset{src: j.dst, dst: j.src, sport: j.dport, dport: j.sport, seq: s.ack(), ack: s.next(), hasAck: true}
	forth, back := j.forth(), j.complaint()
	// This packet has not been sent yet: let it be, then reset both ends.
	w.wire.After(0, func() {
		if forth.gateway != nil {
			w.sendReset(sender, forth)
		}
		w.sendReset(receiver, back)
	})
}

// complaint is the firewall's answer to the packet's source.
func (j *journey) complaint() complaint {
	s := &j.steps[j.firewall]
	c := complaint{j.in, s.addr, ourTTL - uint8(j.firewall), 2 * s.arrival}
	if !c.from.IsValid() {
		c.from = j.in.addr(j.v6)
	}
	return c
}

// forth is how the firewall speaks to the packet's destination: after all that
// it has let through.
func (j *journey) forth() complaint {
	return complaint{gateway: j.to, ttl: ourTTL - uint8(len(j.steps)-1-j.firewall), delay: j.total + j.slack()}
}

// act does what a rule says to a packet that it does not let pass.
func (w *WAN) act(r *Rule, j *journey) {
	back := j.complaint()
	switch r.Action {
	case Prohibit:
		w.complain(j.packet, prohibited, back)
	case Reset:
		s, ok := j.tcp()
		switch {
		case !ok && j.proto == protoTCP || ok && s.has(flagRST):
			return // nothing to answer
		case !ok:
			w.complain(j.packet, portUnreachable, back)
			return
		}
		w.sendReset(resetOf(j.packet, s), back)
		if !s.has(flagSYN) && j.to != nil {
			sender := reset{src: j.src, dst: j.dst, sport: j.sport, dport: j.dport, seq: s.seq(), ack: s.ack(), hasAck: s.has(flagACK)}
			w.sendReset(sender, j.forth())
		}
	}
}
