package pcapfilter

// encapsulation generates the primitives that change the offsets for the rest of the expression.
func (g *generator) encapsulation(n *encapsulationNode) cond {
	switch n.kind {
	case tokVLAN:
		return g.vlan(n.value, n.any)
	case tokMPLS:
		return g.mpls(n.value, n.any)
	case tokPPPoED:
		return g.linkTypeIs(typePPPoED)
	case tokPPPoES:
		return g.pppoe(n.value, n.any)
	}
	return g.genevePacket(n.value, n.any)
}

// vlan matches a tagged frame. For the rest of the expression, type and payload are after the
// tag.
func (g *generator) vlan(id uint32, any bool) cond {
	if g.labels > 0 {
		g.fail("no VLAN match after MPLS")
	}
	if g.link != ethernet {
		g.fail("no VLAN support for PPP")
	}
	c := or(g.linkTypeIs(typeVLAN), or(g.linkTypeIs(typeQinQ), g.linkTypeIs(typeQinQOld)))
	if !any {
		if id > 0xfff {
			g.fail("VLAN tag %d greater than maximum 4095", id)
		}
		c = and(c, g.masked(fromNetwork, 0, byte2, id, 0xfff))
	}
	g.linkType.fixed += 4
	g.payload.fixed += 4
	return c
}

// mpls matches a frame with an MPLS label, or with one more label after those of earlier
// primitives. For the rest of the expression, the network layer's header is after the label.
func (g *generator) mpls(label uint32, any bool) cond {
	var c cond
	if g.labels > 0 {
		// The previous label is not the last one.
		c = g.masked(fromNetwork, ^uint32(1), byte1, 0, 1)
	} else {
		c = g.linkTypeIs(typeMPLS)
	}
	if !any {
		if label > 0xfffff {
			g.fail("MPLS label %d greater than maximum 1048575", label)
		}
		c = and(c, g.masked(fromNetwork, 0, byte4, label<<12, 0xfffff000))
	}
	g.networkOffset += 4
	g.networkLLCOffset += 4
	g.labels++
	return c
}

// mplsPayloadIs tests whether the previous label is the last one and is followed by an IP header
// of the right version.
func (g *generator) mplsPayloadIs(typ uint32) cond {
	version := uint32(0x40)
	switch typ {
	case typeIPv4:
	case typeIPv6:
		version = 0x60
	default:
		g.fail("unsupported protocol over mpls")
	}
	return and(g.masked(fromNetwork, ^uint32(1), byte1, 1, 1),
		g.masked(fromNetwork, 0, byte1, version, 0xf0))
}

// pppoe matches a frame of a PPPoE session. For the rest of the expression, the PPP header takes
// the place of the Ethernet header.
func (g *generator) pppoe(session uint32, any bool) cond {
	c := g.linkTypeIs(typePPPoES)
	if !any {
		if session > 0xffff {
			g.fail("PPPoE session number %d greater than maximum 65535", session)
		}
		c = and(c, g.masked(fromNetwork, 0, byte4, session, 0xffff))
	}
	header := base{g.payload.fixed + g.networkOffset + 6, g.payload.reg}
	g.link = ppp
	g.linkHeader = header
	g.linkType = header
	g.payload = base{header.fixed + 2, header.reg}
	g.networkOffset, g.networkLLCOffset = 0, 0
	return c
}

// pppType returns PPP's number of the protocol of an Ethernet type.
func pppType(typ uint32) uint32 {
	switch typ {
	case typeIPv4:
		return 0x21
	case typeIPv6:
		return 0x57
	case typeDECnet:
		return 0x27
	case typeAppleTalk:
		return 0x29
	case sapISO:
		return 0x23
	case sapSTP:
		return 0x31
	case sapIPX:
		return 0x2b
	case typeMPLS:
		return 0x281
	}
	return typ
}
