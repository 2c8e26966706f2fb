package transfer_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/transfer"
)

// An scpTree is the result of a client that receives files.
type scpTree struct {
	files    map[string][]byte
	times    map[string]int64
	warnings []string
	err      error
}

// receiveSCP is the client of scp -f.
func receiveSCP(conn net.Conn) scpTree {
	tree := scpTree{files: map[string][]byte{}, times: map[string]int64{}}
	in := bufio.NewReader(conn)
	sendOK := func() { conn.Write([]byte{0}) }
	dir := ""
	mtime := int64(0)
	sendOK()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			if err != io.EOF {
				tree.err = err
			}
			if len(tree.warnings) > 0 {
				tree.err = errors.New(strings.Join(tree.warnings, "; "))
			}
			return tree
		}
		line = strings.TrimSuffix(line, "\n")
		switch line[0] {
		case 1, 2:
			tree.warnings = append(tree.warnings, line[1:])
			continue
		case 'T':
			fmt.Sscanf(line, "T%d", &mtime)
		case 'D':
			dir = path.Join(dir, strings.SplitN(line, " ", 3)[2])
		case 'E':
			dir = strings.TrimPrefix(path.Dir("/"+dir), "/")
		case 'C':
			part := strings.SplitN(line, " ", 3)
			var size int64
			fmt.Sscan(part[1], &size)
			sendOK()
			data := make([]byte, size)
			if _, err := io.ReadFull(in, data); err != nil {
				tree.err = err
				return tree
			}
			tree.files[path.Join(dir, part[2])] = data
			if mtime != 0 {
				tree.times[path.Join(dir, part[2])] = mtime
				mtime = 0
			}
			if b, err := in.ReadByte(); err != nil || b != 0 {
				tree.err = fmt.Errorf("after the data: %d, %v", b, err)
				return tree
			}
		}
		sendOK()
	}
}

