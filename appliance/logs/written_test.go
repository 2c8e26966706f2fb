package logs_test

import (
	"context"
	"io/fs"
	"path"
	"strings"
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
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
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
