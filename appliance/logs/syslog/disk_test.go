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

// newDiskHarness is newHarness with a buffer on disk.
func newDiskHarness(t *testing.T, options string, delay time.Duration) *harness {
	h := newHarness(t, options, delay)
	h.settings.Buffer, h.options.Dir = 100<<20, t.TempDir()
	return h
}

// numbers returns the numbers in the texts "number N" of the records that have one.
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

// wantRun checks that got is the numbers from first to last, in order.
func wantRun(t *testing.T, got []int, first, last int) {
	t.Helper()
	for i, n := range got {
		if n != first+i {
			t.Fatalf("got record %d, want %d", n, first+i)
		}
	}
	if len(got) != last-first+1 {
		t.Fatalf("%d records, want those from %d to %d", len(got), first, last)
	}
}

// While the server is away, records wait on disk, not in memory. Then all arrive, in order,
// once.
func TestRecordsWaitOnDiskWhileServerIsAway(t *testing.T) {
	h := newDiskHarness(t, "", 0)
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	h.start()
	const n = 15000
	for i := range n {
		h.push("number %d", i)
	}
	h.wantEvents(refusedText)
	h.setRule(topology.Rule{})
	h.advanceUntil("all records are sent", func() bool { return h.Stats().Waiting == 0 })
	wantRun(t, numbers(t, h.waitRecords(n+3)), 0, n-1)
	if s := h.Stats(); s.Sent != n || s.Resent != 0 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	h.wantEvents(refusedText)
}

// A pusher that is closed while the server is away leaves its queue to the next one.
func TestQueueSurvivesClose(t *testing.T) {
	h := newDiskHarness(t, "", 0)
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	h.start()
	for i := range 100 {
		h.push("number %d", i)
	}
	h.wantEvents(refusedText)
	h.stop()
	h.setRule(topology.Rule{})
	h.start()
	if s := h.Stats(); s.Waiting+s.Sent != 100 {
		t.Errorf("%+v", s)
	}
	h.push("number 100")
	wantRun(t, numbers(t, h.waitRecords(3+101)), 0, 100)
}

