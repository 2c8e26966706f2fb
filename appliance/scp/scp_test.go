package scp_test

import (
	"path"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/scp"
)

func TestAQuotedPathIsOneWord(t *testing.T) {
	for _, name := range []string{"/var/log", "it's here", `a\b "c" $d; e`, "*"} {
		c, err := scp.ParseCommand("scp -t " + scp.Quote(name))
		if err != nil || len(c.Paths) != 1 || c.Paths[0].Text != name || c.Paths[0].Glob {
			t.Errorf("%q: %+v, %v", name, c.Paths, err)
		}
	}
}

// A line that is taken for scp's names its files as a shell would.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{"scp -f x", `scp -rpt 'a b'"c"\d`, "scp -f -- -x *.cap", "scp -f [", "scp -f $x", "scp -df ~"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := scp.ParseCommand(line)
		if err != nil {
			return
		}
		if len(c.Paths) == 0 {
			t.Fatalf("%q names nothing", line)
		}
		for _, w := range c.Paths {
			if !w.Glob {
				if ok, err := path.Match(w.Pattern, w.Text); strings.Contains(w.Text, "/") {
					continue // Match has rules of its own for slashes, none for what is escaped
				} else if !ok || err != nil {
					t.Errorf("%q: the pattern %q does not match %q: %v", line, w.Pattern, w.Text, err)
				}
			}
		}
	})
}
