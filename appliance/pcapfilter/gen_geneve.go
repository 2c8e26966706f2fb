package pcapfilter

const (
	genevePort = 6081

	// Offsets from the beginning of the UDP header.
	geneveVersion = 8  // and the length of the options
	geneveVNI     = 12 // 3 bytes
)

// genevePacket is true of a Geneve packet. What it carries, Ethernet or another
// protocol directly, and where that begins, depends on the packet; so code that
// finds out is part of the condition. It leaves the places in three registers for
// the rest of the expression.
func (g *generator) genevePacket(vni uint32, any bool) cond {
	if !any && vni > 0xffffff {
		g.fail("Geneve VNI %d greater than maximum 16777215", vni)
	}
	// Either leaves the length of the IP header, with the variable part of where it
	// lies, in the accumulator.
	ip4 := and(g.geneveOver(typeIPv4, 9, fromIPv4Body, vni, any),
		&test{stmts: append(g.loadIPv4Length(), stmt{op: opTxa}), op: opJeq | srcX})
	ip6 := and(g.geneveOver(typeIPv6, 6, fromIPv6Body, vni, any),
		&test{stmts: g.loadIPv6Length(), op: opJeq | srcX})
	return and(or(ip4, ip6), g.geneveOffsets())
}

// geneveOver is true of a Geneve packet on one version of IP, in whose header
// the protocol stands at protoAt.
func (g *generator) geneveOver(typ, protoAt uint32, body layer, vni uint32, any bool) cond {
	udp := g.equal(fromNetwork, protoAt, byte1, ipUDP)
	if typ == typeIPv4 {
		udp = and(udp, g.firstFragment())
	}
	c := and(and(g.linkTypeIs(typ), and(udp, g.equal(body, 2, byte2, genevePort))),
		g.masked(body, geneveVersion, byte1, 0, 0xc0))
	if !any {
		c = and(c, g.masked(body, geneveVNI, byte4, vni<<8, 0xffffff00))
	}
	return c
}

// loadIPv6Length loads the length of the IPv6 header into the accumulator and X.
func (g *generator) loadIPv6Length() []stmt {
	if g.payload.reg < 0 {
		return []stmt{{op: opLdImm, k: 40}, {op: opTax}}
	}
	return []stmt{
		{op: opLdxMem, k: uint32(g.payload.reg)},
		{op: opLdImm, k: 40},
		{op: opAdd | srcX},
		{op: opTax},
	}
}

// geneveOffsets computes from the accumulator where the inner packet's parts lie,
// and moves the generator there. It is always true.
func (g *generator) geneveOffsets() cond {
	typ, header, payload := g.allocate(), g.allocate(), g.allocate()
	stmts := []stmt{
		// X: the Geneve header, behind IP and UDP. The type of what it carries.
		{op: opAdd, k: g.payload.fixed + g.networkOffset + 8},
		{op: opTax},
		{op: opAdd, k: 2},
		{op: opSt, k: uint32(typ)},

		// Behind its options begins what it carries.
		{op: opLdIndB, k: 0},
		{op: opAnd, k: 0x3f},
		{op: opMul, k: 4},
		{op: opAdd, k: 8},
		{op: opAdd | srcX},
		{op: opSt, k: uint32(header)},

		// If that is Ethernet, the type and the payload are found in it; if not, the
		// payload begins where a link-layer header would.
		{op: opLdIndH, k: 2},
		{op: opLdxMem, k: uint32(header)},
		{op: opJeq, k: typeBridged, jt: 13, jf: 18},
		{op: opTxa},
		{op: opAdd, k: 12},
		{op: opSt, k: uint32(typ)},
		{op: opAdd, k: 2},
		{op: opTax},
		{op: opStx, k: uint32(payload)},
		{op: opLdImm, k: 0},
	}
	g.link = ethernet
	g.linkHeader = base{0, header}
	g.linkType = base{0, typ}
	g.payload = base{0, payload}
	g.networkOffset = 0
	g.geneve = true
	g.jumpsInside = true
	return &test{stmts: stmts, op: opJeq}
}

// inEthernet is what must be true for an Ethernet header to be there at all;
// nil if nothing. Inside Geneve the payload then does not begin where the header
// does.
func (g *generator) hasEthernetHeader() cond {
	if !g.geneve {
		return nil
	}
	return not(&test{
		stmts: []stmt{{op: opLdMem, k: uint32(g.linkHeader.reg)}, {op: opLdxMem, k: uint32(g.payload.reg)}},
		op:    opJeq | srcX,
	})
}
