package main

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/fixtures"
)

func main() {
	os.Exit(run(os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr}))
}

// A terminal is where the program talks to whoever started it.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

type flags struct {
	Serve    serve    `cmd:"" default:"withargs" help:"Run an appliance (the default)."`
	Ctl      ctl      `cmd:"" help:"Break and repair the network of a running appliance, stop its servers, set its clock."`
	Topology topology `cmd:"" help:"Check and list topologies."`
	Filter   filter   `cmd:"" help:"Try a capture filter outside an appliance."`
	Version  version  `cmd:"" help:"Print the version of this program."`
	Licenses licenses `cmd:"" help:"Print the licences of this program and of the modules in it."`
}

// run is the program; it returns its exit status.
func run(args []string, t terminal) int {
	var f flags
	status := -1
	parser, err := kong.New(&f,
		kong.Name("esasim"),
		kong.Description("A simulated Cisco Email Security Appliance: ssh in, capture packets, fetch the pcap."),
		kong.Writers(t.out, t.err),
		kong.Exit(func(code int) { status = code }),
		kong.Bind(t),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		panic(err) // the flags above do not make sense
	}
	c, err := parser.Parse(args)
	if status >= 0 { // --help has printed all there is to say
		return status
	}
	if err == nil {
		err = c.Run()
	}
	if err != nil {
		fmt.Fprintf(t.err, "esasim: %s\n", oneLine(err))
		return 1
	}
	return 0
}

// oneLine is err's text, however many errors were joined in it.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

type topology struct {
	List  listTopologies `cmd:"" help:"List the topologies that are built in."`
	Check checkTopology  `cmd:"" help:"Read a topology file and say what is wrong with it."`
}

type listTopologies struct{}

func (listTopologies) Run(t terminal) error {
	for _, name := range fixtures.Topologies() {
		topo, err := loadTopology(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%-10s %s\n", name, topo.About)
	}
	return nil
}

type checkTopology struct {
	File string `arg:"" help:"A topology file, or the name of a built-in topology."`
}

func (c checkTopology) Run(t terminal) error {
	topo, err := loadTopology(c.File)
	if err != nil {
		return err
	}
	for _, w := range topo.Warnings() {
		fmt.Fprintln(t.out, "warning:", w)
	}
	fmt.Fprintf(t.out, "%s: good\n", c.File)
	return nil
}

// loadTopology reads a built-in topology, or else a file.
func loadTopology(nameOrFile string) (*netsim.Topology, error) {
	if file, data, ok := fixtures.Topology(nameOrFile); ok {
		return netsim.Load(file, data)
	}
	data, err := os.ReadFile(nameOrFile)
	if err != nil {
		if !strings.ContainsAny(nameOrFile, `./\`) {
			return nil, fmt.Errorf("there is no topology %q: expected a file, or one of %s", nameOrFile, strings.Join(fixtures.Topologies(), ", "))
		}
		return nil, fmt.Errorf("read topology: %w", err)
	}
	return netsim.Load(nameOrFile, data)
}

type version struct{}

func (version) Run(t terminal) error {
	fmt.Fprintln(t.out, "esasim", programVersion())
	return nil
}

// programVersion is the module's version where it was installed as one, else the
// revision that was built.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel " + s.Value[:12]
		}
	}
	return "devel"
}

// notices are the licences of everything that is linked into the program.
// TestNotices keeps them complete.
//
//go:embed notices.txt
var notices string

type licenses struct{}

func (licenses) Run(t terminal) error {
	_, err := io.WriteString(t.out, notices)
	return err
}
