package pcapfilter

// protocol generates a primitive that is a protocol's name alone.
func (g *generator) protocol(p proto) cond {
	switch p {
	case protoLink:
		g.fail("link layer applied in wrong context")
	case protoRadio:
		g.fail("'radio' is not a valid protocol type")
	}
	info := protocols[p]
	if info.typ != 0 {
		return g.linkTypeIs(info.typ)
	}
	if info.pdus != nil {
		var c cond
		for _, pdu := range info.pdus {
			c = or(c, g.proto(pdu, protoISIS, dirDefault))
		}
		return c
	}
	return g.proto(info.number, info.on, dirDefault)
}

// protoNumber looks up the name in "PROTOCOL proto NAME".
func (g *generator) protoNumber(name string, on proto) uint32 {
	table, kind := map[string]uint32(nil), ""
	switch on {
	case protoDefault, protoIP, protoIPv6:
		table, kind = ipProtocols, "ip"
	case protoLink:
		table, kind = etherProtocols, "ether"
	case protoISO:
		table, kind = isoProtocols, "osi"
	default:
		g.fail("unknown protocol: %s", name)
	}
	v, ok := table[name]
	if !ok {
		g.fail("unknown %s proto '%s'", kind, name)
	}
	return v
}

// proto generates "PROTOCOL proto NUMBER".
func (g *generator) proto(v uint32, on proto, d direction) cond {
	if d != dirDefault {
		g.failQualifiers("direction applied to 'proto'")
	}
	switch on {
	case protoDefault:
		ip4 := g.proto(v, protoIP, d)
		return or(ip4, g.proto(v, protoIPv6, d))
	case protoLink:
		return g.linkTypeIs(v)
	case protoIP:
		return and(g.linkTypeIs(typeIPv4), g.equal(fromNetwork, 9, byte1, v))
	case protoIPv6:
		// The protocol of the packet, or the one after a fragment header.
		return and(g.linkTypeIs(typeIPv6),
			or(g.equal(fromNetwork, 6, byte1, v),
				and(g.equal(fromNetwork, 6, byte1, ipFragment),
					g.equal(fromNetwork, 40, byte1, v))))
	case protoISO:
		return and(g.linkTypeIs(sapISO), g.equal(fromNetworkLLC, 0, byte1, v))
	case protoISIS:
		return and(g.proto(isoISIS, protoISO, d), g.equal(fromNetworkLLC, 4, byte1, v))
	}
	if m := noProto[on]; m != "" {
		g.failQualifiers("%s", m)
	}
	g.failQualifiers("'%s proto' is bogus", protocols[on].name)
	return nil
}
