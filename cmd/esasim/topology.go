package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
)

type topologies struct {
	List  listTopologies `cmd:"" help:"List the built-in topologies."`
	Show  showTopology   `cmd:"" help:"Print the file of a built-in topology."`
	Check checkTopology  `cmd:"" help:"Read a topology file and report what is wrong with it."`
}

type listTopologies struct{}

func (listTopologies) Run(t stdio) error {
	for _, name := range fixtures.Topologies() {
		topo, err := loadTopology(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%-10s %s\n", name, topo.About)
	}
	return nil
}

type showTopology struct {
	Name string `arg:"" predictor:"builtin" help:"The name of a built-in topology: see esasim topology list."`
}

func (s showTopology) Run(t stdio) error {
	_, data, ok := fixtures.Topology(s.Name)
	if !ok {
		return fmt.Errorf("there is no built-in topology %q: expected one of %s",
			s.Name, strings.Join(fixtures.Topologies(), ", "))
	}
	_, err := t.out.Write(data)
	return err
}

type checkTopology struct {
	File string `arg:"" predictor:"topology" help:"A topology file, or the name of a built-in topology."`
}

func (c checkTopology) Run(t stdio) error {
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

// loadTopology reads the built-in topology of that name, or else the file.
func loadTopology(nameOrFile string) (*topology.Topology, error) {
	return topologyBeside(func(name string) string { return name })(nameOrFile)
}

// loadBlueprint reads the built-in topology of that name, or else the file, with overrides.
func loadBlueprint(nameOrFile string, overrides ...topology.Override) (*box.Blueprint, error) {
	file, data, ok := fixtures.Topology(nameOrFile)
	if ok && len(overrides) == 0 {
		return box.PreparedBlueprint(file, data, fixtures.Prepared(nameOrFile))
	}
	if !ok {
		var err error
		if file, data, err = readTopology(nameOrFile, nameOrFile); err != nil {
			return nil, err
		}
	}
	return box.LoadBlueprint(file, data, overrides...)
}

// topologyBeside returns a function like loadTopology that finds the path of a file by the given
// function.
func topologyBeside(path func(name string) string) func(string) (*topology.Topology, error) {
	return func(nameOrFile string) (*topology.Topology, error) {
		file, data, ok := fixtures.Topology(nameOrFile)
		if !ok {
			var err error
			if file, data, err = readTopology(nameOrFile, path(nameOrFile)); err != nil {
				return nil, err
			}
		}
		return box.LoadTopology(file, data)
	}
}

// readTopology reads a topology from a file. name is how the user has called it.
func readTopology(nameOrFile, path string) (file string, data []byte, err error) {
	data, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("there is no topology %q: expected a file, or one of %s",
			nameOrFile, strings.Join(fixtures.Topologies(), ", "))
	}
	if err != nil {
		return "", nil, fmt.Errorf("read topology: %w", err)
	}
	return nameOrFile, data, nil
}
