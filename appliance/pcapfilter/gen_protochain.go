package pcapfilter

// protochain generates "PROTOCOL protochain NUMBER": a loop over the headers until one has the
// number or is the last. X holds the offset of a header, relative to the network layer's
// header, and the accumulator its number.
func (g *generator) protochain(v uint32, on proto) cond {
	// A register for the number of the next header while X is computed. Without a protocol
	// libpcap allocates one that it neither uses nor frees.
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
	at := g.payload.fixed + g.networkOffset

	var l loop
	var typ cond
	if on == protoIP {
		typ = g.linkTypeIs(typeIPv4)
		l.add(stmt{op: opLdB, k: at + 9}, stmt{op: opLdxMsh, k: at})
	} else {
		typ = g.linkTypeIs(typeIPv6)
		l.add(stmt{op: opLdB, k: at + 6}, stmt{op: opLdxImm, k: 40})
	}
	l.setStart()
	l.jump(v, toEnd, toNext)
	l.jump(ipNoNext, toEnd, toNext)
	if on == protoIPv6 {
		l.skipExtension(at, next)
	} else {
		l.add(stmt{op: opAdd, k: 0})
	}
	l.skipAuthentication(at, next)
	g.free(int(next))
	return and(typ, &test{stmts: l.end(), op: opJeq, k: v})
}

// skipExtension continues after an IPv6 extension header whose length is in units of 8 bytes.
func (l *loop) skipExtension(at, next uint32) {
	// 0 hop-by-hop options, 60 destination options, 43 routing. All of these jump to the
	// statement after the comparisons, other numbers to that after the jump back.
	l.jump(0, 4, toNext)
	l.jump(60, 3, toNext)
	l.jump(43, 2, toNext)
	l.jump(ipFragment, toNext, 10)
	l.add(
		stmt{op: opLdIndB, k: at},
		stmt{op: opSt, k: next},
		stmt{op: opLdIndB, k: at + 1},
		stmt{op: opAdd, k: 1},
		stmt{op: opMul, k: 8},
		stmt{op: opAdd | srcX},
		stmt{op: opTax},
		stmt{op: opLdMem, k: next})
	l.jumpBack()
}

// skipAuthentication continues after an authentication header, whose length is in units of 4
// bytes. libpcap should add the length to X, but replaces X by it, so the next header is
// expected at that offset from the beginning of the packet.
func (l *loop) skipAuthentication(at, next uint32) {
	l.jump(ipAH, toNext, toEnd)
	l.add(
		stmt{op: opTxa},
		stmt{op: opLdIndB, k: at},
		stmt{op: opSt, k: next},
		stmt{op: opTxa},
		stmt{op: opAdd, k: 1},
		stmt{op: opTax},
		stmt{op: opLdIndB, k: at},
		stmt{op: opAdd, k: 2},
		stmt{op: opMul, k: 4},
		stmt{op: opTax},
		stmt{op: opLdMem, k: next})
	l.jumpBack()
}

// A loop collects statements with jumps between them.
type loop struct {
	stmts []stmt
	first int // statement to which jumpBack leads
}

// Targets of a jump in a loop. A positive target is the number of statements ahead.
const (
	toNext = 1
	toEnd  = -1
)

func (l *loop) add(stmts ...stmt) { l.stmts = append(l.stmts, stmts...) }

// setStart makes the next statement the target of jumpBack.
func (l *loop) setStart() { l.first = len(l.stmts) }

// jumpBack adds a jump to the start.
func (l *loop) jumpBack() {
	l.add(stmt{op: opJa, k: uint32(l.first - len(l.stmts) - 1)})
}

// jump adds a comparison of the accumulator with k and its two targets.
func (l *loop) jump(k uint32, yes, no int) {
	here := len(l.stmts)
	target := func(t int) int {
		if t == toEnd {
			return toEnd
		}
		return here + t
	}
	l.add(stmt{op: opJeq, k: k, jt: target(yes), jf: target(no)})
}

// end adds the statement to which all jumps to toEnd lead, and returns all statements.
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
	l.add(stmt{op: opAdd, k: 0})
	return l.stmts
}
