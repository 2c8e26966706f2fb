package logs_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs"
)

// texts returns the text of the last line but one of each saved file of mail_logs, in the order of
// the files.
func (h *harness) texts() []string {
	h.t.Helper()
	all, err := h.Files(h.t.Context(), "mail_logs")
	if err != nil {
		h.t.Fatal(err)
	}
	var texts []string
	for _, name := range all {
		text, err := fs.ReadFile(h.files, name)
		if err != nil {
			h.t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		if strings.HasSuffix(name, ".s") {
			_, line, _ := strings.Cut(lines[len(lines)-3], "Info: ")
			texts = append(texts, line)
		}
	}
	return texts
}

// setZone sets the appliance's zone to one that is the given number of hours east of UTC.
func (h *harness) setZone(hours int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.zone = time.FixedZone("", hours*3600)
}

// writeFile writes a saved file with one line.
func (h *harness) writeFile(text string) {
	h.t.Helper()
	h.logMail(logs.Information, "%s", text)
	if err := h.RollOver(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.clock.Advance(time.Minute)
}

// When local time goes back, files stay in the order in which they were begun: for readers, for
// uploads, when the oldest are removed, and after a restart, too.
func TestFilesStayInOrderWhenLocalTimeGoesBack(t *testing.T) {
	conf := mailLogs()
	conf.MaxFiles = 4
	h := newHarness(t, 1<<20, func(o *logs.Options) { o.OrderDir = t.TempDir() }, conf)
	reader, err := h.Follow(t.Context(), "mail_logs", 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, zone := range []int{2, -8, -9, 9, -10} {
		h.setZone(zone)
		text := fmt.Sprint("file ", i)
		h.writeFile(text)
		want = append(want, text)
		for read := ""; !strings.Contains(read, "End Logfile"); {
			b, err := reader.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if read += string(b); i > 0 && strings.Contains(read, want[i-1]) {
				t.Fatalf("%q is read twice", want[i-1])
			}
		}
	}
	want = want[len(want)-len(h.texts()):]
	h.want(len(want), 3) // the current one is the fourth
	h.want(h.texts(), want)

	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	h.open(conf)
	h.want(h.texts(), want)
	h.writeFile("after the restart")
	h.want(h.texts(), append(want[1:], "after the restart"))
}

// An index that is damaged, or cannot be read or written, does not prevent the start: the names
// decide then.
func TestDamagedFileOrder(t *testing.T) {
	for name, damage := range map[string]func(index string) error{
		"missing": os.Remove,
		"empty":   func(index string) error { return os.WriteFile(index, nil, 0o600) },
		"torn":    func(index string) error { return os.Truncate(index, 20) },
		"garbage": func(index string) error {
			return os.WriteFile(index, []byte("\x00\xff\n\n../../x\nmail_logs.@x\n"), 0o600)
		},
		"a directory": func(index string) error {
			_ = os.Remove(index)
			return os.MkdirAll(filepath.Join(index, "x"), 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := newHarness(t, 1<<20, func(o *logs.Options) { o.OrderDir = dir })
			h.writeFile("one")
			h.setZone(-8)
			h.writeFile("two")
			if err := h.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			if err := damage(filepath.Join(dir, "mail_logs")); err != nil {
				t.Fatal(err)
			}
			h.open()
			got := h.texts()
			slices.Sort(got)
			h.want(got, []string{"one", "two"})
			h.writeFile("three")
			got = h.texts()
			h.want(got[len(got)-1], "three")
		})
	}
}

// The index is removed when the names tell the order again.
func TestFileOrderIsKeptOnlyWhileNeeded(t *testing.T) {
	conf := mailLogs()
	conf.MaxFiles = 3
	index := filepath.Join(t.TempDir(), "order")
	h := newHarness(t, 1<<20, func(o *logs.Options) { o.OrderDir = index }, conf)
	h.writeFile("one")
	exists := func() bool {
		_, err := os.Stat(filepath.Join(index, "mail_logs"))
		return err == nil
	}
	h.want(exists(), false)
	h.setZone(-8)
	h.writeFile("two")
	h.want(exists(), true)
	for i := range 4 {
		h.writeFile(fmt.Sprint(i))
	}
	h.want(exists(), false)
	// A file that a client has put there is never the newest.
	foreign := path.Join(files.Pub, "mail_logs", "mail_logs.@20990101T000000.s")
	if err := h.files.WriteFile(foreign, []byte("a\nb\nInfo: foreign\n\n")); err != nil {
		t.Fatal(err)
	}
	h.want(path.Base(h.names("mail_logs")[0]), path.Base(foreign))
}
