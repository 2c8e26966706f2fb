package pcapfilter

import "golang.org/x/net/bpf"

// assemble lays a graph out as a program: each block before the blocks that it
// leads to, the one for "no" last.
func assemble(root *block) []bpf.RawInstruction {
	a := &assembler{}
	for !a.lay(root) {
	}
	return a.program()
}

// An assembler gives blocks their places. Places count from the end of the
// program, since a block is placed after those that it leads to.
type assembler struct {
	order []*block
	size  int
	round int
}

// layout is where a block stands.
type layout struct {
	place int // how many instructions stand from here to the end
	round int // of the assembler, in which it was placed

	// far says which of the jumps, for yes and for no, need an instruction of their
	// own because their target is more than 255 instructions away.
	far [2]bool
}

// lay places all blocks; not ok says that it found a jump too far and has to be
// asked again.
func (a *assembler) lay(root *block) bool {
	a.order = a.order[:0]
	a.size = 0
	a.round++
	return a.visit(root)
}

func (a *assembler) visit(b *block) bool {
	if b.round == a.round {
		return true
	}
	b.round = a.round
	if b.yes != nil && (!a.visit(b.no) || !a.visit(b.yes)) {
		return false
	}
	far := b.far
	live := b.liveStatements()
	length := live + 1
	for _, f := range far {
		if f {
			length++
		}
	}
	if b.yes != nil {
		// From the jump itself, past the instructions for far jumps.
		jump := a.size + length - live - 1
		changed := false
		if !far[0] && jump-b.yes.place > 255 {
			far[0], changed = true, true
		}
		if !far[1] && jump-b.no.place > 255 {
			far[1], changed = true, true
		}
		if changed {
			b.far = far
			return false
		}
	}
	a.size += length
	b.place = a.size
	a.order = append(a.order, b)
	return true
}

// program writes the instructions once every block has its place.
func (a *assembler) program() []bpf.RawInstruction {
	out := make([]bpf.RawInstruction, 0, a.size)
	for i := len(a.order) - 1; i >= 0; i-- {
		out = a.write(out, a.order[i])
	}
	return out
}

func (a *assembler) write(out []bpf.RawInstruction, b *block) []bpf.RawInstruction {
	for i, s := range b.stmts {
		if s.op == opNone {
			continue
		}
		in := bpf.RawInstruction{Op: s.op, K: s.k}
		if s.op&classMask == classJmp && s.op != opJa {
			in.Jt, in.Jf = uint8(s.jt-i-1), uint8(s.jf-i-1)
		}
		out = append(out, in)
	}
	in := bpf.RawInstruction{Op: b.op, K: b.k}
	if b.yes == nil {
		return append(out, in)
	}
	at := len(out)
	out = append(out, in)
	jump := func(target *block, far bool) uint8 {
		distance := a.size - target.place - at - 1
		if !far {
			return uint8(distance)
		}
		here := len(out) - at - 1
		out = append(out, bpf.RawInstruction{Op: opJa, K: uint32(distance - here - 1)})
		return uint8(here)
	}
	jt := jump(b.yes, b.far[0])
	jf := jump(b.no, b.far[1])
	out[at].Jt, out[at].Jf = jt, jf
	return out
}

// liveStatements counts the statements that were not optimised away.
func (b *block) liveStatements() int {
	n := 0
	for _, s := range b.stmts {
		if s.op != opNone {
			n++
		}
	}
	return n
}
