package main

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/esasim/esasim/appliance/tooltest"
)

// The page names every verb and every flag, and man(1) formats it without a warning.
func TestManualPage(t *testing.T) {
	status, page, stderr := invoke("man")
	if status != 0 || !strings.HasPrefix(page, ".TH ESASIM 1 ") || strings.Contains(page, "%!") {
		t.Fatalf("esasim man: %d %s\n%s", status, stderr, page)
	}
	parser, err := kong.New(&flags{}, kong.Name("esasim"))
	if err != nil {
		t.Fatal(err)
	}
	var check func(n *kong.Node)
	check = func(n *kong.Node) {
		if n.Parent != nil && !regexp.MustCompile(`(?m)^\\fB`+regexp.QuoteMeta(n.Path())+`[ \\]`).MatchString(page) {
			t.Errorf("the page does not name the verb %s", n.Path())
		}
		for _, f := range n.Flags {
			if !strings.Contains(page, "--"+f.Name) {
				t.Errorf("the page does not name the flag --%s of %s", f.Name, n.Path())
			}
		}
		for _, a := range n.Positional {
			if help, _, _ := strings.Cut(a.Help, "."); !strings.Contains(page, help) {
				t.Errorf("the page does not describe the argument %s of %s", a.Name, n.Path())
			}
		}
		for _, child := range n.Children {
			check(child)
		}
	}
	check(parser.Model.Node)

	tooltest.Need(t, "man")
	t.Setenv("LC_ALL", "C.UTF-8")
	formatter := exec.Command("man", "--warnings", "-l", "-")
	formatter.Stdin = strings.NewReader(page)
	var out, warnings bytes.Buffer
	formatter.Stdout, formatter.Stderr = &out, &warnings
	if err := formatter.Run(); err != nil || warnings.Len() > 0 {
		t.Fatalf("man: %v\n%s", err, warnings.String())
	}
	text := out.String()
	for _, want := range []string{"esasim - a simulated Cisco Email Security Appliance", "30%", "ESASIM_SOCKET"} {
		if !strings.Contains(text, want) {
			t.Errorf("the formatted page has no %q:\n%s", want, text)
		}
	}
}
