package pcapfilter

// moveBranches leads edges past tests whose outcome is known, and pulls tests of
// the same value together.
func (o *optimizer) moveBranches() {
	o.collectTests()
	o.bottomUp(func(b *block) {
		o.threadEdge(edge{b, true})
		o.threadEdge(edge{b, false})
	})
	o.findEdgesIn()
	o.bottomUp(func(b *block) {
		o.pullUp(b, false)
		o.pullUp(b, true)
	})
}

// thread leads an edge on past tests of which it is known how they end.
func (o *optimizer) threadEdge(e edge) {
	if e.target().returns() {
		return
	}
	if to := e.target(); to.yes == to.no && !conflict(e.from, to.yes) {
		e.redirect(to.yes)
		o.noteChange()
	}
	for !e.target().returns() {
		target := o.knownOutcome(e)
		if target == nil {
			return
		}
		e.redirect(target)
		o.noteMove()
	}
}

// kindsOfTests is more than there are comparisons, told apart by the upper bits of
// their operation.
const comparisonKinds = 16

// collectTests lists the edges whose being taken may tell how a later test ends:
// for the way yes by what is compared with what comparison, for the way no also by
// the other operand. An edge that joins others at once is on no later way.
func (o *optimizer) collectTests() {
	n := comparisonKinds * len(o.values.origins)
	if len(o.testedEdges[0]) < n {
		o.testedEdges = [2][]blockRef{make([]blockRef, n), make([]blockRef, n)}
	}
	clear(o.testedEdges[0])
	clear(o.testedEdges[1])
	for i := len(o.blocks) - 1; i >= 0; i-- {
		b := o.blocks[i]
		if b.returns() || b.visited != o.walk {
			continue
		}
		for way := range 2 {
			if b.soleEdge[way] {
				list := o.testList(b, way)
				b.nextTested[way] = *list
				*list = b.ref()
			}
		}
	}
}

// list returns the list of collectTests for tests like b. (That for the way no may
// hold others too.)
func (o *optimizer) testList(b *block, way int) *blockRef {
	key := b.values[atomA]
	if way == 1 {
		key = b.operand
	}
	return &o.testedEdges[way][comparisonKinds*int(key)+int(b.op>>3)%comparisonKinds]
}

// knownOutcome returns where the test that an edge leads to will lead, if one of
// the edges on every way here tells, itself included, and going there at once
// changes nothing else.
func (o *optimizer) knownOutcome(e edge) *block {
	b := e.target()
	known := e.from.edgeDominators[e.index()]
	for way := range 2 {
		try := func(before *block) *block {
			if !known.has(before.id + way*len(o.blocks)) {
				return nil
			}
			target := outcome(b, edge{before, way == 0})
			if target == nil || conflict(e.from, target) {
				return nil
			}
			return target
		}
		own := e.index() == way
		for before := o.blockAt(*o.testList(b, way)); before != nil; before = o.blockAt(before.nextTested[way]) {
			if own && before.id >= e.from.id {
				own = false
				if target := try(e.from); target != nil {
					return target
				}
			}
			if target := try(before); target != nil {
				return target
			}
		}
		if own {
			if target := try(e.from); target != nil {
				return target
			}
		}
	}
	return nil
}

// outcome returns where a test leads if an edge was taken before it; nil if that
// is not known.
func outcome(b *block, taken edge) *block {
	switch {
	case b.op != taken.from.op || b.values[atomA] != taken.from.values[atomA]:
		return nil
	case b.operand == taken.from.operand: // the same test
		if taken.yes {
			return b.yes
		}
		return b.no
	case taken.yes && b.op == opJeq: // it is equal to another constant
		return b.no
	}
	return nil
}

// conflict reports whether what blocks from to on read is not what from leaves.
func conflict(from, to *block) bool {
	for a := atom(0); a < atoms; a++ {
		if to.readAfter.has(a) && from.values[a] != to.values[a] {
			return true
		}
	}
	return false
}

// pullUp looks below b, along a chain of tests that share one way out with b, for
// one of the value that b's predecessors leave in the accumulator, past tests of
// other values; that one is moved up before those. Along such a chain the order
// does not matter: "A or B or C" (the way out is yes), with and "A and B and C"
// (it is no).
func (o *optimizer) pullUp(b *block, and bool) {
	if b.in == nil {
		return
	}
	val := b.in.from.values[atomA]
	for e := b.in.next; e != nil; e = e.next {
		if e.from.values[atomA] != val {
			return
		}
	}
	out := func(c *block) *block { return edge{c, !and}.target() }

	// follow goes down the chain, from an edge to one that leads to a test of the
	// value, or of another.
	follow := func(e edge, ofValue bool) (_ edge, found bool) {
		for {
			c := e.target()
			if out(c) != out(b) || !c.dominators.has(b.id) {
				return e, false
			}
			if (c.values[atomA] == val) == ofValue {
				return e, true
			}
			e = edge{c, and}
		}
	}
	start := edge{b.in.from, b.in.from.yes == b}
	at, found := follow(start, false)
	if !found {
		return
	}
	same, found := follow(edge{at.target(), and}, true)
	if !found {
		return
	}
	pull := same.target()
	same.redirect(edge{pull, and}.target())
	edge{pull, and}.redirect(at.target())
	if at == start {
		for e := b.in; e != nil; e = e.next {
			edge{e.from, e.from.yes == b}.redirect(pull)
		}
	} else {
		at.redirect(pull)
	}
	o.noteMove()
}
