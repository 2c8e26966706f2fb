package pcapfilter

import "golang.org/x/net/bpf"

// assemble lays a graph out as a program: each block before the blocks that it
// leads to, the one for "no" last.
func assemble(root *block) []bpf.RawInstruction {
	var a assembler
	a.place(root)
	return a.program()
}

// An assembler gives blocks their places. Places count from the end of the
// program, since a block is placed after those that it leads to.
type assembler struct {
	blocks []*block
	size   int // how many instructions they have
}

// layout is where a block stands.
type layout struct {
	placed   bool
	distance int // how many instructions stand from its first to the end

	// far says which of the jumps, for yes and for no, need an instruction of their
	// own because their target is more than 255 instructions away.
	longJump [2]bool
}

// place gives b and all that follows it their places.
func (a *assembler) place(b *block) {
	if b.placed {
		return
	}
	b.placed = true
	length := b.liveStatements() + 1
	if !b.returns() {
		a.place(b.no)
		a.place(b.yes)
		// An instruction added for one jump may make the other one too far.
		for again := true; again; {
			again = false
			for i, target := range [2]*block{b.yes, b.no} {
				between := a.size + length - b.liveStatements() - 1 - target.distance
				if !b.longJump[i] && between > 255 {
					b.longJump[i] = true
					length++
					again = true
				}
			}
		}
	}
	a.size += length
	b.distance = a.size
	a.blocks = append(a.blocks, b)
}

// program writes the instructions once every block has its place.
func (a *assembler) program() []bpf.RawInstruction {
	out := make([]bpf.RawInstruction, 0, a.size)
	for i := len(a.blocks) - 1; i >= 0; i-- {
		out = a.write(out, a.blocks[i])
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
	at := len(out)
	out = append(out, bpf.RawInstruction{Op: b.op, K: b.k})
	if b.returns() {
		return out
	}
	// jump returns how far the jump at at goes on its way to a target: there, or to
	// an instruction that goes on.
	jump := func(target *block, far bool) uint8 {
		between := a.size - target.distance - at - 1
		if !far {
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
