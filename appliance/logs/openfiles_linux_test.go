package logs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/logs"
)

// severalLogs returns subscriptions of mail logs, and their names.
func severalLogs(n int) (list []logs.Subscription, names []string) {
	for i := range n {
		s := mailLogs()
		s.Name = fmt.Sprint("log", i)
		list, names = append(list, s), append(names, s.Name)
	}
	return list, names
}

// openLogs returns the names of the logs in the file area dir whose files this process has open, and
// the process's highest descriptor.
func openLogs(t *testing.T, dir string) (names []string, highest int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not show the descriptors of a process:", err)
	}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			highest = max(highest, n)
		}
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && strings.HasPrefix(target, dir) && strings.HasSuffix(target, ".c") {
			names = append(names, filepath.Base(filepath.Dir(target)))
		}
	}
	return names, highest
}

// The files of all hubs that share an OpenFiles stay open for a second, within the limit.
func TestOpenFiles(t *testing.T) {
	fake := clock.NewFake(startTime)
	open := logs.NewOpenFiles(3, fake)
	defer open.Close()
	list, names := severalLogs(4)
	share := func(o *logs.Options) { o.OpenFiles = open }
	a := newHarness(t, 0, share, list...)
	b := newHarness(t, 0, share, list...)
	now := func() int {
		inA, _ := openLogs(t, a.dir)
		inB, _ := openLogs(t, b.dir)
		return len(inA) + len(inB)
	}
	write := func(h *harness) {
		h.WriteNow(logs.Entry{Type: logs.Mail, Level: logs.Information, Text: "one"})
	}
	write(a)
	write(b)
	if n := now(); n != 3 {
		t.Errorf("%d files are open, the limit is 3", n)
	}
	fake.Advance(900 * time.Millisecond)
	write(b) // all four: the other file of a makes room
	fake.Advance(900 * time.Millisecond)
	if n := now(); n != 3 {
		t.Errorf("%d files are open, 3 were idle for less than a second", n)
	}
	fake.Advance(time.Second)
	if n := now(); n != 0 {
		t.Errorf("%d files are open after a second", n)
	}

	write(a)
	if err := a.RollOver(t.Context(), names...); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := now(); n != 0 {
		t.Errorf("%d files are open after the end of their hub", n)
	}
}

// Logs that write at the same moment have no more files open than the limit allows to be in use and
// to be idle.
func TestFilesInUseAreBounded(t *testing.T) {
	const limit, lines = 2, 500
	open := logs.NewOpenFiles(limit, clock.NewFake(startTime))
	defer open.Close()
	list, names := severalLogs(32)
	h := newHarness(t, 0, func(o *logs.Options) { o.OpenFiles = open }, list...)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for range lines {
			h.Write(logs.Entry{Type: logs.Mail, Level: logs.Information, Text: "one"})
			runtime.Gosched() // so that the logs do not collect their lines
		}
		h.flush()
	}()
	for done := false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		if files, _ := openLogs(t, h.dir); len(files) > 2*limit {
			t.Errorf("%d files are open, the limit is twice %d", len(files), limit)
		}
	}
	for _, name := range names {
		text := h.read(name + "/mail_logs.current")
		if n := strings.Count(text, "Info: one\n"); n != lines {
			t.Errorf("%s has %d lines, want %d", name, n, lines)
		}
	}
}

// A log file that is removed on this machine, past the file area, is noticed although lines are
// written all the time.
func TestRemovedFileIsNoticed(t *testing.T) {
	fake := clock.NewFake(startTime)
	open := logs.NewOpenFiles(3, fake)
	defer open.Close()
	h := newHarness(t, 0, func(o *logs.Options) { o.OpenFiles = open })
	h.logMail(logs.Information, "one")
	h.flush()
	if err := os.RemoveAll(filepath.Join(h.dir, "data/pub/mail_logs")); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		h.logMail(logs.Information, "line %d", i)
		h.flush()
		fake.Advance(500 * time.Millisecond)
	}
	got := h.read("mail_logs/mail_logs.current")
	if !strings.HasPrefix(got, header) ||
		!strings.HasSuffix(got, "Info: line 29\n") {
		t.Errorf("the file is\n%s", got)
	}
}

// If the process has no free descriptors, idle log files are closed, so that no line is lost.
func TestIdleFilesMakeRoomForDescriptors(t *testing.T) {
	open := logs.NewOpenFiles(100, clock.NewFake(startTime))
	defer open.Close()
	list, _ := severalLogs(8)
	h := newHarness(t, 0, func(o *logs.Options) { o.OpenFiles = open },
		append(list, logs.NewSubscription("system_logs", logs.System.Spec()))...)
	h.logMail(logs.Information, "one")
	h.flush()
	files, highest := openLogs(t, h.dir)
	h.want(len(files), len(list))

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = uint64(highest + 1)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Skip("this system does not let the test lower its limit of open files:", err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) }()
	for { // use up the descriptors below the limit
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		defer f.Close()
	}
	h.Write(logs.Entry{Type: logs.System, Level: logs.Information, Text: "two"})
	h.flush()
	h.want(h.LostLines("system_logs"), 0)
	if _, text, _ := strings.Cut(h.read("system_logs/system_logs.current"), header); text !=
		"Thu Jun 25 08:50:03 2015 Info: two\n" {
		t.Errorf("the file is\n%s", text)
	}
	h.want(h.problems, []logs.Problem(nil))
}
