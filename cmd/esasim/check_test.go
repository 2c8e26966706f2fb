package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeRecord writes lines of a record to a file.
func writeRecord(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "run.jsonl")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const (
	loginLine  = `{"seq":1,"time":"2015-06-25T08:50:03Z","kind":"login.opened","fields":{"id":1,"user":"admin","service":"cli"}}`
	logoutLine = `{"seq":2,"time":"2015-06-25T08:50:04Z","kind":"login.closed","cause":1,"fields":{"id":1,"user":"admin","service":"cli"}}`
)

func TestCheckFindsNothing(t *testing.T) {
	file := writeRecord(t, loginLine, logoutLine)
	status, out, stderr := invoke("check", file)
	if status != 0 || stderr != "" || !strings.HasPrefix(out, "2 events and 0 frames, ") {
		t.Errorf("status %d, %q\n%s", status, stderr, out)
	}
	if capture := pcapFile(t); true {
		status, out, stderr := invoke("check", file, "Data 1="+capture)
		if status != 0 || stderr != "" || !strings.HasPrefix(out, "2 events and 1 frames, ") {
			t.Errorf("status %d, %q\n%s", status, stderr, out)
		}
	}
}

func TestCheckFindsAContradiction(t *testing.T) {
	file := writeRecord(t, loginLine, strings.Replace(logoutLine, `"seq":2`, `"seq":5`, 1))
	status, out, stderr := invoke("check", file)
	want := "1 events-in-order: 3 events are missing after event 1\n" +
		"    " + file + `: line 1: login.opened {"id":1,"service":"cli","user":"admin"}` + "\n" +
		"    " + file + `: line 2: login.closed {"id":1,"service":"cli","user":"admin"}` + "\n"
	if status != 1 || stderr != "esasim: contradictions: 1\n" || !strings.HasSuffix(out, "\n\n"+want) {
		t.Errorf("status %d, %q\n%s", status, stderr, out)
	}
	status, out, _ = invoke("check", "--json", file)
	var report struct {
		Events         int
		Contradictions []struct {
			Invariant int
			Witnesses []struct{ Line int }
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != 1 || report.Events != 2 ||
		len(report.Contradictions) != 1 || report.Contradictions[0].Witnesses[1].Line != 2 {
		t.Errorf("status %d, %v\n%s", status, err, out)
	}
}

func TestCheckCannotRead(t *testing.T) {
	good := writeRecord(t, loginLine)
	bad := writeRecord(t, loginLine, "{}")
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"check"}, "expected a file that esasim --record FILE has written"},
		{[]string{"check", "absent"}, "open absent: no such file or directory"},
		{[]string{"check", bad}, bad + ": line 2: expected an event with the keys seq and kind"},
		{[]string{"check", good, good}, good + ": expected a file of the format pcap or pcapng, but the file begins differently"},
		{[]string{"check", good, "--logs", "absent"}, "absent"},
	} {
		status, out, stderr := invoke(x.args...)
		if status != 2 || out != "" || !strings.Contains(stderr, x.want) {
			t.Errorf("esasim %q: status %d, %q %q, want %q", x.args, status, out, stderr, x.want)
		}
	}
}

func TestCheckLists(t *testing.T) {
	status, out, stderr := invoke("check", "--list")
	if status != 0 || stderr != "" || !strings.HasPrefix(out, " 1  events-in-order\n    Events are numbered") {
		t.Errorf("status %d, %q\n%s", status, stderr, out)
	}
}
