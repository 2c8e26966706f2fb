package syslog_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// newDiskBench is newBench with a buffer on disk.
func newDiskBench(t *testing.T, options string, delay time.Duration) *bench {
	b := newBench(t, options, delay)
	b.set.Buffer, b.options.Dir = 100<<20, t.TempDir()
	return b
}

// numbers are the numbers at the end of the records that have one.
func numbers(t *testing.T, records []string) (all []int) {
	t.Helper()
	for _, r := range records {
		if i := strings.LastIndex(r, "number "); i >= 0 {
			n, err := strconv.Atoi(strings.Fields(r[i:])[1])
			if err != nil {
				t.Fatalf("%q", r)
			}
			all = append(all, n)
		}
	}
	return all
}

// wantRun wants the numbers from first to last, in order.
func wantRun(t *testing.T, got []int, first, last int) {
	t.Helper()
	for i, n := range got {
		if n != first+i {
			t.Fatalf("record %d comes where %d should", n, first+i)
		}
	}
	if len(got) != last-first+1 {
		t.Fatalf("%d records, want those from %d to %d", len(got), first, last)
	}
}

// While the server is away records are on disk, not in memory; then they all come, in
// order, once.
func TestTheServerIsAway(t *testing.T) {
	b := newDiskBench(t, "", 0)
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	b.start()
	const n = 15000
	for i := range n {
		b.push("number %d", i)
	}
	b.toldOf(refusedText)
	b.rule(topology.Rule{})
	b.later("all is sent", func() bool { return b.Stats().Waiting == 0 })
	wantRun(t, numbers(t, b.await(n+3)), 0, n-1)
	if s := b.Stats(); s.Sent != n || s.Resent != 0 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	b.toldOf(refusedText)
}

// A Pusher that is closed while the server is away leaves its queue to the next one.
func TestTheQueueOutlivesThePusher(t *testing.T) {
	b := newDiskBench(t, "", 0)
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	b.start()
	for i := range 100 {
		b.push("number %d", i)
	}
	b.toldOf(refusedText)
	b.stop()
	b.rule(topology.Rule{})
	b.start()
	if s := b.Stats(); s.Waiting+s.Sent != 100 {
		t.Errorf("%+v", s)
	}
	b.push("number 100")
	wantRun(t, numbers(t, b.await(3+101)), 0, 100)
}

