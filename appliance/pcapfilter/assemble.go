package pcapfilter

import "golang.org/x/net/bpf"

// assemble lays out a graph as a program. Each block comes before the two blocks that follow
// it, of which the one for "no" comes last.
func assemble(root *block) []bpf.RawInstruction {
	var a assembler
	a.place(root)
	return a.program()
}

// An assembler assigns positions to blocks. Positions count from the end of the program,
// because a block is placed after those that follow it.
type assembler struct {
	blocks []*block
	size   int // number of their instructions
}

// layout is the position of a block in the program.
type layout struct {
	placed   bool
	distance int // number of instructions from its first to the end of the program

	// longJump tells, for yes and for no, whether the jump needs an instruction of its own
	// because its target is more than 255 instructions away.
	longJump [2]bool
}

// place assigns positions to b and all blocks after it.
func (a *assembler) place(b *block) {
	if b.placed {
		return
	}
	b.placed = true
	length := b.liveStatements() + 1
	if !b.returns() {
		a.place(b.no)
		a.place(b.yes)
		// An instruction that is added for one jump may make the other one too long.
		for changed := true; changed; {
			changed = false
			for i, target := range [2]*block{b.yes, b.no} {
				between := a.size + length - b.liveStatements() - 1 - target.distance
				if !b.longJump[i] && between > 255 {
					b.longJump[i] = true
					length++
					changed = true
				}
			}
		}
	}
	a.size += length
	b.distance = a.size
	a.blocks = append(a.blocks, b)
}

// program returns the instructions after all blocks have been placed.
func (a *assembler) program() []bpf.RawInstruction {
	out := make([]bpf.RawInstruction, 0, a.size)
	for i := len(a.blocks) - 1; i >= 0; i-- {
		out = a.write(out, a.blocks[i])
	}
	return out
}

// write appends the instructions of a block.
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
	at := len(out)
	out = append(out, bpf.RawInstruction{Op: b.op, K: b.k})
	if b.returns() {
		return out
	}
	// jump returns the distance of the jump at position at: to its target, or to an added
	// instruction that jumps there.
	jump := func(target *block, long bool) uint8 {
		between := a.size - target.distance - at - 1
		if !long {
			return uint8(between)
		}
		here := len(out) - at - 1
		out = append(out, bpf.RawInstruction{Op: opJa, K: uint32(between - here - 1)})
		return uint8(here)
	}
	jt := jump(b.yes, b.longJump[0])
	jf := jump(b.no, b.longJump[1])
	out[at].Jt, out[at].Jf = jt, jf
	return out
}

// liveStatements returns the number of statements that were not optimized away.
func (b *block) liveStatements() int {
	n := 0
	for _, s := range b.stmts {
		if s.op != opNone {
			n++
		}
	}
	return n
}