// sendSCP is the client of scp -t. It sends lines (strings) and data, and stops at the first error
// that the server sends.
func sendSCP(conn net.Conn, steps ...any) error {
	in := bufio.NewReader(conn)
	answer := func() error {
		b, err := in.ReadByte()
		if err != nil || b == 0 {
			return err
		}
		text, _ := in.ReadString('\n')
		return errors.New(strings.TrimSpace(text))
	}
	if err := answer(); err != nil {
		return err
	}
	for _, step := range steps {
		var err error
		switch s := step.(type) {
		case string:
			_, err = io.WriteString(conn, s)
		case []byte:
			_, err = conn.Write(append(s, 0))
		}
		if err == nil {
			err = answer()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestSCPOptions(t *testing.T) {
	s := newStore(t, 0)
	mtime := time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
	if err := s.Chtimes("data/pub/diagnostic/a.cap", mtime); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		line   string
		files  string
		warns  string
		status int
	}{
		{`scp -f diagnostic/*.cap`, "a.cap, with blank.cap", "", 0},
		{`scp -f diagnostic/a.cap configuration/old.xml`, "a.cap, old.xml", "", 0},
		{`scp -f /captures/with\ blank.cap`, "with blank.cap", "", 0},
		{`scp -f "/captures/with blank.cap"`, "with blank.cap", "", 0},
		{`scp -f ~/diagnostic/a.cap`, "a.cap", "", 0},
		{`scp -v -r -f -- diagnostic`, "diagnostic/a.cap, diagnostic/with blank.cap", "", 0},
		{`/usr/bin/scp -rf /data/pub`, "pub/configuration/it's [1].xml, pub/configuration/old.xml, " +
			"pub/diagnostic/a.cap, pub/diagnostic/with blank.cap, pub/mail_logs/mail_logs.current", "", 0},
		{`scp -f diagnostic`, "", "scp: /data/pub/diagnostic: not a regular file", 1},
		{`scp -f none diagnostic/a.cap`, "a.cap",
			"scp: /data/pub/none: No such file or directory", 1},
		{`scp -f diagnostic/*.none`, "", "scp: diagnostic/*.none: No such file or directory", 1},
		{`scp -f '/configuration/*.xml'`, "",
			"scp: /data/pub/configuration/*.xml: No such file or directory", 1},
		{`scp -f /configuration/it\'s\ \[1\]*`, "it's [1].xml", "", 0},
	} {
		var got scpTree
		status := runSCP(t, s, tc.line, func(conn net.Conn) { got = receiveSCP(conn) })
		var names []string
		for name := range got.files {
			names = append(names, name)
		}
		if diff := cmp.Diff(tc.files, joinSorted(names)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.line, diff)
		}
		if warns := strings.Join(got.warnings, "; "); warns != tc.warns || status != tc.status {
			t.Errorf("%s: status %d, %q", tc.line, status, warns)
		}
	}
	var got scpTree
	runSCP(t, s, "scp -p -f diagnostic/a.cap", func(conn net.Conn) { got = receiveSCP(conn) })
	if got.times["a.cap"] != mtime.Unix() {
		t.Errorf("with -p the time is %d", got.times["a.cap"])
	}
}

func TestIsSCP(t *testing.T) {
	for line, want := range map[string]bool{
		"scp -f x":            true,
		"scp -pr -t x":        true,
		"scp -t -d -- -x":     true,
		"scp":                 false,
		"scp x y":             false, // not a remote mode
		"scp -f":              false,
		"scp -f -t x":         false,
		"scp -t x y":          false,
		"scp -f x; version":   false,
		"scp -f $(id)":        false,
		"scp -f 'x":           false,
		`scp -f x\`:           false,
		"scp -S /bin/sh -f x": false,
		"version":             false,
		"":                    false,
	} {
		if got := transfer.IsSCP(line); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func TestSCPSink(t *testing.T) {
	const dir = "scp -t configuration"
	for _, tc := range []struct {
		name, line string
		steps      []any
		wantErr    string
		status     int
		files      map[string]string // below configuration
	}{
		{"into a directory", dir, []any{"C0644 3 a\n", []byte("abc")}, "", 0,
			map[string]string{"a": "abc"}},
		{"with a time", "scp -p -t configuration",
			[]any{"T1435222203 0 1435222203 0\n", "C0644 1 a\n", []byte("x")}, "", 0,
			map[string]string{"a": "x"}},
		{"a tree", "scp -r -t configuration",
			[]any{
				"D0755 0 sub\n", "C0644 1 a\n", []byte("1"),
				"D0755 0 deep\n", "C0644 1 b\n", []byte("2"), "E\n", "E\n",
			}, "", 0,
			map[string]string{"sub/a": "1", "sub/deep/b": "2"}},
		{"a tree without -r", dir, []any{"D0755 0 sub\n"},
			"scp: received directory without -r", 1, nil},
		{"a name with a slash", dir, []any{"C0644 1 ../a\n"},
			"scp: protocol error: unexpected filename: ../a", 1, nil},
		{"the name ..", "scp -rt configuration", []any{"D0755 0 ..\n"},
			"scp: protocol error: unexpected filename: ..", 1, nil},
		{"the end of a directory that has not begun", dir, []any{"E\n"},
			"scp: protocol error: unexpected <newline>", 1, nil},
		{"a line that is not a header", dir, []any{"hello\n"},
			"scp: protocol error: expected control record", 1, nil},
		{"a negative size", dir, []any{"C0644 -1 a\n"},
			"scp: protocol error: size not delimited", 1, nil},
		{"a bad mode", dir, []any{"C0899 1 a\n"},
			"scp: protocol error: mode not delimited", 1, nil},
		{"a line that is too long", dir, []any{"C" + strings.Repeat("0", 9000) + "\n"},
			"scp: line too long", 1, nil},
		{"-d with a file", "scp -d -t configuration/old.xml", nil,
			"scp: configuration/old.xml: Not a directory", 1, nil},
		{"a file where the user may not write", "scp -t diagnostic", []any{"C0644 1 a\n"},
			"scp: /data/pub/diagnostic/a: Permission denied", 1, nil},
		{"a directory where the user may not write", "scp -r -t diagnostic", []any{"D0755 0 a\n"},
			"scp: /data/pub/diagnostic/a: Permission denied", 1, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t, 0)
			var err error
			status := runSCP(t, s, tc.line, func(conn net.Conn) { err = sendSCP(conn, tc.steps...) })
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tc.wantErr || status != tc.status {
				t.Errorf("status %d, %q, want %d, %q", status, got, tc.status, tc.wantErr)
			}
			for name, want := range tc.files {
				if got := readFile(t, s, "data/pub/configuration/"+name); got != want {
					t.Errorf("%s has content %q", name, got)
				}
			}
			if strings.Contains(tc.name, "time") {
				fi, err := s.Stat("data/pub/configuration/a")
				if err != nil || fi.ModTime().Unix() != 1435222203 {
					t.Errorf("time %v, %v", fi.ModTime(), err)
				}
			}
		})
	}
}

// The client closes the connection before it has sent the whole file.
func TestSCPInterruptedUpload(t *testing.T) {
	s := newStore(t, 0)
	status := runSCP(t, s, "scp -t configuration/half", func(conn net.Conn) {
		in := bufio.NewReader(conn)
		in.ReadByte()
		io.WriteString(conn, "C0644 100 half\n")
		in.ReadByte()
		io.WriteString(conn, "only this")
	})
	if got := readFile(t, s, "data/pub/configuration/half"); got != "only this" || status != 1 {
		t.Errorf("status %d, the file has content %q", status, got)
	}
}

// joinSorted sorts and joins names.
func joinSorted(names []string) string {
	slices.Sort(names)
	return strings.Join(names, ", ")
}
