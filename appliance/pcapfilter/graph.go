package pcapfilter

// A block is a node of the program's graph: a test with the two blocks that
// follow it, or a return.
type block struct {
	stmts   []stmt
	op      uint16
	k       uint32
	yes, no *block // nil in a return

	flow   // what the optimiser knows of it
	layout // where the assembler puts it
}

// build makes the graph of c: blocks that lead to yes where c is true of the
// frame and to no where it is not. It returns the first of them.
func build(c cond, yes, no *block) *block {
	switch c := c.(type) {
	case *conj:
		return build(c.a, build(c.b, yes, no), no)
	case *disj:
		return build(c.a, yes, build(c.b, yes, no))
	case *neg:
		return build(c.a, no, yes)
	}
	t := c.(*test)
	return &block{stmts: t.stmts, op: t.op, k: t.k, yes: yes, no: no}
}

// returns reports whether b ends the program.
func (b *block) returns() bool { return b.yes == nil }
