package pcapfilter

import (
	"encoding/binary"
	"strings"
)

// linkTypeIs tests the type of the link layer's payload. typ is an Ethernet type, or a service
// access point if it is at most maxLength.
func (g *generator) linkTypeIs(typ uint32) cond {
	if g.labels > 0 {
		return g.mplsPayloadIs(typ)
	}
	if g.link == ppp {
		return g.equal(fromType, 0, byte2, pppType(typ))
	}
	return g.etherTypeIs(typ)
}

// etherTypeIs is linkTypeIs for an Ethernet header.
func (g *generator) etherTypeIs(typ uint32) cond {
	switch typ {
	case sapISO, sapIP, sapNetBEUI:
		// Both service access points.
		return and(g.isLength(), g.equal(fromPayload, 0, byte2, typ<<8|typ))
	case sapIPX:
		// The Ethernet type, the same in a SNAP header, the service access point, or the
		// first two bytes of IPX without an LLC header.
		return or(g.equal(fromType, 0, byte2, typeIPX),
			and(g.isLength(),
				or(g.snap(0, typeIPX),
					or(g.equal(fromPayload, 0, byte1, sapIPX),
						g.equal(fromPayload, 0, byte2, 0xffff)))))
	case typeAppleTalk:
		return or(g.equal(fromType, 0, byte2, typ), and(g.isLength(), g.snap(0x080007, typ)))
	case typeAARP:
		return or(g.equal(fromType, 0, byte2, typ), and(g.isLength(), g.snap(0, typ)))
	}
	if typ <= maxLength {
		return and(g.isLength(), g.equal(fromType, 2, byte1, typ))
	}
	return g.equal(fromType, 0, byte2, typ)
}

// isLength matches a frame that has a length instead of a type. An LLC header follows.
func (g *generator) isLength() cond {
	return not(g.compare(opJgt, fromType, 0, byte2, maxLength))
}

// snap matches a SNAP header with an organization and a type.
func (g *generator) snap(organization, typ uint32) cond {
	header := []byte{0xaa, 0xaa, 0x03}
	header = append(header, byte(organization>>16), byte(organization>>8), byte(organization))
	header = binary.BigEndian.AppendUint16(header, uint16(typ))
	return g.bytes(fromPayload, 0, header)
}

// broadcast generates "ether broadcast" and "ip broadcast".
func (g *generator) broadcast(p proto) cond {
	switch p {
	case protoDefault, protoLink:
		if g.link != ethernet {
			g.fail("not a broadcast link")
		}
		address := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		return and(g.hasEthernetHeader(), g.bytes(fromLink, 0, address))
	case protoIP:
		mask := g.netmask()
		if mask == ^uint32(0) {
			g.fail("netmask not known, so 'ip broadcast' not supported")
		}
		typ := g.linkTypeIs(typeIPv4)
		return and(typ, or(g.masked(fromNetwork, 16, byte4, 0, ^mask),
			g.masked(fromNetwork, 16, byte4, ^mask, ^mask)))
	}
	g.fail("only link-layer/IP broadcast filters supported")
	return nil
}

// netmask returns the interface's IPv4 mask.
func (g *generator) netmask() uint32 {
	m := g.opts.Netmask
	if len(m) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(m[len(m)-4:])
}

// multicast generates "ether multicast", "ip multicast" and "ip6 multicast".
func (g *generator) multicast(p proto) cond {
	switch p {
	case protoDefault, protoLink:
		if g.link == ethernet {
			return and(g.hasEthernetHeader(), g.compare(opJset, fromLink, 0, byte1, 1))
		}
	case protoIP:
		return and(g.linkTypeIs(typeIPv4), g.compare(opJge, fromNetwork, 16, byte1, 224))
	case protoIPv6:
		return and(g.linkTypeIs(typeIPv6), g.equal(fromNetwork, 24, byte1, 255))
	}
	g.fail("link-layer multicast filters supported only on " +
		"ethernet/FDDI/token ring/ARCNET/802.11/ATM LANE/Fibre Channel")
	return nil
}

// length generates "less" and "greater". Both include the given length.
func (g *generator) length(n *lengthNode) cond {
	stmts := []stmt{{op: opLdLen}}
	if n.greater {
		return &test{stmts: stmts, op: opJge, k: n.length}
	}
	return not(&test{stmts: stmts, op: opJgt, k: n.length})
}

// byteTest generates "byte INDEX OP VALUE". For "&" and "|" libpcap does not load the byte: the
// operation uses the current value of the accumulator.
func (g *generator) byteTest(n *byteNode) cond {
	switch n.op {
	case '=':
		return g.equal(fromLink, n.index, byte1, n.value)
	case '<':
		return not(g.compare(opJge, fromLink, n.index, byte1, n.value))
	case '>':
		return g.compare(opJgt, fromLink, n.index, byte1, n.value)
	case '&':
		return not(&test{stmts: []stmt{{op: opAnd, k: n.value}}, op: opJeq})
	}
	return not(&test{stmts: []stmt{{op: opOr, k: n.value}}, op: opJeq})
}

// llc generates "llc" and "llc TYPE".
func (g *generator) llc(name string) cond {
	if g.link != ethernet {
		g.fail("'llc' not supported for PPP")
	}
	// A length, and not the beginning of IPX without an LLC header.
	c := and(g.isLength(), not(g.equal(fromPayload, 0, byte2, 0xffff)))
	word := strings.ToLower(name)
	switch word {
	case "":
		return c
	case "i":
		return and(c, not(g.compare(opJset, fromPayload, 2, byte1, 1)))
	case "s":
		return and(c, g.masked(fromPayload, 2, byte1, 1, 3))
	case "u":
		return and(c, g.masked(fromPayload, 2, byte1, 3, 3))
	}
	if v, ok := llcSupervisory[word]; ok {
		return and(c, g.masked(fromPayload, 2, byte1, v, 0x0f))
	}
	v, ok := llcUnnumbered[word]
	if !ok {
		g.fail("unknown LLC type name \"%s\"", name)
	}
	return and(c, g.masked(fromPayload, 2, byte1, v, 0xef))
}

// Names of LLC control fields.
var (
	llcSupervisory = map[string]uint32{"rr": 0x01, "rnr": 0x05, "rej": 0x09}
	llcUnnumbered  = map[string]uint32{
		"ui": 0x03, "ua": 0x63, "disc": 0x43, "dm": 0x0f,
		"sabme": 0x6f, "test": 0xe3, "xid": 0xaf, "frmr": 0x87,
	}
)
