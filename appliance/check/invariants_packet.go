package check

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
)

// packetInvariants are about frames of ARP, ICMP and DNS, and about counters of interfaces.
func packetInvariants() []Invariant {
	return []Invariant{{
		Name: "arp-is-recorded",
		Sentence: "Every ARP request of the appliance for an address, and every reply to it, is a " +
			"recorded change of its ARP cache with that address and MAC.",
		check: checkARP,
	}, {
		Name: "probes-are-recorded",
		Sentence: "Every echo request of the appliance in a capture is a recorded probe, and an answered " +
			"probe shows with its reply.",
		check: checkProbes,
	}, {
		Name: "queries-are-recorded",
		Sentence: "Every DNS query of the appliance in a capture is a recorded query, and an answered " +
			"query shows with its answer.",
		check: checkQueries,
	}, {
		Name:     "counters-have-all-frames",
		Sentence: "An interface has counted at least the frames that a capture shows of it.",
		check:    checkCounters,
	}, {
		Name: "segments-at-their-interface",
		Sentence: "A capture at an interface of the appliance shows what the appliance sends over " +
			"connections of that interface only.",
		check: checkInterfaces,
	}}
}

func checkInterfaces(s *story, report reportFunc) {
	known := make(map[string]bool)
	for _, e := range s.byKind["interface.changed"] {
		known[e.text("name")] = true
	}
	for _, c := range s.captures {
		if c.Interface != "" && !known[c.Interface] && len(known) > 0 {
			report([]Witness{nowhere(c.Name, "captured at %s", c.Interface),
				nowhere(s.run.Record.Name, "no interface of that name")}, "the appliance has no interface %s", c.Interface)
			continue
		}
		for _, f := range c.Frames {
			at := c.place()
			if at == "" && known[f.Interface] {
				at = f.Interface
			}
			p, out, ok := s.sides(f)
			if at == "" || !ok || !out || f.kind != kindTCP || f.vlan != 0 {
				continue
			}
			if e := s.sentElsewhere(p, at); e != nil {
				report(append(s.witnesses(e), c.witness(f)), "a segment passes %s", at)
			}
		}
	}
}

// place returns the interface at which all frames of a capture passed, "" if that is not known.
func (c *captured) place() string {
	if c.Interface == "" && c.started != nil {
		if on := c.started.texts("interfaces"); len(on) == 1 {
			return on[0]
		}
	}
	return c.Interface
}

// sentElsewhere returns the event that a connection was opened, if all connections between these
// addresses were those of other interfaces.
func (s *story) sentElsewhere(p pair, at string) (opened *Event) {
	for _, a := range s.byPair[p] {
		if a.opened == nil || a.opened.text("interface") == "" || a.opened.text("interface") == at {
			return nil
		}
		opened = a.opened
	}
	return opened
}

func checkARP(s *story, report reportFunc) {
	type entry struct {
		addr netip.Addr
		mac  string
	}
	known := make(map[entry]bool)
	for _, e := range s.byKind["neighbor.changed"] {
		known[entry{e.addr("addr"), e.text("mac")}] = true
		known[entry{e.addr("addr"), "any"}] = true
	}
	for _, c := range s.captures {
		for _, f := range c.Frames {
			if f.kind != kindARP {
				continue
			}
			p := f.payload
			sender, target := addr4(p[14:]), addr4(p[24:])
			missing := nowhere(s.run.Record.Name, "no such change of the ARP cache")
			switch request := p[7] == 1; {
			case request && s.own[sender] && !s.own[target] && !known[entry{target, "any"}]:
				report([]Witness{c.witness(f), missing}, "the record has no look-up of %v", target)
			case !request && s.own[target] && !s.own[sender] &&
				!known[entry{sender, net.HardwareAddr(p[8:14]).String()}]:
				report([]Witness{c.witness(f), missing}, "the record has no reply from %v", sender)
			}
		}
	}
}

// An echo identifies an echo request or its reply.
type echo struct {
	remote        netip.Addr
	ident, number uint16
}

// echoOf returns the request or reply that an ICMP message is.
func echoOf(f *Frame, remote netip.Addr) (e echo, request, ok bool) {
	typ := f.payload[0]
	request = typ == 8 && f.src.Addr().Is4() || typ == 128 && f.src.Addr().Is6()
	reply := typ == 0 && f.src.Addr().Is4() || typ == 129 && f.src.Addr().Is6()
	return echo{
		remote, binary.BigEndian.Uint16(f.payload[4:]), binary.BigEndian.Uint16(f.payload[6:]),
	}, request, request || reply
}

