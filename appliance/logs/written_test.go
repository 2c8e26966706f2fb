package logs_test

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs"
)

// Flush waits for what was written before it, not for lines that are written meanwhile. Here
// that never ends: each file that is removed causes two lines, which fill another file.
func TestFlushReturnsWhileLogIsWritten(t *testing.T) {
	conf := mailLogs()
	conf.MaxSize, conf.MaxFiles, conf.Alert = logs.MinSize, 1, true
	var h *harness
	var endless atomic.Bool
	fill := func() {
		h.logMail(logs.Information, "%060000d", 0)
		h.logMail(logs.Information, "%060000d", 0)
	}
	h = newHarness(t, 0, func(o *logs.Options) {
		o.OnProblem = func(logs.Problem) {
			if endless.Load() {
				fill()
			}
		}
	}, conf)
	endless.Store(true)
	defer endless.Store(false)
	fill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := h.Flush(ctx); err != nil {
		t.Error(err)
	}
}

// AwaitWritten blocks until earlier lines are in the file, and returns immediately if they are. It
// does not wait longer than its limit for a disk that hangs.
func TestAwaitWritten(t *testing.T) {
	hang := make(chan struct{})
	h := newHarness(t, 1<<20, func(o *logs.Options) {
		name := o.Hostname
		o.Hostname = func() string { <-hang; return name() } // the drainer calls it
	}, func() logs.Subscription { s := mailLogs(); s.HostSuffix = true; return s }())
	h.AwaitWritten(logs.Mail, time.Hour)
	h.logMail(logs.Information, "one")
	h.AwaitWritten(logs.System, time.Hour) // of another type
	h.AwaitWritten(logs.Mail, time.Millisecond)
	written := make(chan struct{})
	go func() {
		h.AwaitWritten(logs.Mail, time.Hour)
		close(written)
	}()
	select {
	case <-written:
		t.Error("AwaitWritten returned before the line was written")
	default:
	}
	close(hang)
	<-written
	all, err := fs.ReadFile(h.files, path.Join(files.Pub, "mail_logs/mail_logs.current"))
	if err != nil || !strings.HasSuffix(string(all), " Info: one\n") {
		t.Errorf("%q, %v", all, err)
	}
}

// The line of WriteNow is in the file when it returns. If another goroutine is writing to the file,
// WriteNow does not wait for it.
func TestWriteNow(t *testing.T) {
	var hangs atomic.Bool
	entered, leave := make(chan struct{}), make(chan struct{})
	h := newHarness(t, 1<<20, func(o *logs.Options) {
		o.Hostname = func() string { // the drainer calls it to name a new file
			if hangs.Swap(false) {
				close(entered)
				<-leave
			}
			return "mail.example.com"
		}
	}, func() logs.Subscription { s := mailLogs(); s.HostSuffix = true; return s }())
	writeNow := func(text string) {
		h.WriteNow(logs.Entry{Type: logs.Mail, Level: logs.Information, Text: text})
	}
	const line = "Thu Jun 25 08:50:03 2015 Info: "
	want := header
	for _, text := range []string{"one", "two"} {
		writeNow(text)
		want += line + text + "\n"
		got, err := fs.ReadFile(h.files, path.Join(files.Pub, "mail_logs/mail_logs.current"))
		if err != nil || string(got) != want {
			t.Errorf("after %q: %v, file\n%s", text, err, got)
		}
	}

	hangs.Store(true)
	done := make(chan error)
	go func() { done <- h.RollOver(context.Background()) }()
	<-entered
	writeNow("three")
	h.AwaitWritten(logs.Mail, time.Millisecond)
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.want(h.read("mail_logs/mail_logs.current"), header+line+"three\n")
}

// Lines of Write and WriteNow are in the file in the order in which each goroutine has written them,
// and none is lost, whoever is the drainer.
func TestWriteAndWriteNowTogether(t *testing.T) {
	const writers, lines = 4, 200
	h := newHarness(t, 0, nil)
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for k := range lines {
				write := h.Write
				if (k+w)%2 == 0 {
					write = h.WriteNow
				}
				write(logs.Entry{
					Type: logs.Mail, Level: logs.Information, Text: fmt.Sprintf("writer %d line %d", w, k),
				})
			}
		})
	}
	running.Wait()
	next := make([]int, writers)
	for line := range strings.Lines(h.read("mail_logs/mail_logs.current")) {
		var w, k int
		if _, err := fmt.Sscanf(line[24:], " Info: writer %d line %d", &w, &k); err != nil {
			continue // of the header
		}
		if k != next[w] {
			t.Fatalf("writer %d: line %d follows line %d", w, k, next[w]-1)
		}
		next[w]++
	}
	h.want(next, []int{lines, lines, lines, lines})
}

// A client that removes or renames the current file while it is open costs no line.
func TestCurrentFileMovedWhileOpen(t *testing.T) {
	h := newHarness(t, 1<<20, nil)
	h.logMail(logs.Information, "one")
	h.flush()
	name := path.Join(files.Pub, "mail_logs", h.names("mail_logs")[0])
	if err := h.files.Remove(name); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "two")
	h.want(h.read("mail_logs/mail_logs.current"), header+"Thu Jun 25 08:50:03 2015 Info: two\n")

	name = path.Join(files.Pub, "mail_logs", h.names("mail_logs")[0])
	if err := h.files.Rename(name, path.Join(files.Pub, "mine")); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "three")
	h.want(h.read("mail_logs/mail_logs.current"), header+"Thu Jun 25 08:50:03 2015 Info: three\n")
	h.want(h.read("mine"), header+"Thu Jun 25 08:50:03 2015 Info: two\n")
}
