package main

import (
	"io"

	"github.com/esasim/esasim/fixtures"
)

type client struct {
	Language string `arg:"" enum:"python,shell" predictor:"client" help:"python: a module for Python 3.9 or later, with a fixture for pytest. shell: functions for a POSIX shell."`
}

// Help says what the clients are for.
func (client) Help() string {
	return "Each client is one file without dependencies. It starts an appliance, waits until it is" +
		" ready, uses its control API, and ends it with the program that started it. Its beginning" +
		" says how it is used. For example: esasim client python > esasim.py"
}

// Run prints the client.
func (c client) Run(t stdio) error {
	_, err := io.WriteString(t.out, fixtures.Client(c.Language))
	return err
}
