package scp_test

import (
	"path"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/scp"
)

func TestQuotedPathIsOneArgument(t *testing.T) {
	for _, name := range []string{"/var/log", "it's here", `a\b "c" $d; e`, "*"} {
		c, err := scp.ParseCommand("scp -t " + scp.Quote(name))
		if err != nil || len(c.Paths) != 1 || c.Paths[0].Text != name || c.Paths[0].Glob {
			t.Errorf("%q: %+v, %v", name, c.Paths, err)
		}
	}
}

// FuzzCommand checks that the pattern of an argument without wildcards matches its text.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{
		"scp -f x", `scp -rpt 'a b'"c"\d`, "scp -f -- -x *.cap",
		"scp -f [", "scp -f $x", "scp -df ~",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := scp.ParseCommand(line)
		if err != nil {
			return
		}
		if len(c.Paths) == 0 {
			t.Fatalf("%q: no path", line)
		}
		for _, w := range c.Paths {
			if !w.Glob {
				if ok, err := path.Match(w.Pattern, w.Text); strings.Contains(w.Text, "/") {
					continue // path.Match treats slashes specially
				} else if !ok || err != nil {
					t.Errorf("%q: the pattern %q does not match %q: %v", line, w.Pattern, w.Text, err)
				}
			}
		}
	})
}
