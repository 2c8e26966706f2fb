package pcapfilter

// registers are the words of scratch memory, which hold intermediate results.
type registers struct {
	used [scratchWords]bool
	last int
}

// allocate reserves a free register.
func (g *generator) allocate() int {
	r := &g.registers
	for range scratchWords {
		if !r.used[r.last] {
			r.used[r.last] = true
			return r.last
		}
		r.last = (r.last + 1) % scratchWords
	}
	g.fail("too many registers needed to evaluate expression")
	return 0
}

func (g *generator) free(reg int) { g.registers.used[reg] = false }

// A value is the code that computes a number. The caller that gets a value owns its
// statements.
type value struct {
	stmts    []stmt // leave the number in a register
	reg      int
	requires cond // must be true for stmts to be meaningful; nil if there is no condition
}

// toX and toA load a value's register into X and into the accumulator.
func (v value) toX() stmt { return stmt{op: opLdxMem, k: uint32(v.reg)} }
func (v value) toA() stmt { return stmt{op: opLdMem, k: uint32(v.reg)} }

// constantStart reports whether the code begins with a constant, and returns it.
func (v value) constantStart() (uint32, bool) {
	return v.stmts[0].k, v.stmts[0].op == opLdImm
}

// relation generates a comparison.
func (g *generator) relation(n *relationNode) cond {
	left := g.arith(n.left)
	right := g.arith(n.right)
	g.position = n.offset()

	t := &test{stmts: append(append(left.stmts, right.stmts...), right.toX(), left.toA())}
	negate := false
	switch n.op {
	case '=':
		t.op = opJeq
	case tokNE:
		t.op, negate = opJeq, true
	case '>':
		t.op = opJgt | srcX
	case tokLE:
		t.op, negate = opJgt|srcX, true
	case tokGE:
		t.op = opJge | srcX
	case '<':
		t.op, negate = opJge|srcX, true
	}
	if t.op == opJeq {
		t.stmts = append(t.stmts, stmt{op: opSub | srcX}) // equal if the difference is 0
	}
	g.free(left.reg)
	g.free(right.reg)

	c := cond(t)
	if negate {
		c = not(t)
	}
	return and(andOptional(left.requires, right.requires), c)
}

// andOptional is like and, but either may be nil, which counts as true.
func andOptional(a, b cond) cond {
	if b == nil {
		return a
	}
	return and(a, b)
}

// arith generates the code of a number.
func (g *generator) arith(n arith) value {
	g.count()
	switch n := n.(type) {
	case *numberNode:
		g.position = n.offset()
		return g.store([]stmt{{op: opLdImm, k: n.value}}, nil)
	case *lenNode:
		g.position = n.offset()
		return g.store([]stmt{{op: opLdLen}}, nil)
	case *negateNode:
		v := g.arith(n.operand)
		g.position = n.offset()
		g.free(v.reg)
		return g.store(append(v.stmts, v.toA(), stmt{op: opNeg}), v.requires)
	case *binaryNode:
		return g.binary(n)
	}
	return g.loadIndexed(n.(*loadNode))
}

// store returns a value that keeps the accumulator after stmts in a register.
func (g *generator) store(stmts []stmt, requires cond) value {
	reg := g.allocate()
	return value{append(stmts, stmt{op: opSt, k: uint32(reg)}), reg, requires}
}

var arithmeticOps = map[kind]uint16{
	'+': opAdd, '-': opSub, '*': opMul, '/': opDiv, '%': opMod,
	'&': opAnd, '|': opOr, '^': opXor, tokLsh: opLsh, tokRsh: opRsh,
}

// binary generates an operation. Like libpcap it ignores the condition of the right operand:
// "1 + ip[0] = 3" does not test for IP.
func (g *generator) binary(n *binaryNode) value {
	left := g.arith(n.left)
	right := g.arith(n.right)
	g.position = n.offset()
	if k, ok := right.constantStart(); ok {
		switch {
		case n.op == '/' && k == 0:
			g.fail("division by zero")
		case n.op == '%' && k == 0:
			g.fail("modulus by zero")
		case (n.op == tokLsh || n.op == tokRsh) && k > 31:
			g.fail("shift by more than 31 bits")
		}
	}
	g.free(left.reg)
	g.free(right.reg)
	stmts := append(append(left.stmts, right.stmts...),
		right.toX(), left.toA(), stmt{op: arithmeticOps[n.op] | srcX})
	return g.store(stmts, left.requires)
}

// loadIndexed generates "tcp[INDEX:SIZE]".
func (g *generator) loadIndexed(n *loadNode) value {
	index := g.arith(n.index)
	g.position = n.offset()
	s := size(n.size)
	if s != byte1 && s != byte2 && s != byte4 {
		g.fail("data size must be 1, 2, or 4")
	}
	var (
		from     base // to which the index is relative
		toX      []stmt
		requires cond
	)
	from = base{g.payload.fixed + g.networkOffset, g.payload.reg}
	switch n.proto {
	case protoRadio:
		g.fail("radio information not present in capture")
	case protoLink:
		from, requires = g.linkHeader, index.requires
	case protoIP, protoARP, protoRARP, protoAppleTalk, protoDECnet, protoLAT, protoSCA,
		protoMOPRC, protoMOPDL, protoIPv6:
		requires = andOptional(index.requires, g.protocol(n.proto))
	case protoSCTP, protoTCP, protoUDP, protoICMP, protoIGMP, protoIGRP, protoPIM, protoVRRP,
		protoCARP:
		// Only in IPv4, and only in the first fragment.
		inner := andOptional(index.requires, and(g.protocol(n.proto), g.firstFragment()))
		requires = and(g.protocol(protoIP), inner)
		toX = g.loadIPv4Length()
	case protoICMPv6:
		requires = andOptional(index.requires, g.protocol(protoIPv6))
		requires = andOptional(requires, g.equal(fromNetwork, 6, byte1, ipICMPv6))
		from.fixed += 40
	default:
		g.fail("unsupported index operation")
	}
	if toX == nil && from.reg >= 0 {
		toX = []stmt{{op: opLdxMem, k: uint32(from.reg)}}
	}
	if toX == nil {
		toX = []stmt{index.toX()}
	} else {
		toX = append(toX, index.toA(), stmt{op: opAdd | srcX}, stmt{op: opTax})
	}
	stmts := append(append(index.stmts, toX...), stmt{op: s.code(modeInd), k: from.fixed})
	v := g.store(stmts, requires)
	g.free(index.reg)
	return v
}
