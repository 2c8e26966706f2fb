package pcapfilter

// A cond is a condition on a frame: tests, combined. Generators make them, graph
// turns them into a program.
type cond interface{}

// A test runs statements and then compares the accumulator with k, or with X.
type test struct {
	stmts []stmt
	op    uint16 // opJeq and its kind
	k     uint32
}

// A stmt is an instruction inside a test. Jumps lead to other statements of the
// same test.
type stmt struct {
	op     uint16
	k      uint32
	jt, jf int // of a jump: indexes into the test's statements
}

type (
	conj struct{ a, b cond }
	disj struct{ a, b cond }
	neg  struct{ a cond }
)

// and is true if a and b are; b is tested only if a is true. A nil a is true.
func and(a, b cond) cond {
	if a == nil {
		return b
	}
	return &conj{a, b}
}

// or is true if a or b is; b is tested only if a is false. A nil a is false.
func or(a, b cond) cond {
	if a == nil {
		return b
	}
	return &disj{a, b}
}

func not(a cond) cond { return &neg{a} }
