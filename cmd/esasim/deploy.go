package main

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/fixtures"
)

// deploy prints a file for an engine of containers.
type deploy struct {
	Name string `arg:"" predictor:"deploy" help:"The file: compose, compose-topology, containerlab, fleet or kubernetes."`
}

// Help is shown by esasim deploy --help.
func (deploy) Help() string {
	return "Each file begins with the commands that use it. The file compose needs compose-topology beside it."
}

func (d deploy) Run(t stdio) error {
	text, ok := fixtures.DeployFile(d.Name)
	if !ok {
		return fmt.Errorf("there is no file %q: expected one of %s",
			d.Name, strings.Join(fixtures.DeployFiles(), ", "))
	}
	_, err := t.out.Write(text)
	return err
}
