package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/esasim/esasim/appliance/control"
)

func main() {
	setCollector()
	os.Exit(run(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// A stdio holds the standard streams of the program.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// flags are the verbs of the program, and the flags that every verb has.
type flags struct {
	serveFlags

	Fleet      runFleet   `cmd:"" help:"Run many appliances in one process."`
	Ctl        ctl        `cmd:"" help:"Break and repair the network of a running appliance, stop its servers, set its clock."`
	Health     health     `cmd:"" help:"Ask a running appliance whether it is up."`
	Topology   topologies `cmd:"" help:"List, print and check topologies."`
	Check      checkRun   `cmd:"" help:"Look for contradictions between the record, the captures and the logs of a run."`
	Client     client     `cmd:"" help:"Print a client for programs in Python or for shell scripts."`
	Deploy     deploy     `cmd:"" help:"Print a file that runs the program in Compose, Kubernetes or containerlab."`
	Filter     filter     `cmd:"" help:"Try a capture filter outside an appliance."`
	Help       help       `cmd:"" help:"Print the help of a verb."`
	Man        man        `cmd:"" help:"Print the manual page of this program."`
	Completion completion `cmd:"" help:"Print code that makes bash, zsh or fish complete the command lines of this program."`
	Version    version    `cmd:"" help:"Print the version of this program."`
	Licenses   licenses   `cmd:"" help:"Print the licenses of this program and of the modules in it."`
}

// serveFlags are the part of flags that starting an appliance needs. Reading the tags of all verbs
// takes four times as long.
type serveFlags struct {
	ShowVersion versionFlag `name:"version" help:"Print the version of this program."`

	Serve serve `cmd:"" default:"withargs" help:"Run an appliance (the default)."`
}

// onlyServes reports whether words are a command line that serveFlags can parse, unless it has a
// mistake.
func onlyServes(args []string) bool {
	if os.Getenv(completionLine) != "" || slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		return false
	}
	return len(args) == 0 || args[0] == "serve" || strings.HasPrefix(args[0], "-")
}

// newParser returns a parser for flags or serveFlags. What prints a text instead, such as --version,
// sets status.
func newParser(grammar any, t stdio, status *int, more ...kong.Option) *kong.Kong {
	parser, err := kong.New(grammar, append(more,
		kong.Name("esasim"),
		kong.Description(
			"A simulated Cisco Email Security Appliance: ssh in, capture packets, fetch the pcap."),
		kong.Writers(t.out, t.err),
		kong.Exit(func(code int) { *status = code }),
		kong.Bind(t),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)...)
	if err != nil {
		panic(err) // a tag in flags is wrong
	}
	return parser
}

// run runs the program and returns its exit status.
func run(args []string, t stdio) int {
	status := -1
	if onlyServes(args) {
		parser := newParser(&serveFlags{}, t, &status, kong.NoDefaultHelp())
		c, err := parser.Parse(protectShift(args))
		switch {
		case status >= 0: // --version has printed its text
			return status
		case err == nil:
			return exitStatus(t, c.Run())
		}
		// The other verbs are needed to tell what is wrong.
	}
	parser := newParser(&flags{}, t, &status)
	if asked, err := completeLine(parser, t); asked {
		return exitStatus(t, err)
	}
	c, err := parser.Parse(protectShift(args))
	if status >= 0 { // --help or --version has printed its text
		return status
	}
	if err != nil {
		return exitStatus(t, pointToHelp(parser, args, err))
	}
	return exitStatus(t, c.Run())
}

// pointToHelp adds to an error about an unknown word the verb whose help lists the words.
func pointToHelp(parser *kong.Kong, args []string, err error) error {
	unknownFlag := strings.HasPrefix(err.Error(), "unknown flag ")
	if !unknownFlag && !strings.HasPrefix(err.Error(), "unexpected argument ") {
		return err
	}
	verb := ""
	node := parser.Model.Node
	for _, arg := range args {
		i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == arg })
		if i < 0 {
			break
		}
		node = node.Children[i]
		verb += " " + arg
	}
	if verb == "" && unknownFlag {
		verb = " serve" // the default
	}
	return fmt.Errorf("%w: see esasim help%s", err, verb)
}

// exitStatus reports err, unless it is nil, and returns the exit status that goes with it.
func exitStatus(t stdio, err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, control.ErrNoAnswer) {
		err = fmt.Errorf("%w: start one with esasim, or name one with --socket or --addr", err)
	}
	fmt.Fprintf(t.err, "esasim: %s\n", oneLine(err))
	var own *statusError
	if errors.As(err, &own) {
		return own.status
	}
	return 1
}

// oneLine returns the text of err with a semicolon between errors that were joined.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
