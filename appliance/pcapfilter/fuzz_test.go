package pcapfilter_test

import (
	"errors"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// seeds returns the filters of filters.txt.
func seeds(f *testing.F) (exprs []string) {
	for _, r := range readRecords(f) {
		exprs = append(exprs, r.expr)
	}
	return exprs
}

// FuzzCompile checks that any text is compiled, or refused with a position in the text, before
// the fuzzer's timeout. A program must be valid: its jumps lead to its own instructions and it
// uses 16 words of scratch memory.
func FuzzCompile(f *testing.F) {
	for _, expr := range seeds(f) {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		filter, err := pcapfilter.Compile(expr, pcapfilter.Options{})
		if err != nil {
			var bad *pcapfilter.SyntaxError
			if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > len(expr) || bad.Expr != expr {
				t.Errorf("error %#v has no valid position", err)
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

// FuzzMatch checks that any program ends for any frame, and that the machine of x/net/bpf makes
// the same decision. That machine does not support loops, and takes "len" from the captured
// bytes.
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

// netBPFMachine returns a machine of x/net/bpf for a program, or nil if it cannot run the
// program.
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

// checkProgram reports an error if a program is not valid.
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
