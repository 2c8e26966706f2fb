package pcapfilter

// moveBranches leads edges past tests whose outcome is known, and pulls tests of
// the same value together.
func (o *optimizer) moveBranches() {
	o.findTestsAlike()
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
	if to := e.to(); to.yes == to.no && !conflict(e.from, to.yes) {
		e.lead(to.yes)
		o.changed()
	}
	for !e.to().returns() {
		target := o.knownOutcome(e)
		if target == nil {
			return
		}
		e.lead(target)
		o.moved()
	}
}

// findTestsAlike collects the blocks that compare the same value in the same way:
// what one finds may tell how another ends.
func (o *optimizer) findTestsAlike() {
	const kinds = 16 // of comparisons, by their operation's upper bits
	n := kinds * len(o.values.origins)
	if cap(o.tests) < n {
		o.tests = make([]*block, n)
	}
	last := o.tests[:n]
	clear(last)
	for _, b := range o.blocks {
		b.alike, b.nextAlike = nil, nil
		if b.returns() || b.visited != o.walk {
			continue
		}
		t := kinds*int(b.values[atomA]) + int(b.op>>3)%kinds
		if before := last[t]; before != nil {
			before.nextAlike = b
			b.alike = before.alike
		} else {
			b.alike = b
		}
		last[t] = b
	}
}

// knownOutcome returns where the test that an edge leads to will lead, if one of
// the edges on every way here tells and going there at once changes nothing else.
func (o *optimizer) knownOutcome(e edge) *block {
	n := len(o.blocks)
	known := e.from.edgesUp[0]
	if !e.yes {
		known = e.from.edgesUp[1]
	}
	b := e.to()
	for i, yes := range []bool{true, false} {
		for before := b.alike; before != nil; before = before.nextAlike {
			if !known.has(before.id + i*n) {
				continue
			}
			if target := outcome(b, edge{before, yes}); target != nil && !conflict(e.from, target) {
				return target
			}
		}
	}
	return nil
}

// outcome returns where a test leads if an edge was taken of a test alike before
// it; nil if that is not known.
func outcome(b *block, taken edge) *block {
	switch {
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
	out := func(c *block) *block { return edge{c, !and}.to() }

	// at leads to the first test of another value.
	at := edge{b.in.from, b.in.from.yes == b}
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
		for e := b.in; e != nil; e = e.next {
			edge{e.from, e.from.yes == b}.lead(pull)
		}
	} else {
		at.lead(pull)
	}
	o.moved()
}
