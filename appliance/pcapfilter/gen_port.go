package pcapfilter

import (
	"strconv"
	"strings"
)

// portProtocols are the protocols that have ports, in the order in which "port 80" tests them.
var portProtocols = []struct {
	proto  proto
	number uint32
}{{protoSCTP, ipSCTP}, {protoTCP, ipTCP}, {protoUDP, ipUDP}}

// portNumber generates "port 80", and "portrange 80".
func (g *generator) portNumber(v uint32, q qualifiers) cond {
	g.checkPortQualifier(q)
	if v > 65535 {
		g.fail("illegal port number %d > 65535", v)
	}
	return g.ports(v, v, q.proto, q)
}

// checkPortQualifier fails for a protocol without ports: "icmp port 80".
func (g *generator) checkPortQualifier(q qualifiers) {
	switch q.proto {
	case protoDefault, protoTCP, protoUDP, protoSCTP:
		return
	}
	what := "port"
	if q.typ == addrPortrange {
		what = "portrange"
	}
	g.failQualifiers("illegal qualifier of '%s'", what)
}

// portName generates "port NAME".
func (g *generator) portName(name string, q qualifiers) cond {
	g.checkPortQualifier(q)
	port, of, ok := lookupPort(name)
	if !ok {
		g.fail("unknown port '%s'", name)
	}
	return g.ports(port, port, g.checkPortProtocol(name, "port", of, q.proto), q)
}

// portrangeName generates "portrange 80-90", or with names: "portrange ftp-http".
func (g *generator) portrangeName(name string, q qualifiers) cond {
	g.checkPortQualifier(q)
	first, last, of, ok := lookupRange(name)
	if !ok {
		g.fail("unknown port in range '%s'", name)
	}
	of = g.checkPortProtocol(name, "port in range", of, q.proto)
	for _, port := range []int32{first, last} {
		if port < 0 {
			g.fail("illegal port number %d < 0", port)
		}
		if port > 65535 {
			g.fail("illegal port number %d > 65535", port)
		}
	}
	return g.ports(uint32(first), uint32(last), of, q)
}

// checkPortProtocol returns the protocol to test for. It fails if the name of a port belongs to
// another protocol.
func (g *generator) checkPortProtocol(name, what string, of, with proto) proto {
	if with == protoDefault {
		return of
	}
	if of != protoDefault && of != with {
		g.fail("%s '%s' is %s", what, name, protocols[of].name)
	}
	return with
}

// lookupPort finds a port by its name. The protocol is protoDefault if the name belongs to both
// TCP and UDP.
func lookupPort(name string) (port uint32, of proto, ok bool) {
	if n, err := strconv.ParseUint(name, 10, 64); err == nil { // a number preceded by a backslash
		return uint32(uint16(n)), protoDefault, true
	}
	s := services[name]
	switch {
	case s.tcp != 0 && s.udp != 0 && s.tcp == s.udp:
		return uint32(s.tcp), protoDefault, true
	case s.tcp != 0:
		return uint32(s.tcp), protoTCP, true
	case s.udp != 0:
		return uint32(s.udp), protoUDP, true
	}
	return 0, 0, false
}

// lookupRange parses two numbers or names separated by a hyphen. Numbers are parsed as by
// scanf(3), so text after the second number is ignored.
func lookupRange(name string) (first, last int32, of proto, ok bool) {
	from, to, both := strings.Cut(name, "-")
	if !both {
		return 0, 0, 0, false
	}
	first, rest, ok1 := scanInt(from)
	last, _, ok2 := scanInt(to)
	if ok1 && rest == "" && ok2 {
		return first, last, protoDefault, true
	}
	p1, of1, ok1 := lookupPort(from)
	p2, of2, ok2 := lookupPort(to)
	of = of1
	if of1 != of2 {
		of = protoDefault
	}
	return int32(p1), int32(p2), of, ok1 && ok2
}

// scanInt parses a decimal number at the beginning of s, as scanf(3) does: a number that is too
// large is cut to 32 bits.
func scanInt(s string) (n int32, rest string, ok bool) {
	sign := span(s[:min(len(s), 1)], func(c byte) bool { return c == '-' })
	end := sign + span(s[sign:], isDigit)
	if end == sign {
		return 0, s, false
	}
	v, _ := strconv.ParseInt(s[:end], 10, 64) // the nearest int64 if out of range
	return int32(v), s[end:], true
}

// ports generates a range of ports on IPv6 and IPv4, of one protocol or of all that have ports.
func (g *generator) ports(first, last uint32, of proto, q qualifiers) cond {
	ip6 := and(g.linkTypeIs(typeIPv6), g.portsOf(of, func(number uint32) cond {
		return and(g.equal(fromNetwork, 6, byte1, number),
			g.portPair(fromIPv6Body, first, last, q))
	}))
	return or(ip6, and(g.linkTypeIs(typeIPv4), g.portsOf(of, func(number uint32) cond {
		return and(and(g.equal(fromNetwork, 9, byte1, number), g.firstFragment()),
			g.portPair(fromIPv4Body, first, last, q))
	})))
}

// portsOf combines the conditions that one returns for the protocol, or for all that have ports.
func (g *generator) portsOf(of proto, one func(number uint32) cond) cond {
	var c cond
	for _, p := range portProtocols {
		if of == protoDefault || of == p.proto {
			c = or(c, one(p.number))
		}
	}
	return c
}

// portPair tests the source or destination port, or both.
func (g *generator) portPair(l layer, first, last uint32, q qualifiers) cond {
	what := "ports"
	if q.typ == addrPortrange {
		what = "port ranges"
	}
	return g.byDirection(q, what, func(d direction) cond {
		offset := uint32(0)
		if d == dirDst {
			offset = 2
		}
		if q.typ == addrPort {
			return g.equal(l, offset, byte2, first)
		}
		low, high := min(first, last), max(first, last)
		return and(g.compare(opJge, l, offset, byte2, low),
			not(g.compare(opJgt, l, offset, byte2, high)))
	})
}

// firstFragment matches IPv4 packets that are not fragmented, and first fragments.
func (g *generator) firstFragment() cond {
	return not(g.compare(opJset, fromNetwork, 6, byte2, 0x1fff))
}
