package pcapfilter

const (
	genevePort = 6081

	// Offsets from the beginning of the UDP header.
	geneveVersion = 8  // and the length of the options
	geneveVNI     = 12 // 3 bytes
)

// genevePacket matches a Geneve packet. The condition includes code that computes the offsets of
// the inner packet, because they depend on the outer one, as does whether the inner packet has
// an Ethernet header. The code leaves the offsets in three registers for the rest of the
// expression.
func (g *generator) genevePacket(vni uint32, any bool) cond {
	if !any && vni > 0xffffff {
		g.fail("Geneve VNI %d greater than maximum 16777215", vni)
	}
	// Both leave the length of the IP header, plus the variable part of its offset, in the
	// accumulator.
	ip4 := and(g.geneveOver(typeIPv4, 9, fromIPv4Body, vni, any),
		&test{stmts: append(g.loadIPv4Length(), stmt{op: opTxa}), op: opJeq | srcX})
	ip6 := and(g.geneveOver(typeIPv6, 6, fromIPv6Body, vni, any),
		&test{stmts: g.loadIPv6Length(), op: opJeq | srcX})
	return and(or(ip4, ip6), g.geneveOffsets())
}

// geneveOver matches a Geneve packet on one version of IP. protoAt is the offset of the protocol
// in the IP header.
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

// geneveOffsets computes the offsets of the inner packet from the accumulator and sets the
// generator to them. The condition is always true.
func (g *generator) geneveOffsets() cond {
	typ, header, payload := g.allocate(), g.allocate(), g.allocate()
	stmts := []stmt{
		// X becomes the offset of the Geneve header, after IP and UDP; typ that of the
		// inner packet's type in it.
		{op: opAdd, k: g.payload.fixed + g.networkOffset + 8},
		{op: opTax},
		{op: opAdd, k: 2},
		{op: opSt, k: uint32(typ)},

		// The inner packet begins after the options.
		{op: opLdIndB, k: 0},
		{op: opAnd, k: 0x3f},
		{op: opMul, k: 4},
		{op: opAdd, k: 8},
		{op: opAdd | srcX},
		{op: opSt, k: uint32(header)},

		// If the inner packet is Ethernet, type and payload are in its frame. If not, the
		// payload begins at the offset of the missing link-layer header.
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

// hasEthernetHeader matches a packet that has an Ethernet header; nil means that all have one.
// An inner packet of Geneve has none if its payload begins at the offset of the header.
func (g *generator) hasEthernetHeader() cond {
	if !g.geneve {
		return nil
	}
	return not(&test{
		stmts: []stmt{
			{op: opLdMem, k: uint32(g.linkHeader.reg)},
			{op: opLdxMem, k: uint32(g.payload.reg)},
		},
		op: opJeq | srcX,
	})
}
