package syslog

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Whatever a crash has left on disk, the spool opens, what it returns is whole records, and what is
// appended comes last. Any text becomes records of one line each.
func FuzzSpool(f *testing.F) {
	f.Add([]byte("0000000000000001 0000000000000004\n"), []byte("one\ntwo\n"), []byte("three\nfo"),
		"text")
	f.Add([]byte(""), []byte("o"), []byte(""), "a\nb\x00\xff\u2028é")
	f.Add([]byte("ffffffffffffffff 7fffffffffffffff\n"), []byte("one\n"), []byte("\n\n\n"), "")
	f.Add([]byte("0000000000000001 -000000000000004\n"), []byte("one\n"), []byte("x"), "\x7f\r")
	f.Add([]byte("0000000000000002 00000000000000ff\n"), []byte("one\n"), []byte("two\n"), "é")
	f.Fuzz(func(t *testing.T, position, first, second []byte, text string) {
		line := Line(text)
		if Line(line) != line || !utf8.ValidString(line) || strings.ContainsAny(line, "\n\r\x00\x7f") {
			t.Fatalf("%q becomes %q", text, line)
		}
		for _, maxSize := range []int{minMessage, maxMessage} {
			format := newFormatter(Settings{Tag: "tag", Facility: "mail", MaxMessage: maxSize})
			records, n := format.append(nil, time.Unix(0, 0), "Info", text)
			if countRecords(records) != n || records[len(records)-1] != '\n' {
				t.Fatalf("%d records in %q", n, records)
			}
			for r := range bytes.Lines(records) {
				if len(r)-1 > maxSize {
					t.Fatalf("a record of %d bytes", len(r))
				}
			}
		}

		dir := t.TempDir()
		for name, data := range map[string][]byte{
			positionName: position, "0000000000000001.queue": first, "0000000000000002.queue": second,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			s, err := openSpool(dir, func(int64) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if s.size < 0 || s.records < 0 || s.size > int64(len(first)+len(second)+5) {
				t.Fatalf("%d bytes, %d records", s.size, s.records)
			}
			if err := s.append([]byte("last\n")); err != nil {
				t.Fatal(err)
			}
			var got []byte
			b := make([]byte, len(first)+len(second)+10)
			for s.size > 0 {
				part, err := s.read(b)
				if err != nil || len(part) == 0 || part[len(part)-1] != '\n' {
					t.Fatalf("%q, %v", part, err)
				}
				got = append(got, part...)
				if err := s.advance(len(part), countRecords(part)); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.HasSuffix(got, []byte("last\n")) || s.records != 0 {
				t.Fatalf("%q, %d records are left", got, s.records)
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
