package pcapfilter

// moveBranches leads edges past tests whose outcome is known, and pulls tests of
// the same value together.
func (o *optimizer) moveBranches() {
	o.up(func(b *block) {
		o.thread(edge{b, true})
		o.thread(edge{b, false})
	})
	o.findEdgesIn()
	o.up(func(b *block) {
		o.pullUp(b, false)
		o.pullUp(b, true)
	})
}

// thread leads an edge on past tests of which it is known how they end.
func (o *optimizer) thread(e edge) {
	if e.to().returns() {
		return
	}
	if to := e.to(); to.yes == to.no && !o.conflict(e.from, to.yes) {
		e.lead(to.yes)
		o.changed()
	}
	known := e.from.edgesUp[0]
	if !e.yes {
		known = e.from.edgesUp[1]
	}
	for again := true; again; {
		again = false
		known.each(func(id int) bool {
			target := o.outcome(e.to(), o.edge(id))
			if target == nil || o.conflict(e.from, target) {
				return true
			}
			e.lead(target)
			o.moved()
			again = !target.returns()
			return false
		})
	}
}

// outcome returns where a test leads if an edge was taken before it; nil if that
// is not known.
func (o *optimizer) outcome(b *block, taken edge) *block {
	before := taken.from
	if b.returns() || b.op != before.op || b.values[atomA] != before.values[atomA] {
		return nil
	}
	switch {
	case b.operand == before.operand: // the same test
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
func (o *optimizer) conflict(from, to *block) bool {
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
	if len(b.in) == 0 {
		return
	}
	first := b.in[len(b.in)-1]
	val := first.from.values[atomA]
	for _, e := range b.in {
		if e.from.values[atomA] != val {
			return
		}
	}
	out := func(c *block) *block { return edge{c, !and}.to() }

	// at leads to the first test of another value.
	at := edge{first.from, first.from.yes == b}
	top := true
	follow := func(e edge, stop func(c *block) bool) (edge, bool) {
		for {
			c := e.to()
			if c == nil || out(c) != out(b) || !c.dominators.has(b.id) {
				return e, false
			}
			if stop(c) {
				return e, true
			}
			e = edge{c, and}
			top = false
		}
	}
	at, ok := follow(at, func(c *block) bool { return c.values[atomA] != val })
	if !ok {
		return
	}
	atTop := top
	same, ok := follow(edge{at.to(), and}, func(c *block) bool { return c.values[atomA] == val })
	if !ok {
		return
	}
	pull := same.to()
	same.lead(edge{pull, and}.to())
	edge{pull, and}.lead(at.to())
	if atTop {
		for _, e := range b.in {
			edge{e.from, e.from.yes == b}.lead(pull)
		}
	} else {
		at.lead(pull)
	}
	o.moved()
	o.findDominators()
}