// No record in memory is lost when a pusher is closed: neither those that were pushed last, nor
// those that the disk had no room for before.
func TestRecordsInMemorySurviveClose(t *testing.T) {
	h := newDiskHarness(t, "", 0)
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	var full atomic.Bool
	h.options.Reserve = func(n int64) error {
		if n > 0 && full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	const n = 50
	for i := range n {
		h.start()
		h.push("number %d", i)
		if err := h.Close(ended); err != nil {
			t.Fatal(err)
		}
	}
	full.Store(true)
	h.start()
	h.push("number %d", n)
	h.eventually("the disk is full", func() bool {
		return slices.ContainsFunc(h.eventTexts(),
			func(s string) bool { return strings.HasSuffix(s, "cannot be written") })
	})
	full.Store(false)
	h.stop()

	h.setRule(topology.Rule{})
	h.start()
	wantRun(t, numbers(t, h.waitRecords(3+n+1)), 0, n)
}

// A queue reserves its room once, however often its pusher is replaced. A queue that exists is
// sent even if the disk is full.
func TestQueueReservesRoomOnce(t *testing.T) {
	h := newDiskHarness(t, "", 0)
	var used atomic.Int64
	var full atomic.Bool
	h.options.Reserve = func(n int64) error {
		if n > 0 && full.Load() {
			return syscall.ENOSPC
		}
		used.Add(n)
		return nil
	}
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	h.start()
	for i := range 100 {
		h.push("number %d", i)
	}
	h.wantEvents(refusedText)
	h.stop()
	if n := used.Load(); n != 0 {
		t.Errorf("a Pusher that was closed reserves %d bytes", n)
	}
	h.start()
	once := used.Load()
	h.stop()
	h.start()
	if n := used.Load(); once == 0 || n != once {
		t.Errorf("the queue reserves %d bytes, and then %d", once, n)
	}
	h.stop()
	full.Store(true)
	h.setRule(topology.Rule{})
	h.start()
	h.push("number 100")
	wantRun(t, numbers(t, h.waitRecords(3+101)), 0, 100)
	h.stop()
	if n := used.Load(); n != 0 {
		t.Errorf("%d bytes were returned that were not reserved", -n)
	}
}

// A record that a crash cut short is not sent.
func TestTornRecordIsRemoved(t *testing.T) {
	h := newDiskHarness(t, "", 0)
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	h.start()
	h.push("number 0")
	h.push("number 1")
	h.wantEvents(refusedText)
	h.stop()
	files, err := filepath.Glob(filepath.Join(h.options.Dir, "*.queue"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "<22>Jun 25 08:50:03 Mails: Info: number 2 and no")
	f.Close()
	h.setRule(topology.Rule{})
	h.start()
	h.push("number 2")
	wantRun(t, numbers(t, h.waitRecords(3+3)), 0, 2)
}

// Files of the buffer are removed when their records have been sent.
func TestSentFilesAreRemoved(t *testing.T) {
	h := newDiskHarness(t, "", 0)
	h.start()
	line := strings.Repeat("x", 1000)
	for i := range 8000 {
		h.push("number %d %s", i, line)
		if i%2000 == 1999 {
			h.eventually("all records are sent", func() bool { return h.Stats().Waiting == 0 })
		}
	}
	size := int64(0)
	files, _ := filepath.Glob(filepath.Join(h.options.Dir, "*"))
	for _, f := range files {
		if fi, err := os.Stat(f); err == nil {
			size += fi.Size()
		}
	}
	if size > 3<<20 {
		t.Errorf("%d bytes in %d files are left of 8 MB that were sent", size, len(files))
	}
}

// With the buffer, the records that the server's TCP had not acknowledged when the connection
// broke are sent again, and no others. The bound of records that may be lost is reported.
func TestBreakResendsUnacknowledgedRecords(t *testing.T) {
	h := newDiskHarness(t, "after: 4 records, then: stop-reading, times: 1", 0)
	h.start()
	h.push("number 0")
	h.waitRecords(4)
	window := h.watchWindow()
	line := strings.Repeat("x", 900)
	for i := 1; i <= 2000; i++ {
		h.push("number %d %s", i, line)
	}
	window.waitClosed()
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "reset"}) // applies to the next window probe
	h.eventually("the connection breaks", func() bool { return len(h.eventTexts()) > 0 })
	h.setRule(topology.Rule{})
	h.advanceUntil("the queue is sent", func() bool { return h.Stats().Waiting == 0 })
	s := h.Stats()
	if s.Sent != 2001 || s.Resent == 0 || s.Lost != 0 || s.LastInDoubt < 1 {
		t.Errorf("%+v", s)
	}
	// The server had read number 0 only. Its TCP had acknowledged more, which is lost.
	var got []int // the last acknowledged records may not have been read yet
	h.eventually("the last record has arrived", func() bool {
		got = numbers(t, h.server.Records())
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
	h.wantEvents(brokenText,
		fmt.Sprintf("Subscription Mails: The connection to syslog server 10.44.167.30 ended: "+
			"%d messages are sent again; of those before them the last %d may be lost",
			s.Resent, s.LastInDoubt))
}

// A server that sends a FIN and keeps reading gets all records in flight, and none twice.
func TestHalfCloseResendsNothing(t *testing.T) {
	h := newDiskHarness(t, "after: 500 records, then: half-close, times: 3", 5*time.Millisecond)
	h.start()
	for i := range 5000 {
		h.push("number %d", i)
	}
	h.advanceUntil("the queue is sent", func() bool { return h.Stats().Waiting == 0 })
	got := numbers(t, h.waitRecords(5000))
	h.eventually("all records have arrived", func() bool {
		got = numbers(t, h.server.Records())
		return len(got) >= 5000
	})
	wantRun(t, got, 0, 4999)
}

// A full disk is reported once, and the server still gets the records in memory, in order.
func TestFullDiskIsReportedOnce(t *testing.T) {
	h := newDiskHarness(t, "", 0)
	var full atomic.Bool
	h.options.Reserve = func(n int64) error {
		if n > 0 && full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	h.start()
	h.push("number 0")
	h.waitRecords(4)
	full.Store(true)
	for i := 1; i <= 100; i++ {
		h.push("number %d", i)
	}
	const text = "Log Error: Subscription Mails: The disk buffer for syslog server 10.44.167.30 cannot be written"
	h.wantEvents(text)
	h.waitRecords(104)
	full.Store(false)
	for i := 101; i <= 200; i++ {
		h.push("number %d", i)
	}
	h.advanceUntil("all records are sent", func() bool { return h.Stats().Waiting == 0 })
	wantRun(t, numbers(t, h.waitRecords(204)), 0, 200)
	h.wantEvents(text)
}

// When the disk has room again, it holds the records that wait, whatever has happened to those
// that the sender had taken from memory.
func TestSpoolIsUsedAgainAfterFullDisk(t *testing.T) {
	for name, c := range map[string]struct {
		options string
		rule    topology.Rule
	}{
		"the server is away":       {"", topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"}},
		"the server stops reading": {"after: 4 records, then: stop-reading", topology.Rule{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newDiskHarness(t, c.options, 0)
			h.setRule(c.rule)
			var full atomic.Bool
			full.Store(true)
			h.options.Reserve = func(n int64) error {
				if n > 0 && full.Load() {
					return syscall.ENOSPC
				}
				return nil
			}
			window := h.watchWindow()
			h.start()
			h.push("number 0")
			if c.options == "" {
				h.eventually("both errors are reported",
					func() bool { return len(h.eventTexts()) == 2 })
			} else {
				h.waitRecords(4)
			}
			line := strings.Repeat("x", 900)
			for i := 1; i <= 1000; i++ {
				h.push("number %d %s", i, line)
			}
			if c.options != "" {
				window.waitClosed()
			}
			full.Store(false)
			h.advanceUntil("the last record is on disk", func() bool {
				last := ""
				files, _ := filepath.Glob(filepath.Join(h.options.Dir, "*.queue"))
				if len(files) > 0 {
					text, _ := os.ReadFile(files[len(files)-1])
					last = string(text)
				}
				return strings.HasSuffix(last, "number 1000 "+line+"\n")
			})
			if s := h.Stats(); s.Dropped != 0 || s.Waiting == 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The limit of the buffer on disk holds, and the dropped records are one run.
func TestBufferIsBounded(t *testing.T) {
	h := newDiskHarness(t, "", 0)
	h.settings.Buffer = 1 << 20
	h.setRule(topology.Rule{Protocol: "tcp", Port: 514, Action: "refuse"})
	h.start()
	line := strings.Repeat("x", 100)
	for i := range 30000 {
		h.push("number %d %s", i, line)
	}
	s := h.Stats()
	if s.WaitingBytes > 1<<20 || s.Dropped == 0 || s.Waiting+s.Dropped != 30000 {
		t.Errorf("%+v", s)
	}
	h.setRule(topology.Rule{})
	h.advanceUntil("the queue is sent", func() bool { return h.Stats().Waiting == 0 })
	h.push("number %d", 30000)
	got := numbers(t, h.waitRecords(3+s.Waiting+2))
	wantRun(t, got[:len(got)-1], 0, s.Waiting-1)
	if got[len(got)-1] != 30000 {
		t.Errorf("the last record is %d", got[len(got)-1])
	}
}

// childVariable is set in the environment of the process that is to be killed. Its value is the
// directory of the buffer.
const childVariable = "SYSLOG_TEST_VICTIM"

// After a kill, the next process continues: no record is missing, and at most one batch is sent
// twice.
func TestKillResendsAtMostOneBatch(t *testing.T) {
	if dir := os.Getenv(childVariable); dir != "" {
		pushUntilKilled(t, dir)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
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
	_ = cmd.Wait() // its error is that it was killed

	h := newHarness(t, "", 0)
	h.settings.Buffer, h.options.Dir = 100<<20, dir
	h.start()
	h.push("number %d", childRecords)
	h.advanceUntil("the queue is sent", func() bool {
		return h.Stats().Waiting == 0 &&
			h.server.Total() > 3
	})
	got := numbers(t, h.waitRecords(3+1+childRecords-1-acknowledged))
	wantRun(t, got, acknowledged+1, childRecords)
	if twice := (last - acknowledged) * len("<22>Jun 25 08:50:03 Mails: Info: number 12345\n"); twice <= 0 || twice > 256<<10 {
		t.Errorf("%d bytes were sent twice", twice)
	}
}

// childRecords is how many records the process that is killed pushes.
const childRecords = 10000

// pushUntilKilled makes acknowledgements get lost on their way, prints the number of the last
// record that its server has acknowledged and the number of the last that the server got, and
// waits.
func pushUntilKilled(t *testing.T, dir string) {
	h := newHarness(t, "", 0)
	h.settings.Buffer, h.options.Dir = 100<<20, dir
	h.start()
	for i := range childRecords / 2 {
		h.push("number %d", i)
	}
	h.eventually("half of the records are sent", func() bool { return h.Stats().Waiting == 0 })
	h.setRule(topology.Rule{Action: "drop", From: netip.MustParsePrefix("10.44.167.30/32")})
	for i := childRecords / 2; i < childRecords; i++ {
		h.push("number %d", i)
	}
	h.eventually("the server has more than it could acknowledge",
		func() bool { return h.server.Total() > 3+childRecords/2 })
	h.eventually("all records are on disk", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*.queue"))
		last, _ := os.ReadFile(files[len(files)-1])
		return strings.HasSuffix(string(last), fmt.Sprintf("number %d\n", childRecords-1))
	})
	got := numbers(t, h.server.Records())
	fmt.Println(childRecords/2-1, got[len(got)-1])
	select {}
}
