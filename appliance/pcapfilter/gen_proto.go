package pcapfilter

// protocol generates a protocol's name alone.
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
		// The protocol itself, or in a fragment the one behind its header.
		return and(g.linkTypeIs(typeIPv6),
			or(g.equal(fromNetwork, 6, byte1, v),
				and(g.equal(fromNetwork, 6, byte1, ipFragment),
					g.equal(fromNetwork, 40, byte1, v))))
	case protoISO:
		return and(g.linkTypeIs(sapISO), g.equal(fromNetworkLLC, 0, byte1, v))
	case protoISIS:
		return and(g.proto(isoISIS, protoISO, d), g.equal(fromNetworkLLC, 4, byte1, v))
	}
	if m := protocols[on].noProto; m != "" {
		g.failQualifiers("%s", m)
	}
	g.failQualifiers("'%s proto' is bogus", protocols[on].name)
	return nil
}

// protochain generates "PROTOCOL protochain NUMBER": a loop that goes from header
// to header until it finds one of the number, or the last. X holds where the
// header lies (counted from the network layer's header), the accumulator its
// number.
func (g *generator) protochain(v uint32, on proto) cond {
	// A word for the number of the next header while X is computed. Without a
	// protocol libpcap takes one that it neither uses nor gives back.
	next := uint32(g.allocate())
	if on == protoDefault {
		ip4 := g.protochain(v, protoIP)
		return or(ip4, g.protochain(v, protoIPv6))
	}
	if on != protoIP && on != protoIPv6 {
		g.failQualifiers("bad protocol applied for 'protochain'")
	}
	if g.payload.reg >= 0 {
		g.fail("'protochain' not supported with variable length headers")
	}
	g.jumpsInside = true
	at := g.payload.fixed + g.network

	var p loop
	var typ cond
	if on == protoIP {
		typ = g.linkTypeIs(typeIPv4)
		p.emit(opLdB, at+9)
		p.emit(opLdxMsh, at)
	} else {
		typ = g.linkTypeIs(typeIPv6)
		p.emit(opLdB, at+6)
		p.emit(opLdxImm, 40)
	}
	again := len(p.stmts)
	p.jump(v, toEnd, toNext)
	p.jump(ipNoNext, toEnd, toNext)
	if on == protoIPv6 {
		// The extension headers that hold their length in units of 8 bytes.
		p.jump(0, 4, toNext)  // hop-by-hop options
		p.jump(60, 3, toNext) // destination options
		p.jump(43, 2, toNext) // routing
		p.jump(ipFragment, toNext, 10)
		p.emit(opLdIndB, at)
		p.emit(opSt, next)
		p.emit(opLdIndB, at+1)
		p.emit(opAdd, 1)
		p.emit(opMul, 8)
		p.emit(opAdd|srcX, 0)
		p.emit(opTax, 0)
		p.emit(opLdMem, next)
		p.again(again)
	} else {
		p.emit(opAdd, 0)
	}
	// The authentication header holds its length in units of 4 bytes. X is left
	// pointing where libpcap leaves it.
	p.jump(ipAH, toNext, toEnd)
	p.emit(opTxa, 0)
	p.emit(opLdIndB, at)
	p.emit(opSt, next)
	p.emit(opTxa, 0)
	p.emit(opAdd, 1)
	p.emit(opTax, 0)
	p.emit(opLdIndB, at)
	p.emit(opAdd, 2)
	p.emit(opMul, 4)
	p.emit(opTax, 0)
	p.emit(opLdMem, next)
	p.again(again)
	g.free(int(next))
	return and(typ, &test{stmts: p.end(), op: opJeq, k: v})
}

// A loop collects statements that jump among themselves.
type loop struct {
	stmts []stmt
}

// Targets of a jump in a loop, but n is n statements on.
const (
	toNext = 1
	toHere = 1
	toEnd  = -1
)

func (l *loop) emit(op uint16, k uint32) {
	l.stmts = append(l.stmts, stmt{op: op, k: k})
}

// jump adds a comparison of the accumulator with k.
func (l *loop) jump(k uint32, yes, no int) {
	here := len(l.stmts)
	target := func(t int) int {
		if t == toEnd {
			return toEnd
		}
		return here + t
	}
	l.stmts = append(l.stmts, stmt{op: opJeq, k: k, jt: target(yes), jf: target(no)})
}

// again adds a jump back to the statement at target.
func (l *loop) again(target int) {
	l.stmts = append(l.stmts, stmt{op: opJa, k: uint32(target - len(l.stmts) - 1)})
}

// end adds the statement that all jumps to toEnd lead to and returns the whole.
func (l *loop) end() []stmt {
	last := len(l.stmts)
	for i := range l.stmts {
		s := &l.stmts[i]
		if s.jt == toEnd {
			s.jt = last
		}
		if s.jf == toEnd {
			s.jf = last
		}
	}
	l.emit(opAdd, 0)
	return l.stmts
}
