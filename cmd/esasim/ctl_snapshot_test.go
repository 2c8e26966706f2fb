package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// The verbs about snapshots work together, and say what is wrong.
func TestCtlSnapshot(t *testing.T) {
	p := start(t, shortHome(t), "--ctl", "127.0.0.1:0")
	file := filepath.Join(t.TempDir(), "snapshot.tar")
	for _, c := range []struct{ line, want string }{
		{"snapshot list", "There are no snapshots.\n"},
		{"fault add drop --path google", "1\n"},
		{"snapshot save broken", "broken: "},
		{"snapshot list", "broken  20"},
		{"snapshot get broken -w " + file, ""},
		{"fault remove all", ""},
		{"snapshot restore broken --confirm", "The simulator was reset in "},
		{"fault list", "drop path google"},
		{"fault remove all", ""},
		{"snapshot remove broken", ""},
		{"snapshot put again " + file + " --json", `"model": "C100V"`},
		{"reset --to again --confirm --json", `"took": "`},
		{"fault list", "drop path google"},
		{"reset --confirm", "The simulator was reset in "},
		{"fault list", "There are no faults.\n"},
		{"snapshot list --json", `"name": "again"`},
	} {
		status, out, stderr := p.ctl(t, strings.Fields(c.line)...)
		if status != 0 || stderr != "" || !strings.Contains(out, c.want) {
			t.Errorf("ctl %s: %d %s%s, want %q", c.line, status, out, stderr, c.want)
		}
	}
	for line, want := range map[string]string{
		"snapshot restore again":         `confirm it with --confirm`,
		"snapshot restore x --confirm":   `there is no snapshot "x": esasim ctl snapshot list lists what there is`,
		"reset --to x --confirm":         `there is no snapshot "x"`,
		"reset --to= --confirm":          `there is no snapshot ""`,
		"snapshot get x":                 `there is no snapshot "x"`,
		"snapshot remove x":              `there is no snapshot "x"`,
		"snapshot save a/b":              `"a/b" is no name of a snapshot`,
		"snapshot put x /nowhere":        `open /nowhere`,
		"snapshot put x ctl_snapshot.go": `the file is no snapshot, or only a part of one`,
	} {
		if status, out, stderr := p.ctl(t, strings.Fields(line)...); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("ctl %s: %d %s%s, want %q", line, status, out, stderr, want)
		}
	}
	// A name that a script has left empty must not stand for the state of the start.
	const want = `there is no snapshot ""`
	status, out, stderr := p.ctl(t, "snapshot", "restore", "", "--confirm")
	if status != 1 || !strings.Contains(stderr, want) {
		t.Errorf("ctl snapshot restore '': %d %s%s, want %q", status, out, stderr, want)
	}
}
