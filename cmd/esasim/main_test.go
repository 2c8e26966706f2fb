package main

import (
	"io"
	"os"
	"reflect"
	"testing"

	"github.com/alecthomas/kong"
)

// A command line that starts an appliance means the same without the other verbs.
func TestServeWithoutOtherVerbs(t *testing.T) {
	t.Setenv(completionLine, "")
	for _, c := range []struct {
		args  []string
		alone bool // serveFlags are tried
		ok    bool // and parse it
	}{
		{nil, true, true},
		{[]string{"serve"}, true, true},
		{[]string{"--ephemeral", "--ssh", "127.0.0.1:0", "--log-level=debug"}, true, true},
		{[]string{"serve", "--topology", "ctl", "--ports", "auto"}, true, true},
		{[]string{"--ephemeral", "ctl"}, true, false},
		{[]string{"--ssh", "nowhere"}, true, false},
		{[]string{"--nonsense"}, true, false},
		{[]string{"--ephemeral", "--data", "x"}, true, false},
		{[]string{"serve", "extra"}, true, false},
		{[]string{"ctl", "fault", "list"}, false, false},
		{[]string{"nonsense"}, false, false},
		{[]string{"--ephemeral", "--help"}, false, false},
		{[]string{"-h"}, false, false},
	} {
		if got := onlyServes(c.args); got != c.alone {
			t.Errorf("%q: onlyServes returns %v", c.args, got)
		}
		if !c.alone {
			continue
		}
		status := -1
		out := stdio{os.Stdin, io.Discard, io.Discard}
		var alone serveFlags
		var all flags
		_, err := newParser(&alone, out, &status, kong.NoDefaultHelp()).Parse(c.args)
		_, errAll := newParser(&all, out, &status).Parse(c.args)
		if (err == nil) != c.ok || c.ok != (errAll == nil) || status >= 0 {
			t.Errorf("%q: errors %v and %v, status %d", c.args, err, errAll, status)
		}
		if c.ok && !reflect.DeepEqual(alone, all.serveFlags) {
			t.Errorf("%q: %+v, want %+v", c.args, alone, all.serveFlags)
		}
	}
}

func TestCompletionNeedsAllVerbs(t *testing.T) {
	t.Setenv(completionLine, "esasim ")
	if onlyServes(nil) {
		t.Error("a line is completed without the other verbs")
	}
}
