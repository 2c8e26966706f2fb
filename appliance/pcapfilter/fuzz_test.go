package pcapfilter_test

import (
	"errors"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// seeds are the filters of filters.txt.
func seeds(f *testing.F) (exprs []string) {
	for _, r := range readRecords(f) {
		exprs = append(exprs, r.expr)
	}
	return exprs
}

// Any text compiles or is refused, with a place inside it, before the fuzzer loses
// patience; and a program that comes out is one that a machine can run: its jumps stay inside and
// its scratch memory has 16 words.
func FuzzCompile(f *testing.F) {
	for _, expr := range seeds(f) {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		filter, err := pcapfilter.Compile(expr, pcapfilter.Options{})
		if err != nil {
			var bad *pcapfilter.SyntaxError
			if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > len(expr) || bad.Expr != expr {
				t.Errorf("error %#v does not tell the place", err)
			}
			bad.Caret()
			return
		}
		checkProgram(t, filter.Program())
		for _, frame := range fuzzFrames {
			filter.Match(frame.data, frame.wireLen)
		}
	})
}

// Any program ends on any frame, and decides as another machine does: that of
// x/net/bpf, where it can (it has no loops, and takes len from the bytes).
func FuzzMatch(f *testing.F) {
	exprs := seeds(f)
	for i, fr := range makeFrames(len(exprs)) {
		f.Add(exprs[i], fr.data, uint16(fr.wireLen))
	}
	f.Fuzz(func(t *testing.T, expr string, data []byte, wire uint16) {
		filter, err := pcapfilter.Compile(expr, pcapfilter.Options{})
		if err != nil {
			return
		}
		filter.Match(data, int(wire))
		got := filter.Match(data, len(data))
		if vm := netBPFMachine(filter.Program()); vm != nil {
			if n, err := vm.Run(data); err == nil && (n != 0) != got {
				t.Errorf("%q: Match is %v, x/net/bpf returns %d on % x", expr, got, n, data)
			}
		}
	})
}

var fuzzFrames = makeFrames(50)

// otherMachine returns x/net/bpf's machine for a program; nil if it cannot run it.
func netBPFMachine(program []bpf.RawInstruction) *bpf.VM {
	instructions, ok := bpf.Disassemble(program)
	if !ok {
		return nil
	}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		return nil
	}
	return vm
}

// checkProgram fails if a program could leave itself or its memory.
func checkProgram(t *testing.T, program []bpf.RawInstruction) {
	t.Helper()
	inside := func(i int) bool { return i >= 0 && i < len(program) }
	for i, in := range program {
		class, ok := in.Op&0x07, true
		switch {
		case in.Op == 0x05:
			ok = inside(i + 1 + int(int32(in.K)))
		case class == 5:
			ok = inside(i+1+int(in.Jt)) && inside(i+1+int(in.Jf))
		case class == 2, class == 3, class <= 1 && in.Op&0xe0 == 0x60:
			ok = in.K < 16
		case in.Op == 0x34, in.Op == 0x94: // division by a constant
			ok = in.K != 0
		}
		if !ok {
			t.Errorf("instruction %d is invalid: %+v", i, in)
		}
	}
	if len(program) == 0 || program[len(program)-1].Op&0x07 != 6 {
		t.Error("the program does not end with a return")
	}
}
