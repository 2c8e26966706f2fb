package pcapfilter_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// A kernelFilter is a pair of sockets with a program attached to the second one. A frame that is
// written to the first one arrives at the second if the program selects it.
type kernelFilter struct{ in, out int }

func newKernelFilter(t *testing.T) kernelFilter {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(pair[0])
		unix.Close(pair[1])
	})
	k := kernelFilter{pair[0], pair[1]}
	jumpsOut := []bpf.RawInstruction{{Op: 0x05, K: 1000}, {Op: 0x06}}
	if err := k.attach(jumpsOut); err == nil {
		t.Skip("this kernel accepts an invalid program: it does not run programs")
	}
	return k
}

func (k kernelFilter) attach(program []bpf.RawInstruction) error {
	filters := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filters[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(k.out, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]})
}

func (k kernelFilter) match(t *testing.T, data []byte) bool {
	t.Helper()
	if _, err := unix.Write(k.in, data); err != nil {
		t.Fatal(err)
	}
	var buf [1]byte
	_, _, err := unix.Recvfrom(k.out, buf[:], 0)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return err == nil
}

// The Linux kernel accepts every program and makes the same decisions as Match. Exceptions are
// loops (protochain) and programs that may read memory which was not set, which the kernel
// refuses, and shifts by more than 31 bits, whose result depends on the processor.
func TestMatchAgreesWithTheKernel(t *testing.T) {
	kernel := newKernelFilter(t)
	frames := makeFrames(200)
	for _, r := range readRecords(t) {
		f, err := pcapfilter.Compile(r.expr, pcapfilter.Options{})
		if err != nil || strings.Contains(r.expr, "protochain") ||
			strings.Contains(r.expr, "len << tcp") || readsUnset(r.expr) {
			continue
		}
		if err := kernel.attach(f.Program()); err != nil {
			t.Errorf("%s: the kernel refuses the program: %v\n%v", r.expr, err, f)
			continue
		}
		for _, fr := range frames {
			if len(fr.data) == 0 {
				continue
			}
			want := kernel.match(t, fr.data)
			if got := f.Match(fr.data, len(fr.data)); got != want {
				t.Errorf("%s: Match returns %v, the kernel %v, for % x", r.expr, got, want, fr.data)
				break
			}
		}
	}
}
