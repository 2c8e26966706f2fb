package pcapfilter

// A cond is a condition on a frame: a combination of tests. The generator makes it.
type cond interface {
	// build makes the condition's part of the program's graph: blocks that lead to yes if
	// the condition is true and to no otherwise. It returns the first block.
	build(yes, no *block) *block
}

// A test runs statements and then compares the accumulator with k, or with X.
type test struct {
	stmts []stmt
	op    uint16 // opJeq or another comparison
	k     uint32
}

// A stmt is an instruction of a test. Jumps lead to other statements of the same test.
type stmt struct {
	op     uint16
	k      uint32
	jt, jf int // targets of a jump: indexes of the test's statements
}

type (
	conj struct{ a, b cond }
	disj struct{ a, b cond }
	neg  struct{ a cond }
)

// and returns a condition that is true if a and b are. b is tested only if a is true. A nil a
// counts as true.
func and(a, b cond) cond {
	if a == nil {
		return b
	}
	return &conj{a, b}
}

// or returns a condition that is true if a or b is. b is tested only if a is false. A nil a
// counts as false.
func or(a, b cond) cond {
	if a == nil {
		return b
	}
	return &disj{a, b}
}

func not(a cond) cond { return &neg{a} }

// A block is a node of the program's graph: a test with the two blocks that follow it, or a
// return.
type block struct {
	stmts   []stmt
	op      uint16
	k       uint32
	yes, no *block // nil in a return

	flow   // state of the optimizer
	layout // state of the assembler
}

// returns reports whether b ends the program.
func (b *block) returns() bool { return b.yes == nil }

func (t *test) build(yes, no *block) *block {
	return &block{stmts: t.stmts, op: t.op, k: t.k, yes: yes, no: no}
}

func (c *conj) build(yes, no *block) *block { return c.a.build(c.b.build(yes, no), no) }
func (c *disj) build(yes, no *block) *block { return c.a.build(yes, c.b.build(yes, no)) }
func (c *neg) build(yes, no *block) *block  { return c.a.build(no, yes) }
