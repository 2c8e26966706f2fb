package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/esasim/esasim/fixtures"
)

// invoke runs the program in this process, for verbs that end by themselves.
func invoke(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, stdio{nil, &out, &errs})
	return status, out.String(), errs.String()
}

func TestVersionIsAVerbAndAFlag(t *testing.T) {
	_, want, _ := invoke("version")
	if !strings.HasPrefix(want, "esasim ") {
		t.Errorf("esasim version prints %q", want)
	}
	for _, args := range [][]string{{"--version"}, {"topology", "list", "--version"}, {"ctl", "--version"}} {
		if status, stdout, stderr := invoke(args...); status != 0 || stdout != want || stderr != "" {
			t.Errorf("esasim %q: %d %q %q, want %q", args, status, stdout, stderr, want)
		}
	}
}

// The verb help prints what the flag --help prints.
func TestHelp(t *testing.T) {
	for _, verb := range []string{"", "serve", "ctl", "ctl fault add", "topology show", "filter", "help"} {
		words := strings.Fields(verb)
		_, want, _ := invoke(append(words, "--help")...)
		if !strings.HasPrefix(want, "Usage: esasim ") {
			t.Errorf("esasim %s --help prints %q", verb, want)
		}
		if status, stdout, stderr := invoke(append([]string{"help"}, words...)...); status != 0 || stdout != want || stderr != "" {
			t.Errorf("esasim help %s: %d %s%s, want\n%s", verb, status, stderr, stdout, want)
		}
	}
	for args, want := range map[string]string{
		"help burn":           `esasim: there is no verb "burn": expected one of serve, `,
		"help ctl fault burn": `esasim: there is no verb "ctl fault burn": expected one of add, put, update, enable, disable, remove, set, list, show` + "\n",
		"help version me":     `esasim: there is no verb "version me": "version" has no verbs below it` + "\n",
	} {
		if status, stdout, stderr := invoke(strings.Fields(args)...); status != 1 || stdout != "" || !strings.HasPrefix(stderr, want) {
			t.Errorf("esasim %s: %d %s%s, want %s", args, status, stdout, stderr, want)
		}
	}
}

func TestTopologyShowPrintsTheFile(t *testing.T) {
	for _, name := range fixtures.Topologies() {
		_, data, _ := fixtures.Topology(name)
		if status, stdout, stderr := invoke("topology", "show", name); status != 0 || stdout != string(data) || stderr != "" {
			t.Errorf("esasim topology show %s: %d %s\n%s", name, status, stderr, stdout)
		}
	}
	status, stdout, stderr := invoke("topology", "show", "atlantis")
	want := `esasim: there is no built-in topology "atlantis": expected one of ` + strings.Join(fixtures.Topologies(), ", ") + "\n"
	if status != 1 || stdout != "" || stderr != want {
		t.Errorf("esasim topology show atlantis: %d %s%s, want %s", status, stdout, stderr, want)
	}
}
