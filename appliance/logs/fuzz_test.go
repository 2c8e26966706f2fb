package logs_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs"
)

// Whatever a crash has left of the files of a log, and of their order, the log goes on: readers get
// whole lines, and the next line is the last of the current file.
func FuzzLogFiles(f *testing.F) {
	const line = "Thu Jun 25 08:50:03 2015 Info: one\n"
	f.Add([]byte(line), []byte(line+"Thu Jun 25 08"), []byte("mail_logs.@20150625T085003\n"), "two")
	f.Add([]byte(""), []byte("no line"), []byte(""), "a\nb\x00\xff")
	f.Add([]byte("\n\n\n"), []byte("\x00\n\xff"), []byte("\x00\n../x\n\n"), "")
	f.Add(bytes.Repeat([]byte("x"), 70000), bytes.Repeat([]byte("y"), 70000), []byte("x"), "\r\n")
	f.Fuzz(func(t *testing.T, saved, current, order []byte, text string) {
		dir, clk := t.TempDir(), clock.NewFake(startTime)
		log, index := filepath.Join(dir, files.Pub, "mail_logs"), filepath.Join(dir, "order")
		for name, data := range map[string][]byte{
			filepath.Join(log, "mail_logs.@20150625T085003.s"): saved,
			filepath.Join(log, "mail_logs.@20150625T085004.c"): current,
			filepath.Join(index, "mail_logs"):                  order,
		} {
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		store, err := files.Open(dir, 1<<30, clk)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		hub := logs.New(logs.Options{
			Files: store, Clock: clk, Product: seedFacts, OrderDir: index,
		}, []logs.Subscription{mailLogs()})
		defer hub.Close(context.Background())
		reader, err := hub.Follow(t.Context(), "mail_logs", 10)
		if err != nil {
			t.Fatal(err)
		}
		hub.Write(logs.Entry{Type: logs.Mail, Level: logs.Critical, Text: text})
		hub.Write(logs.Entry{Type: logs.Mail, Level: logs.Critical, Text: "the end"})
		all, err := hub.Files(t.Context(), "mail_logs")
		if err != nil || len(all) != 2 || !strings.HasSuffix(all[1], ".c") {
			t.Fatalf("%q, %v", all, err)
		}
		content, err := fs.ReadFile(store, path.Join(files.Pub, "mail_logs/mail_logs.current"))
		if err != nil || !bytes.HasSuffix(content, []byte(" Critical: the end\n")) {
			t.Fatalf("%q, %v", content, err)
		}
		if whole := current[:bytes.LastIndexByte(current, '\n')+1]; !bytes.HasPrefix(content, whole) {
			t.Fatalf("%q does not begin with %q", content, whole)
		}
		for read := []byte(nil); !bytes.HasSuffix(read, []byte(" Critical: the end\n")); {
			b, err := reader.Next(t.Context())
			if err != nil || len(b) == 0 || b[len(b)-1] != '\n' {
				t.Fatalf("%q, %v", b, err)
			}
			read = append(read, b...)
		}
	})
}
