package pcapfilter

// This file implements value numbering: computations with the same result get the same number.

// A valueNumber is the number of a value. unknown is equal to no value, not even to unknown.
type valueNumber int32

const unknown valueNumber = 0

// An origin is the computation of a value: an operation and its operands, each of which is a
// constant or the number of a value.
type origin struct {
	op     uint16
	v0, v1 uint32
}

// values assigns the numbers of one pass over the graph.
type values struct {
	origins []origin      // by number; the origin of unknown is empty
	next    []valueNumber // by number: the next one in the same bucket
	buckets [256]valueNumber
}

func (v *values) reset() {
	v.origins = append(v.origins[:0], origin{})
	v.next = append(v.next[:0], unknown)
	clear(v.buckets[:])
}

// numberOf returns the number of a computation's result.
func (v *values) numberOf(op uint16, v0, v1 uint32) valueNumber {
	o := origin{op, v0, v1}
	bucket := &v.buckets[(uint32(op)+v0*31+v1*131)%uint32(len(v.buckets))]
	for n := *bucket; n != unknown; n = v.next[n] {
		if v.origins[n] == o {
			return n
		}
	}
	n := valueNumber(len(v.origins))
	v.origins = append(v.origins, o)
	v.next = append(v.next, *bucket)
	*bucket = n
	return n
}

// numberOfConstant returns the number of a constant.
func (v *values) numberOfConstant(k uint32) valueNumber { return v.numberOf(opLdImm, k, 0) }

// constant reports whether a number is that of a constant, and returns the constant.
func (v *values) constant(n valueNumber) (uint32, bool) {
	o := &v.origins[n]
	return o.v0, o.op == opLdImm && n != unknown
}

// assign records that a statement sets an atom, whose current value is held, to v. If rewrite is
// set and the atom has that value already, the statement is removed.
func (o *optimizer) assign(s *stmt, held *valueNumber, v valueNumber, rewrite bool) {
	if rewrite && v != unknown && *held == v {
		s.op = opNone
	} else {
		*held = v
	}
}

// evaluate applies a statement to the values of the atoms. If rewrite is set, it also replaces
// the statement by a simpler one if the values allow it.
func (o *optimizer) evaluate(s *stmt, held *[atoms]valueNumber, rewrite bool) {
	v := &o.values
	a, x := &held[atomA], &held[atomX]
	switch s.op {
	case opLdW, opLdH, opLdB, opLdLen:
		k := s.k
		if s.op == opLdLen {
			k = 0
		}
		o.assign(s, a, v.numberOf(s.op, k, 0), rewrite)
	case opLdIndW, opLdIndH, opLdIndB:
		if k, ok := v.constant(*x); ok && rewrite {
			s.op = s.op&^modeMask | modeAbs
			s.k += k
			o.noteChange()
			o.assign(s, a, v.numberOf(s.op, s.k, 0), rewrite)
			return
		}
		o.assign(s, a, v.numberOf(s.op, s.k, uint32(*x)), rewrite)
	case opLdImm:
		o.assign(s, a, v.numberOfConstant(s.k), rewrite)
	case opLdxImm:
		o.assign(s, x, v.numberOfConstant(s.k), rewrite)
	case opLdxMsh:
		o.assign(s, x, v.numberOf(s.op, s.k, 0), rewrite)
	case opLdMem, opLdxMem:
		to := a
		if s.op == opLdxMem {
			to = x
		}
		n := held[s.k]
		if k, ok := v.constant(n); ok && rewrite {
			s.op = s.op&classMask | modeImm
			s.k = k
			o.noteChange()
		}
		o.assign(s, to, n, rewrite)
	case opSt:
		o.assign(s, &held[s.k], *a, rewrite)
	case opStx:
		o.assign(s, &held[s.k], *x, rewrite)
	case opTax:
		o.assign(s, x, *a, rewrite)
	case opTxa:
		o.assign(s, a, *x, rewrite)
	case opNeg:
		if k, ok := v.constant(*a); ok && rewrite {
			s.op, s.k = opLdImm, -k
			*a = v.numberOfConstant(s.k)
			return
		}
		*a = v.numberOf(s.op, uint32(*a), 0)
	default:
		switch {
		case s.op&classMask != classAlu:
		case s.op&srcX != 0:
			o.evaluateX(s, held, rewrite)
		default:
			o.evaluateK(s, held, rewrite)
		}
	}
}

// evaluateK is evaluate for an operation with a constant operand.
func (o *optimizer) evaluateK(s *stmt, held *[atoms]valueNumber, rewrite bool) {
	v := &o.values
	a := &held[atomA]
	if rewrite {
		if s.k == 0 {
			switch s.op {
			case opAdd, opLsh, opRsh, opOr, opXor: // not opSub: see simplifyTest
				s.op = opNone
				return
			case opMul, opAnd:
				s.op = opLdImm
				*a = v.numberOfConstant(0)
				return
			case opDiv, opMod:
				o.fold(s, s.op, 1, 0)
			}
		}
		if k, ok := v.constant(*a); ok {
			o.fold(s, s.op, k, s.k)
			*a = v.numberOfConstant(s.k)
			return
		}
	}
	*a = v.numberOf(s.op, uint32(*a), uint32(v.numberOfConstant(s.k)))
}

// evaluateX is evaluate for an operation with the operand X.
func (o *optimizer) evaluateX(s *stmt, held *[atoms]valueNumber, rewrite bool) {
	v := &o.values
	a, x := &held[atomA], held[atomX]
	op := s.op &^ srcX
	if kx, ok := v.constant(x); ok && rewrite {
		if ka, ok := v.constant(*a); ok {
			o.fold(s, op, ka, kx)
			*a = v.numberOfConstant(s.k)
			return
		}
		s.op, s.k = op, kx
		if (op == opLsh || op == opRsh) && kx > 31 {
			o.fail("shift by more than 31 bits")
		}
		o.noteChange()
		*a = v.numberOf(s.op, uint32(*a), uint32(v.numberOfConstant(s.k)))
		return
	}
	if ka, ok := v.constant(*a); ok && rewrite && ka == 0 {
		switch op {
		case opAdd, opOr, opXor:
			s.op = opTxa
			o.assign(s, a, x, rewrite)
			return
		case opMul, opDiv, opMod, opAnd, opLsh, opRsh:
			s.op, s.k = opLdImm, 0
			o.assign(s, a, v.numberOfConstant(0), rewrite)
			return
		}
	}
	*a = v.numberOf(s.op, uint32(*a), uint32(x))
}

// fold replaces a statement by a load of its result.
func (o *optimizer) fold(s *stmt, op uint16, a, b uint32) {
	result, ok := arithmetic(op, a, b)
	switch {
	case !ok && op == opDiv:
		o.fail("division by zero")
	case !ok:
		o.fail("modulus by zero")
	}
	s.op, s.k = opLdImm, result
	o.noteChange()
}
