package dissect

import (
	"fmt"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// An icmpType contains Wireshark's names of an ICMP type and its codes.
type icmpType struct {
	name  string
	codes []string
}

var icmp4Types = map[uint8]icmpType{
	0: {name: "Echo (ping) reply"},
	3: {"Destination unreachable", []string{
		"Network unreachable", "Host unreachable", "Protocol unreachable", "Port unreachable",
		"Fragmentation needed", "Source route failed", "Network unknown", "Host unknown",
		"Source host isolated", "Network administratively prohibited",
		"Host administratively prohibited", "Network unreachable for TOS",
		"Host unreachable for TOS", "Communication administratively filtered",
		"Host precedence violation", "Precedence cutoff in effect",
	}},
	4: {name: "Source quench (flow control)"},
	5: {"Redirect", []string{
		"Redirect for network", "Redirect for host",
		"Redirect for TOS and network", "Redirect for TOS and host",
	}},
	8:  {name: "Echo (ping) request"},
	9:  {name: "Router advertisement"},
	10: {name: "Router solicitation"},
	11: {"Time-to-live exceeded", []string{
		"Time to live exceeded in transit", "Fragment reassembly time exceeded",
	}},
	12: {"Parameter problem", []string{
		"Pointer indicates the error", "Required option missing", "Bad length",
	}},
	13: {name: "Timestamp request"},
	14: {name: "Timestamp reply"},
	15: {name: "Information request"},
	16: {name: "Information reply"},
	17: {name: "Address mask request"},
	18: {name: "Address mask reply"},
}

var icmp6Types = map[uint8]icmpType{
	1: {"Destination Unreachable", []string{
		"no route to destination", "Administratively prohibited", "Beyond scope of source address",
		"Address unreachable", "Port unreachable", "Source address failed ingress/egress policy",
		"Reject route to destination",
	}},
	2: {name: "Packet Too Big"},
	3: {"Time Exceeded", []string{
		"hop limit exceeded in transit", "fragment reassembly time exceeded",
	}},
	4: {"Parameter Problem", []string{
		"erroneous header field encountered", "unrecognized Next Header type encountered",
		"unrecognized IPv6 option encountered",
	}},
	128: {name: "Echo (ping) request"},
	129: {name: "Echo (ping) reply"},
	130: {name: "Multicast Listener Query"},
	131: {name: "Multicast Listener Report"},
	132: {name: "Multicast Listener Done"},
	133: {name: "Router Solicitation"},
	134: {name: "Router Advertisement"},
	135: {name: "Neighbor Solicitation"},
	136: {name: "Neighbor Advertisement"},
	137: {name: "Redirect"},
	143: {name: "Multicast Listener Report Message v2"},
}

// icmpNames returns the names of a type and its code; codeName is "" if it has none.
func icmpNames(known map[uint8]icmpType, kind, code uint8) (name, codeName string) {
	m, ok := known[kind]
	if !ok {
		return fmt.Sprintf("Type %d", kind), ""
	}
	if int(code) < len(m.codes) {
		codeName = m.codes[code]
	}
	return m.name, codeName
}

func icmpText(known map[uint8]icmpType, kind, code uint8) string {
	name, codeName := icmpNames(known, kind, code)
	if codeName == "" {
		return name
	}
	return name + " (" + codeName + ")"
}

// echoText describes an echo request or reply.
func echoText(request bool, id, seq uint16) string {
	kind := "reply"
	if request {
		kind = "request"
	}
	return fmt.Sprintf("Echo (ping) %-7s  id=0x%04x, seq=%d", kind, id, seq)
}

func icmpInfo(p gopacket.Packet, r *Row) {
	if m, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok {
		kind := m.TypeCode.Type()
		r.Protocol, r.Info = "ICMP", icmpText(icmp4Types, kind, m.TypeCode.Code())
		r.Trouble = icmpTrouble(m.TypeCode)
		if isEcho(m) {
			r.Info = echoText(kind == layers.ICMPv4TypeEchoRequest, m.Id, m.Seq)
			if ip, ok := p.NetworkLayer().(*layers.IPv4); ok {
				r.Info += fmt.Sprintf(", ttl=%d", ip.TTL)
			}
		}
		return
	}
	m, ok := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	if !ok {
		return
	}
	r.Protocol, r.Info = "ICMPv6", icmpText(icmp6Types, m.TypeCode.Type(), m.TypeCode.Code())
	r.Trouble = icmp6Trouble(m.TypeCode)
	solicitation := p.Layer(layers.LayerTypeICMPv6NeighborSolicitation)
	if s, ok := solicitation.(*layers.ICMPv6NeighborSolicitation); ok {
		r.Info += fmt.Sprintf(" for %v", s.TargetAddress)
	}
	advertisement := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement)
	if a, ok := advertisement.(*layers.ICMPv6NeighborAdvertisement); ok {
		r.Info += fmt.Sprintf(" %v", a.TargetAddress)
	}
	if e, ok := p.Layer(layers.LayerTypeICMPv6Echo).(*layers.ICMPv6Echo); ok {
		r.Info = echoText(m.TypeCode.Type() == layers.ICMPv6TypeEchoRequest, e.Identifier,
			e.SeqNumber)
		if ip, ok := p.NetworkLayer().(*layers.IPv6); ok {
			r.Info += fmt.Sprintf(", hop limit=%d", ip.HopLimit)
		}
	}
}

func isEcho(m *layers.ICMPv4) bool {
	kind := m.TypeCode.Type()
	return kind == layers.ICMPv4TypeEchoRequest || kind == layers.ICMPv4TypeEchoReply
}

func icmpFields(l gopacket.Layer, add addField) {
	typeAndCode := func(known map[uint8]icmpType, kind, code uint8) {
		name, codeName := icmpNames(known, kind, code)
		add("Type", "%d (%s)", kind, name)
		if codeName == "" {
			add("Code", "%d", code)
		} else {
			add("Code", "%d (%s)", code, codeName)
		}
	}
	switch l := l.(type) {
	case *layers.ICMPv4:
		typeAndCode(icmp4Types, l.TypeCode.Type(), l.TypeCode.Code())
		add("Checksum", "0x%04x", l.Checksum)
		if isEcho(l) {
			add("Identifier", "0x%04x", l.Id)
			add("Sequence number", "%d", l.Seq)
		}
	case *layers.ICMPv6:
		typeAndCode(icmp6Types, l.TypeCode.Type(), l.TypeCode.Code())
		add("Checksum", "0x%04x", l.Checksum)
	}
}