func checkProbes(s *story, report reportFunc) {
	sent := make(map[echo]bool)
	for _, e := range s.byKind["probe.sent"] {
		sent[echo{e.addr("remote"), uint16(e.number("ident")), uint16(e.number("number"))}] = true
	}
	for _, c := range s.captures {
		requests, replies := make(map[echo]bool), make(map[echo]bool)
		for _, f := range c.Frames {
			p, out, ok := s.sides(f)
			if f.kind != kindICMP || !ok {
				continue
			}
			x, request, ok := echoOf(f, p.remote.Addr())
			switch {
			case !ok || request != out: // from outside, and answered by the stack
			case request && !sent[x]:
				report([]Witness{c.witness(f), nowhere(s.run.Record.Name, "no such probe")},
					"an echo request is not recorded")
			case request:
				requests[x] = true
			default:
				replies[x] = true
			}
		}
		for _, e := range s.byKind["probe.ended"] {
			probe := s.bySeq[e.Cause]
			if probe == nil || probe.text("protocol") != "icmp" || s.own[probe.addr("remote")] ||
				!c.coversAll() || !c.during(probe, e) || e.text("from") == "" ||
				e.text("from") != probe.text("remote") && e.addr("from") != probe.addr("remote") {
				continue
			}
			x := echo{probe.addr("remote"), uint16(probe.number("ident")), uint16(probe.number("number"))}
			if t := e.number("type"); (t == 0 || t == 129) && (!requests[x] || !replies[x]) {
				report(append(s.witnesses(probe, e), nowhere(c.Name, "request: %t, reply: %t", requests[x], replies[x])),
					"an answered echo request does not show")
			}
		}
	}
}

// coversAll reports whether the capture shows all frames of all interfaces.
func (c *captured) coversAll() bool {
	return c.ended != nil && len(c.started.texts("interfaces")) == 0 && c.covers("")
}

// A dnsKey identifies a query over UDP.
type dnsKey struct {
	pair pair
	id   uint16
}

func checkQueries(s *story, report reportFunc) {
	sent := make(map[dnsKey]*Event)
	for _, e := range s.byKind["query.sent"] {
		if !e.is("tcp") {
			sent[dnsKey{pair{e.addrPort("local"), e.addrPort("server")}, uint16(e.number("id"))}] = e
		}
	}
	for _, c := range s.captures {
		queries, answers := make(map[dnsKey]bool), make(map[dnsKey]bool)
		for _, f := range c.Frames {
			p, out, ok := s.sides(f)
			if f.kind != kindUDP || !ok || p.remote.Port() != 53 || len(f.payload) < 12 ||
				bytes.Equal(f.payload, make([]byte, len(f.payload))) {
				continue
			}
			k := dnsKey{p, binary.BigEndian.Uint16(f.payload)}
			switch {
			case out && sent[k] == nil && !s.probes[probeKey{"udp", p}]:
				report([]Witness{c.witness(f), nowhere(s.run.Record.Name, "no query %d between these addresses", k.id)},
					"a query is not recorded")
			case out:
				queries[k] = true
			default:
				answers[k] = true
			}
		}
		if !c.coversAll() {
			continue
		}
		for _, e := range s.byKind["query.ended"] {
			query := s.bySeq[e.Cause]
			if query == nil || query.is("tcp") || !e.is("answered") || !c.during(query, e) {
				continue
			}
			k := dnsKey{pair{query.addrPort("local"), query.addrPort("server")}, uint16(query.number("id"))}
			if !s.isLocal(k.pair) && (!queries[k] || !answers[k]) {
				report(append(s.witnesses(query, e), nowhere(c.Name, "query: %t, answer: %t", queries[k], answers[k])),
					"an answered query does not show")
			}
		}
	}
}

func checkCounters(s *story, report reportFunc) {
	macs := make(map[string]string) // by the name of the interface
	for _, e := range s.byKind["interface.changed"] {
		if e.number("vlan") == 0 && e.text("mac") != "" {
			macs[e.text("name")] = e.text("mac")
		}
	}
	for _, c := range s.captures {
		if c.started == nil || c.stopping == nil {
			continue
		}
		counted := make(map[string]*Event)
		for _, e := range s.byKind["interface.counted"] {
			if before(c.started, e) && counted[e.text("name")] == nil && macs[e.text("name")] != "" {
				counted[e.text("name")] = e
			}
		}
		for name, e := range counted {
			mac, err := net.ParseMAC(macs[name])
			if err != nil {
				continue
			}
			frames := int64(0)
			for _, f := range c.Frames {
				if !f.raw && f.vlan == 0 && len(f.Data) >= 12 && bytes.Equal(f.Data[6:12], mac) {
					frames++
				}
			}
			if n := e.number("tx_packets"); frames > n {
				report(append(s.witnesses(e), nowhere(c.Name, "%d frames from %v", frames, mac)),
					"the interface %s has counted %d transmitted frames", name, n)
			}
		}
	}
}