// Nothing is lost in memory when a Pusher is closed: not what was pushed last, and not
// what the disk had no room for before.
func TestWhatIsInMemoryOutlivesThePusher(t *testing.T) {
	b := newDiskBench(t, "", 0)
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	var full atomic.Bool
	b.options.Reserve = func(n int64) error {
		if n > 0 && full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	const n = 50
	for i := range n {
		b.start()
		b.push("number %d", i)
		if err := b.Close(ended); err != nil {
			t.Fatal(err)
		}
	}
	full.Store(true)
	b.start()
	b.push("number %d", n)
	b.eventually("the disk is full", func() bool {
		return slices.ContainsFunc(b.told(), func(s string) bool { return strings.HasSuffix(s, "cannot be written") })
	})
	full.Store(false)
	b.stop()

	b.rule(topology.Rule{})
	b.start()
	wantRun(t, numbers(t, b.await(3+n+1)), 0, n)
}

// A queue takes its room once, however often its Pusher is made anew; and one that is
// there is sent although the disk is full.
func TestTheQueuesRoom(t *testing.T) {
	b := newDiskBench(t, "", 0)
	var used atomic.Int64
	var full atomic.Bool
	b.options.Reserve = func(n int64) error {
		if n > 0 && full.Load() {
			return syscall.ENOSPC
		}
		used.Add(n)
		return nil
	}
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	b.start()
	for i := range 100 {
		b.push("number %d", i)
	}
	b.toldOf(refusedText)
	b.stop()
	if n := used.Load(); n != 0 {
		t.Errorf("a Pusher that was closed holds %d bytes", n)
	}
	b.start()
	once := used.Load()
	b.stop()
	b.start()
	if n := used.Load(); once == 0 || n != once {
		t.Errorf("the queue takes %d bytes, and then %d", once, n)
	}
	b.stop()
	full.Store(true)
	b.rule(topology.Rule{})
	b.start()
	b.push("number 100")
	wantRun(t, numbers(t, b.await(3+101)), 0, 100)
	b.stop()
	if n := used.Load(); n != 0 {
		t.Errorf("%d bytes were given back that were not taken", -n)
	}
}

// A record that a crash cut short is not sent.
func TestATornRecordIsRemoved(t *testing.T) {
	b := newDiskBench(t, "", 0)
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	b.start()
	b.push("number 0")
	b.push("number 1")
	b.toldOf(refusedText)
	b.stop()
	files, err := filepath.Glob(filepath.Join(b.options.Dir, "*.queue"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "<22>Jun 25 08:50:03 Mails: Info: number 2 and no")
	f.Close()
	b.rule(topology.Rule{})
	b.start()
	b.push("number 2")
	wantRun(t, numbers(t, b.await(3+3)), 0, 2)
}

// Files of the buffer go when they have been sent.
func TestTheBufferShrinks(t *testing.T) {
	b := newDiskBench(t, "", 0)
	b.start()
	line := strings.Repeat("x", 1000)
	for i := range 8000 {
		b.push("number %d %s", i, line)
		if i%2000 == 1999 {
			b.eventually("it is sent", func() bool { return b.Stats().Waiting == 0 })
		}
	}
	size := int64(0)
	files, _ := filepath.Glob(filepath.Join(b.options.Dir, "*"))
	for _, f := range files {
		if fi, err := os.Stat(f); err == nil {
			size += fi.Size()
		}
	}
	if size > 3<<20 {
		t.Errorf("%d bytes in %d files are left of 8 MB that have been sent", size, len(files))
	}
}

// With the buffer, what the server's TCP had not acknowledged when the connection broke
// is sent again, nothing else is, and the bound of what may be lost is told.
func TestABreakSendsAgainWhatWasNotAcknowledged(t *testing.T) {
	b := newDiskBench(t, "after: 4 records, then: stop-reading, times: 1", 0)
	b.start()
	b.push("number 0")
	b.await(4)
	window := b.watchWindow()
	line := strings.Repeat("x", 900)
	for i := 1; i <= 2000; i++ {
		b.push("number %d %s", i, line)
	}
	window.closes()
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "reset"}) // acts on the next window probe
	b.eventually("it breaks", func() bool { return len(b.told()) > 0 })
	b.rule(topology.Rule{})
	b.later("the queue is sent", func() bool { return b.Stats().Waiting == 0 })
	s := b.Stats()
	if s.Sent != 2001 || s.Resent == 0 || s.Lost != 0 || s.LastInDoubt < 1 {
		t.Errorf("%+v", s)
	}
	// The server had read number 0 only; its TCP had taken more, which nobody has.
	var got []int // what is acknowledged may not have been read yet
	b.eventually("all is there", func() bool {
		got = numbers(t, b.server.Records())
		return got[len(got)-1] == 2000
	})
	if got[0] != 0 {
		t.Fatalf("the first record is %d", got[0])
	}
	gap := got[1] - 1
	wantRun(t, got[1:], gap+1, 2000)
	if gap == 0 || gap >= s.LastInDoubt {
		t.Errorf("%d records are lost, and the bound is %d", gap, s.LastInDoubt)
	}
	b.toldOf(brokenText, fmt.Sprintf("Subscription Mails: The connection to syslog server 10.44.167.30 ended: "+
		"%d messages are sent again; of those before them the last %d may be lost", s.Resent, s.LastInDoubt))
}

// A server that closes in an orderly way and goes on reading has all that was under
// way, and gets nothing twice.
func TestHalfCloseSendsNothingTwice(t *testing.T) {
	b := newDiskBench(t, "after: 500 records, then: half-close, times: 3", 5*time.Millisecond)
	b.start()
	for i := range 5000 {
		b.push("number %d", i)
	}
	b.later("the queue is sent", func() bool { return b.Stats().Waiting == 0 })
	got := numbers(t, b.await(5000))
	b.eventually("all is there", func() bool { got = numbers(t, b.server.Records()); return len(got) >= 5000 })
	wantRun(t, got, 0, 4999)
}

