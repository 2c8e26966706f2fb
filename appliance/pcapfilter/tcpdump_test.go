package pcapfilter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/pcapfilter"
	"github.com/esasim/esasim/appliance/tooltest"
)

// libpcapVersion is the version whose behavior the package has.
const libpcapVersion = "libpcap version 1.10.3"

// A tcpdump runs the real tcpdump on a file of frames.
type tcpdump struct {
	path   string
	file   string
	frames int
}

// requireTcpdump finds tcpdump of the required version and writes the frames to a file for it.
// The test is skipped if there is none.
func requireTcpdump(t *testing.T, frames []frame) *tcpdump {
	t.Helper()
	path := tooltest.Path(t, "tcpdump")
	version, err := exec.Command(path, "--version").CombinedOutput()
	if err != nil || !bytes.Contains(version, []byte(libpcapVersion)) {
		tooltest.SkipOrFail(t, "needs tcpdump with %s, have %s (%v)", libpcapVersion, version, err)
	}
	for _, table := range []string{"/etc/services", "/etc/protocols"} {
		if _, err := os.Stat(table); err != nil {
			tooltest.SkipOrFail(t, "needs the names in %s (Debian package netbase), as tcpdump does: %v",
				table, err)
		}
	}
	file := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(file, pcapFile(frames), 0o666); err != nil {
		t.Fatal(err)
	}
	return &tcpdump{path, file, len(frames)}
}

// pcapFile returns a capture of the frames. The time of a frame is its number.
func pcapFile(frames []frame) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint32(b, 2|4<<16)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(b, pcapfilter.DefaultSnapLen)
	b = le.AppendUint32(b, 1) // Ethernet
	for i, f := range frames {
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, uint32(i))
		b = le.AppendUint32(b, uint32(len(f.data)))
		b = le.AppendUint32(b, uint32(f.wireLen))
		b = append(b, f.data...)
	}
	return b
}

// run runs tcpdump on the file and returns its output. If tcpdump fails, the error is its message.
func (d *tcpdump) run(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.path, append([]string{"-n", "-r", d.file}, args...)...)
	cmd.Env = append(os.Environ(), "RES_OPTIONS=timeout:1 attempts:1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.Bytes(), nil
	}
	for line := range strings.Lines(stderr.String()) {
		if message, ok := strings.CutPrefix(line, "tcpdump: "); ok {
			message = strings.TrimSpace(message)
			message = strings.TrimPrefix(message, "can't parse filter expression: ")
			return nil, errors.New(message)
		}
	}
	return nil, fmt.Errorf("%w: %s", err, stderr.String())
}

// program returns the output of "tcpdump -d".
func (d *tcpdump) program(expr string) (string, error) {
	out, err := d.run("-d", "--", expr)
	return string(out), err
}

// selects returns, for each frame, whether tcpdump selects it.
func (d *tcpdump) selects(expr string) ([]bool, error) {
	out, err := d.run("-w", "-", "--", expr)
	if err != nil {
		return nil, err
	}
	selected := make([]bool, d.frames)
	le := binary.LittleEndian
	for out = out[24:]; len(out) > 0; {
		selected[le.Uint32(out[4:])] = true
		out = out[16+le.Uint32(out[8:]):]
	}
	return selected, nil
}

// A verdict is the result of a filter: an error, or its program and the frames that it selects.
type verdict struct {
	Error    string
	Program  string
	Selected []bool
}

func (v verdict) equal(w verdict) bool {
	return v.Error == w.Error && v.Program == w.Program && slices.Equal(v.Selected, w.Selected)
}

func (d *tcpdump) verdict(expr string) verdict {
	program, err := d.program(expr)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	selected, err := d.selects(expr)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	return verdict{Program: program, Selected: selected}
}

// ourVerdict returns the verdict of the package.
func ourVerdict(expr string, frames []frame) verdict {
	f, err := pcapfilter.Compile(expr, pcapfilter.Options{})
	if err != nil {
		return verdict{Error: err.Error()}
	}
	selected := make([]bool, len(frames))
	for i, fr := range frames {
		selected[i] = f.Match(fr.data, fr.wireLen)
	}
	return verdict{Program: f.String(), Selected: selected}
}

