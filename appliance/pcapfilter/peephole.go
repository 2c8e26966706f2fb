package pcapfilter

// nextLive returns the first statement at or after i that was not optimized away, and its index.
// The statement is nil if there is none.
func (b *block) nextLive(i int) (*stmt, int) {
	for ; i < len(b.stmts); i++ {
		if b.stmts[i].op != opNone {
			return &b.stmts[i], i
		}
	}
	return nil, i
}

// simplifyTest simplifies pairs of statements, and the last statement together with the
// comparison.
func (o *optimizer) simplifyTest(b *block) {
	if len(b.stmts) == 0 {
		return
	}
	last := o.simplifyPairs(b)
	if b.op == opJeq && !b.readAfter.has(atomA) {
		o.mergeIntoTest(b, last)
	}
	if b.op == opJset {
		switch b.k {
		case 0:
			b.yes = b.no
		case ^uint32(0):
			b.no = b.yes
		}
	}
	if k, ok := o.values.constant(b.values[atomX]); ok && b.op&srcX != 0 && !b.returns() {
		b.op &^= srcX
		b.k = k
	}
	if k, ok := o.values.constant(b.values[atomA]); ok && b.op&srcX == 0 && !b.returns() {
		o.decideTest(b, k)
	}
}

// simplifyPairs simplifies pairs of statements and returns the last statement.
func (o *optimizer) simplifyPairs(b *block) *stmt {
	last := &b.stmts[0]
	for i := 0; ; {
		s, at := b.nextLive(i)
		if s == nil {
			return last
		}
		next, nextAt := b.nextLive(at + 1)
		if next == nil {
			return last
		}
		last = next
		i = nextAt

		// st M[k], ldx M[k]: the value is in the accumulator.
		if s.op == opSt && next.op == opLdxMem && s.k == next.k {
			next.op = opTax
			o.noteChange()
		}
		// ld #k, tax becomes ldx #k, txa: the second one is often redundant.
		if s.op == opLdImm && next.op == opTax {
			s.op = opLdxImm
			next.op = opTxa
			o.noteChange()
		}
		if s.op == opLdImm && !b.readAfter.has(atomX) {
			o.addToOffset(b, s, next, nextAt)
		}
	}
}

// addToOffset replaces the code of tcp[k] with a constant k,
//
//	ld #k; ldxb 4*([14]&0xf); add x; tax; ldb [x + 14]
//
// by a load from [x + 14+k]. The second statement may be missing.
func (o *optimizer) addToOffset(b *block, s, next *stmt, nextAt int) {
	add, at := next, nextAt
	if next.op == opLdxMsh {
		add, at = b.nextLive(nextAt + 1)
	}
	if add == nil || add.op != opAdd|srcX {
		return
	}
	tax, at := b.nextLive(at + 1)
	if tax == nil || tax.op != opTax {
		return
	}
	load, _ := b.nextLive(at + 1)
	if load == nil || load.op&classMask != classLd || load.op&modeMask != modeInd {
		return
	}
	load.k += s.k
	s.op, add.op, tax.op = opNone, opNone, opNone
	o.noteChange()
}

// mergeIntoTest merges the last statement into a comparison with a constant. The accumulator is
// not read afterwards.
func (o *optimizer) mergeIntoTest(b *block, last *stmt) {
	switch {
	case last.op == opSub|srcX:
		if k, ok := o.values.constant(b.values[atomX]); ok {
			b.k += k
		} else if b.k == 0 {
			b.op = opJeq | srcX
		} else {
			return
		}
	case last.op == opSub:
		b.k += last.k
	case last.op == opAnd && b.k == 0:
		b.k = last.k
		b.op = opJset
		b.yes, b.no = b.no, b.yes
	default:
		return
	}
	last.op = opNone
	o.noteChange()
}

// decideTest redirects both edges to the target of a comparison of the constant a.
func (o *optimizer) decideTest(b *block, a uint32) {
	var result bool
	switch b.op {
	case opJeq:
		result = a == b.k
	case opJgt:
		result = a > b.k
	case opJge:
		result = a >= b.k
	case opJset:
		result = a&b.k != 0
	default:
		return
	}
	if b.yes != b.no {
		o.noteChange()
	}
	if result {
		b.no = b.yes
	} else {
		b.yes = b.no
	}
}

// removeDeadStores removes statements that set an atom which is not read. As in libpcap 1.10.3,
// the values of a block still include that of a removed store, so a later store of the same
// value may be taken for redundant. Newer versions of libpcap have corrected this fault, but it
// affects decisions about frames.
func (o *optimizer) removeDeadStores(b *block) {
	var unread [atoms]*stmt // the last statement that set an atom, if not read since
	read := func(a atom) {
		switch a {
		case noAtom:
		case atomAX:
			unread[atomA], unread[atomX] = nil, nil
		default:
			unread[a] = nil
		}
	}
	for i := range b.stmts {
		s := &b.stmts[i]
		read(uses(s.op, s.k))
		d := defines(s.op, s.k)
		if d == noAtom {
			continue
		}
		if unread[d] != nil {
			unread[d].op = opNone
			o.noteChange()
		}
		unread[d] = s
	}
	if !b.returns() {
		read(uses(b.op, b.k))
	}
	for a, s := range unread {
		if s != nil && !b.readAfter.has(atom(a)) {
			s.op = opNone
			o.noteChange()
		}
	}
}