// A full disk is told once, and the server still gets what memory holds, in order.
func TestTheDiskIsFull(t *testing.T) {
	b := newDiskBench(t, "", 0)
	var full atomic.Bool
	b.options.Reserve = func(n int64) error {
		if n > 0 && full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	b.start()
	b.push("number 0")
	b.await(4)
	full.Store(true)
	for i := 1; i <= 100; i++ {
		b.push("number %d", i)
	}
	const text = "Log Error: Subscription Mails: The disk buffer for syslog server 10.44.167.30 cannot be written"
	b.toldOf(text)
	b.await(104)
	full.Store(false)
	for i := 101; i <= 200; i++ {
		b.push("number %d", i)
	}
	b.later("all is sent", func() bool { return b.Stats().Waiting == 0 })
	wantRun(t, numbers(t, b.await(204)), 0, 200)
	b.toldOf(text)
}

// Once there is room again the disk holds what waits, whatever became meanwhile of what
// the sender had taken from memory.
func TestTheDiskIsUsedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		options string
		rule    topology.Rule
	}{
		"the server is away":         {"", topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"}},
		"the server reads no longer": {"after: 4 records, then: stop-reading", topology.Rule{}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newDiskBench(t, c.options, 0)
			b.rule(c.rule)
			var full atomic.Bool
			full.Store(true)
			b.options.Reserve = func(n int64) error {
				if n > 0 && full.Load() {
					return syscall.ENOSPC
				}
				return nil
			}
			window := b.watchWindow()
			b.start()
			b.push("number 0")
			if c.options == "" {
				b.eventually("both are told", func() bool { return len(b.told()) == 2 })
			} else {
				b.await(4)
			}
			line := strings.Repeat("x", 900)
			for i := 1; i <= 1000; i++ {
				b.push("number %d %s", i, line)
			}
			if c.options != "" {
				window.closes()
			}
			full.Store(false)
			b.later("the disk has the last of them", func() bool {
				last := ""
				files, _ := filepath.Glob(filepath.Join(b.options.Dir, "*.queue"))
				if len(files) > 0 {
					text, _ := os.ReadFile(files[len(files)-1])
					last = string(text)
				}
				return strings.HasSuffix(last, "number 1000 "+line+"\n")
			})
			if s := b.Stats(); s.Dropped != 0 || s.Waiting == 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The bound of the buffer on disk holds, and what is dropped is one run.
func TestTheBufferIsBounded(t *testing.T) {
	b := newDiskBench(t, "", 0)
	b.set.Buffer = 1 << 20
	b.rule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	b.start()
	line := strings.Repeat("x", 100)
	for i := range 30000 {
		b.push("number %d %s", i, line)
	}
	s := b.Stats()
	if s.WaitingBytes > 1<<20 || s.Dropped == 0 || s.Waiting+s.Dropped != 30000 {
		t.Errorf("%+v", s)
	}
	b.rule(topology.Rule{})
	b.later("the queue is sent", func() bool { return b.Stats().Waiting == 0 })
	b.push("number %d", 30000)
	got := numbers(t, b.await(3+s.Waiting+2))
	wantRun(t, got[:len(got)-1], 0, s.Waiting-1)
	if got[len(got)-1] != 30000 {
		t.Errorf("the last record is %d", got[len(got)-1])
	}
}

// The variable tells the test's process that it is the one to be killed, and where the
// buffer is.
const victim = "SYSLOG_TEST_VICTIM"

// After a kill the next process goes on: nothing is missing, and what comes twice is one
// batch at most.
func TestAKillSendsOneBatchTwice(t *testing.T) {
	if dir := os.Getenv(victim); dir != "" {
		pushUntilKilled(t, dir)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAKillSendsOneBatchTwice$")
	cmd.Env = append(os.Environ(), victim+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged, last int
	if _, err := fmt.Fscan(out, &acknowledged, &last); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed

	b := newBench(t, "", 0)
	b.set.Buffer, b.options.Dir = 100<<20, dir
	b.start()
	b.push("number %d", victims)
	b.later("the queue is sent", func() bool { return b.Stats().Waiting == 0 && b.server.Total() > 3 })
	got := numbers(t, b.await(3+1+victims-1-acknowledged))
	wantRun(t, got, acknowledged+1, victims)
	if twice := (last - acknowledged) * len("<22>Jun 25 08:50:03 Mails: Info: number 12345\n"); twice <= 0 || twice > 256<<10 {
		t.Errorf("%d bytes came twice", twice)
	}
}

// victims is how many records the process that is killed has.
const victims = 10000

// pushUntilKilled prints the number of the last record that its server has acknowledged, and of
// the last that it got, once acknowledgements are lost on their way.
func pushUntilKilled(t *testing.T, dir string) {
	b := newBench(t, "", 0)
	b.set.Buffer, b.options.Dir = 100<<20, dir
	b.start()
	for i := range victims / 2 {
		b.push("number %d", i)
	}
	b.eventually("half of it is sent", func() bool { return b.Stats().Waiting == 0 })
	b.rule(topology.Rule{Action: "drop", From: netip.MustParsePrefix("10.44.167.30/32")})
	for i := victims / 2; i < victims; i++ {
		b.push("number %d", i)
	}
	b.eventually("the server has more than it could acknowledge", func() bool { return b.server.Total() > 3+victims/2 })
	b.eventually("all is on disk", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*.queue"))
		last, _ := os.ReadFile(files[len(files)-1])
		return strings.HasSuffix(string(last), fmt.Sprintf("number %d\n", victims-1))
	})
	got := numbers(t, b.server.Records())
	fmt.Println(victims/2-1, got[len(got)-1])
	select {}
}