// Every filter of filters.txt and many random ones are refused with tcpdump's message, or are
// compiled to tcpdump's program and select the same frames as tcpdump.
func TestMatchAgreesWithTcpdump(t *testing.T) {
	frames := makeFrames(frameCount)
	real := requireTcpdump(t, frames)
	var exprs []string
	for _, r := range readRecords(t) {
		exprs = append(exprs, r.expr)
	}
	d := randomSource(2)
	for range 300 {
		exprs = append(exprs, randomFilter(&d))
	}
	for range 100 {
		exprs = append(exprs, randomChain(&d, 2))
	}
	compare(t, exprs, func(expr string) (want, got verdict) {
		want, got = real.verdict(expr), ourVerdict(expr, frames)
		if readsUnset(expr) {
			want.Selected, got.Selected = nil, nil
		}
		return want, got
	})
}

// All qualifiers with all protocols, and more random filters, are refused with tcpdump's message
// or compiled to tcpdump's program.
func TestCompileAgreesWithTcpdump(t *testing.T) {
	real := requireTcpdump(t, nil)
	exprs := qualifierMatrix()
	d := randomSource(3)
	for range 500 {
		exprs = append(exprs, randomFilter(&d), randomChain(&d, 3))
	}
	compare(t, exprs, func(expr string) (want, got verdict) {
		program, err := real.program(expr)
		want.Program = program
		if err != nil {
			want.Error = err.Error()
		}
		return want, ourVerdict(expr, nil)
	})
}

// compare reports the expressions for which verdicts returns two different verdicts.
func compare(t *testing.T, exprs []string, verdicts func(expr string) (want, got verdict)) {
	t.Helper()
	var refused, differ int
	var mu sync.Mutex
	runParallel(exprs, func(expr string) {
		want, got := verdicts(expr)
		mu.Lock()
		defer mu.Unlock()
		if want.Error != "" {
			refused++
		}
		if !want.equal(got) {
			differ++
			t.Errorf("%s: -tcpdump +ours\n%s", expr, cmp.Diff(want, got))
		}
	})
	t.Logf("%d filters, %d of them refused: %d differ", len(exprs), refused, differ)
}

// readsUnset reports whether the filter's program may read a word of memory that it has not set:
// for example when the rest of an expression tests the inner packet of Geneve although the
// frame has none. The word is 0 in this package; in libpcap it has the value of the previous
// frame.
func readsUnset(expr string) bool {
	f, err := pcapfilter.Compile(expr, pcapfilter.Options{})
	if err != nil {
		return false
	}
	program := f.Program()
	set := make([]uint16, len(program)+1) // words that are set on every path to an instruction
	for i := range set[1:] {
		set[i+1] = ^uint16(0)
	}
	for i, in := range program {
		after := set[i]
		class := in.Op & 0x07
		switch {
		case class <= 1 && in.Op&0xe0 == 0x60 && after>>in.K&1 == 0:
			return true
		case class == 2 || class == 3:
			after |= 1 << in.K
		}
		switch {
		case class == 6:
		case in.Op == 0x05:
			if to := i + 1 + int(int32(in.K)); to > i {
				set[to] &= after
			}
		case class == 5:
			set[i+1+int(in.Jt)] &= after
			set[i+1+int(in.Jf)] &= after
		default:
			set[i+1] &= after
		}
	}
	return false
}

// runParallel calls f for every expression, on several goroutines.
func runParallel(exprs []string, f func(expr string)) {
	next := make(chan string)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for expr := range next {
				f(expr)
			}
		})
	}
	for _, expr := range exprs {
		next <- expr
	}
	close(next)
	workers.Wait()
}

// qualifierMatrix returns expressions with every protocol in every position of a protocol.
func qualifierMatrix() (exprs []string) {
	protocols := strings.Fields(`ip ip6 arp rarp ether fddi tr wlan ppp slip link sctp tcp udp icmp
		icmp6 igmp igrp pim vrrp carp ah esp atalk aarp decnet lat sca moprc mopdl iso esis isis
		clnp stp ipx netbeui l1 l2 iih lsp snp csnp psnp radio`)
	forms := []string{
		"%s", "%s host 10.1.1.1", "%s src host 2001:db8::1", "%s net 10.1.0.0/16",
		"%s dst net 2001:db8::/32",
		"%s proto 17", "%s proto \\tcp", "%s protochain 17", "%s protochain \\udp", "%s[1] = 1",
		"%s[2:2] > 80",
		"%s port 80", "%s dst portrange 20-80", "%s broadcast", "%s multicast", "%s src 2:0:0:0:0:1",
		"%s gateway foo", "vlan and %s", "mpls and %s", "pppoes and %s", "geneve and %s",
		"not %s[0] & 1 = 0",
	}
	for _, form := range forms {
		for _, p := range protocols {
			exprs = append(exprs, fmt.Sprintf(form, p))
		}
	}
	return exprs
}
