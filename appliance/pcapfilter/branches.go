package pcapfilter

// moveBranches redirects edges past tests whose outcome is known, and moves tests of the same
// value together.
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

// threadEdge redirects an edge past the tests after it whose outcome is known.
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

// comparisonKinds exceeds the number of comparisons, which differ in the upper bits of their
// operation.
const comparisonKinds = 16

// collectTests lists the edges from which the outcome of a later test may be known: edges for
// yes by comparison and value of the accumulator, edges for no by comparison and operand. It
// leaves out edges that are not the only one to their target, because they dominate no later
// edge.
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
		for i := range 2 {
			if b.soleEdge[i] {
				list := o.testList(b, i)
				b.nextTested[i] = *list
				*list = b.ref()
			}
		}
	}
}

// testList returns the list of collectTests with the edges of tests like b. The list for no may
// contain edges of other tests too.
func (o *optimizer) testList(b *block, index int) *blockRef {
	key := b.values[atomA]
	if index == 1 {
		key = b.operand
	}
	return &o.testedEdges[index][comparisonKinds*int(key)+int(b.op>>3)%comparisonKinds]
}

// knownOutcome returns the block that follows the test at the end of an edge, if that is known
// from an edge that dominates e or from e itself, and if the values of all atoms that are read
// later stay the same. Otherwise it returns nil.
func (o *optimizer) knownOutcome(e edge) *block {
	b := e.target()
	known := e.from.edgeDominators[e.index()]
	for i := range 2 {
		try := func(before *block) *block {
			if !known.has(before.id + i*len(o.blocks)) {
				return nil
			}
			target := outcome(b, edge{before, i == 0})
			if target == nil || conflict(e.from, target) {
				return nil
			}
			return target
		}
		own := e.index() == i
		next := *o.testList(b, i)
		for before := o.blockAt(next); before != nil; before = o.blockAt(before.nextTested[i]) {
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

// outcome returns the block that follows a test if an edge was taken before it; nil if that is
// not known.
func outcome(b *block, taken edge) *block {
	switch {
	case b.op != taken.from.op || b.values[atomA] != taken.from.values[atomA]:
		return nil
	case b.operand == taken.from.operand: // the same test
		if taken.yes {
			return b.yes
		}
		return b.no
	case taken.yes && b.op == opJeq: // the value equals another constant
		return b.no
	}
	return nil
}

// conflict reports whether a block from to on reads an atom whose value differs between from
// and to.
func conflict(from, to *block) bool {
	for a := atom(0); a < atoms; a++ {
		if to.readAfter.has(a) && from.values[a] != to.values[a] {
			return true
		}
	}
	return false
}

// pullUp follows the chain of tests after b that share one exit with b. If the chain contains
// tests of other values and then a test of the value that b's predecessors leave in the
// accumulator, that test is moved before them. The order of such a chain does not matter: it is
// "A or B or C", whose exit is yes, or with and "A and B and C", whose exit is no.
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
	exit := func(c *block) *block { return edge{c, !and}.target() }

	// follow follows the chain from an edge to the next one that leads to a test of the
	// value, or of another value.
	follow := func(e edge, ofValue bool) (_ edge, found bool) {
		for {
			c := e.target()
			if exit(c) != exit(b) || !c.dominators.has(b.id) {
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
