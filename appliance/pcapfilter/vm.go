package pcapfilter

import (
	"encoding/binary"

	"golang.org/x/net/bpf"
)

// An instruction is an instruction of a program in a form that is fast to execute: jumps contain
// the index of their target.
type instruction struct {
	op     uint16
	jt, jf uint32
	k      uint32
}

// code is a program in executable form.
type code struct {
	instructions  []instruction
	backwardJumps int // number of jumps that lead backwards
}

// decode translates a program for run. The program must be valid: its jumps lead to its own
// instructions and its last instruction is a return.
func decode(program []bpf.RawInstruction) code {
	var c code
	c.instructions = make([]instruction, len(program))
	for i, in := range program {
		next := uint32(i) + 1
		jt := next + uint32(in.Jt)
		if in.Op == opJa {
			jt = next + in.K // the offset is signed
			if jt < next {
				c.backwardJumps++
			}
		}
		c.instructions[i] = instruction{op: in.Op, jt: jt, jf: next + uint32(in.Jf), k: in.K}
	}
	return c
}

// run executes a program on a frame and returns the program's result: 0 if the frame is not
// selected. As in every classic BPF machine, a load beyond the end of the frame or a division
// by zero ends the program with 0.
//
// endless reports whether the program would never have ended. This is possible only for the
// loops of protochain. The state of such a loop consists of a header's offset and of whether it
// is an authentication header, so a loop with more iterations than twice the length of the
// frame repeats a state. libpcap does not return in this case.
//
// The function is long because the machine is one switch: every captured frame passes it, and a
// function call for each instruction would cost more than most instructions.
func run(c code, frame []byte, wireLen uint32) (result uint32, endless bool) {
	var (
		a, x uint32
		mem  [scratchWords]uint32
		back int
		pc   uint32
		n    = uint64(len(frame))
		code = c.instructions
	)
	for {
		in := &code[pc]
		pc++
		switch in.op {
		case opLdH:
			at := uint64(in.k)
			if at+2 > n {
				return 0, false
			}
			a = uint32(binary.BigEndian.Uint16(frame[at:]))
		case opLdB:
			at := uint64(in.k)
			if at >= n {
				return 0, false
			}
			a = uint32(frame[at])
		case opLdW:
			at := uint64(in.k)
			if at+4 > n {
				return 0, false
			}
			a = binary.BigEndian.Uint32(frame[at:])
		case opJeq:
			if a == in.k {
				pc = in.jt
			} else {
				pc = in.jf
			}
		case opJset:
			if a&in.k != 0 {
				pc = in.jt
			} else {
				pc = in.jf
			}
		case opJgt:
			if a > in.k {
				pc = in.jt
			} else {
				pc = in.jf
			}
		case opJge:
			if a >= in.k {
				pc = in.jt
			} else {
				pc = in.jf
			}
		case opRet:
			return in.k, false
		case opLdxMsh:
			at := uint64(in.k)
			if at >= n {
				return 0, false
			}
			x = uint32(frame[at]&0xf) << 2
		case opLdIndH:
			at := uint64(x) + uint64(in.k)
			if at+2 > n {
				return 0, false
			}
			a = uint32(binary.BigEndian.Uint16(frame[at:]))
		case opLdIndB:
			at := uint64(x) + uint64(in.k)
			if at >= n {
				return 0, false
			}
			a = uint32(frame[at])
		case opLdIndW:
			at := uint64(x) + uint64(in.k)
			if at+4 > n {
				return 0, false
			}
			a = binary.BigEndian.Uint32(frame[at:])
		case opAnd:
			a &= in.k
		case opJa:
			if in.jt < pc {
				if back++; back > c.backwardJumps*2*(len(frame)+1) {
					return 0, true
				}
			}
			pc = in.jt
		case opLdImm:
			a = in.k
		case opLdxImm:
			x = in.k
		case opLdLen:
			a = wireLen
		case opLdxLen:
			x = wireLen
		case opLdMem:
			a = mem[in.k&(scratchWords-1)]
		case opLdxMem:
			x = mem[in.k&(scratchWords-1)]
		case opSt:
			mem[in.k&(scratchWords-1)] = a
		case opStx:
			mem[in.k&(scratchWords-1)] = x
		case opTax:
			x = a
		case opTxa:
			a = x
		case opJeq | srcX:
			if a == x {
				pc = in.jt
			} else {
				pc = in.jf
			}
		case opJgt | srcX:
			if a > x {
				pc = in.jt
			} else {
				pc = in.jf
			}
		case opJge | srcX:
			if a >= x {
				pc = in.jt
			} else {
				pc = in.jf
			}
		case opJset | srcX:
			if a&x != 0 {
				pc = in.jt
			} else {
				pc = in.jf
			}
		case opRetA:
			return a, false
		case opNeg:
			a = -a
		default: // other arithmetic
			operand := in.k
			if in.op&srcX != 0 {
				operand = x
			}
			var ok bool
			if a, ok = arithmetic(in.op&^srcX, a, operand); !ok {
				return 0, false
			}
		}
	}
}

// arithmetic computes an operation of two operands. ok is false for a division by zero. The
// result of a shift by 32 or more is 0.
func arithmetic(op uint16, a, b uint32) (result uint32, ok bool) {
	switch op {
	case opAdd:
		return a + b, true
	case opSub:
		return a - b, true
	case opMul:
		return a * b, true
	case opDiv:
		if b == 0 {
			return 0, false
		}
		return a / b, true
	case opMod:
		if b == 0 {
			return 0, false
		}
		return a % b, true
	case opAnd:
		return a & b, true
	case opOr:
		return a | b, true
	case opXor:
		return a ^ b, true
	case opLsh:
		return a << b, true
	case opRsh:
		return a >> b, true
	}
	return 0, false
}
