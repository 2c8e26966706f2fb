package main

import (
	_ "embed"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/esasim/esasim/appliance/control"
)

type version struct{}

func (version) Run(t stdio) error {
	fmt.Fprintln(t.out, "esasim", control.ProgramVersion())
	return nil
}

// versionFlag is the flag --version, which does what the verb version does.
type versionFlag bool

// BeforeReset prints the version. kong calls it before it checks the other words.
func (versionFlag) BeforeReset(k *kong.Kong, t stdio) error {
	err := version{}.Run(t)
	k.Exit(0)
	return err
}

type help struct {
	Verb []string `arg:"" optional:"" help:"A verb, such as topology show."`
}

// Run prints what --help prints after the same words.
func (h help) Run(k *kong.Kong) error {
	node := k.Model.Node
	for i, word := range h.Verb {
		var below []string
		var next *kong.Node
		for _, child := range node.Children {
			if child.Hidden {
				continue
			}
			below = append(below, child.Name)
			if child.Name == word {
				next = child
			}
		}
		if next == nil {
			verb := strings.Join(h.Verb[:i+1], " ")
			if len(below) == 0 {
				return fmt.Errorf("there is no verb %q: %q has no verbs below it",
					verb, strings.Join(h.Verb[:i], " "))
			}
			return fmt.Errorf("there is no verb %q: expected one of %s",
				verb, strings.Join(below, ", "))
		}
		node = next
	}
	c, err := kong.Trace(k, append(h.Verb, "--help")) // the flag keeps kong from choosing the default verb
	if err != nil {
		return err
	}
	return c.PrintUsage(false)
}

// notices holds the licenses of everything that is linked into the program.
// TestNotices keeps them complete.
//
//go:embed notices.txt
var notices string

type licenses struct{}

func (licenses) Run(t stdio) error {
	_, err := io.WriteString(t.out, notices)
	return err
}
