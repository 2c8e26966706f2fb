package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/control"
)

// health asks a running appliance whether it is up, for scripts and containers.
type health struct {
	target
	All     bool          `help:"Ask every appliance of this user that has a usual data directory, unless --socket or --addr names one. If none runs, that is an error."`
	Timeout time.Duration `default:"5s" placeholder:"TIME" help:"How long an appliance may take to answer (default: 5s)."`
	JSON    bool          `name:"json" help:"Print JSON."`
}

// Help is shown by esasim health --help.
func (health) Help() string {
	return "The exit status is 0 if the appliance is up and its services listen, and 1 otherwise."
}

func (h *health) Run(t stdio) error {
	if !h.All || h.Socket != "" || h.Addr.IsValid() {
		client, err := h.client()
		if err != nil {
			return err
		}
		return h.ask(t, client, "")
	}
	sockets, err := controlSockets()
	if err != nil {
		return err
	}
	running := 0
	var errs []error
	for _, socket := range sockets {
		err := h.ask(t, control.Dial("unix", socket), socket+": ")
		if errors.Is(err, control.ErrNoAnswer) { // a process that was killed left the socket
			continue
		}
		running++
		if err != nil {
			errs = append(errs, err)
		}
	}
	if running == 0 {
		return errors.New("no appliance runs: start one with esasim, or name it with --socket or --addr")
	}
	return errors.Join(errs...)
}

// ask prints the health of one appliance. name stands before the text and the error.
func (h *health) ask(t stdio, client *control.Client, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), h.Timeout)
	defer cancel()
	up, err := client.Health(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%s%w", name, err)
	case h.JSON:
		return printJSON(t.out, up)
	}
	if f := up.Fleet; f != nil {
		fmt.Fprintf(t.out, "%sfleet %s: %d appliances run, %d are stopped\n", name, f.Name, f.Running, f.Stopped)
		return nil
	}
	fmt.Fprintf(t.out, "%sup since %s\n", name, up.Since.Format(timeFormat))
	for _, s := range up.Services {
		var list []string
		for _, at := range s.Listening {
			list = append(list, at.String())
		}
		if len(list) > 0 {
			fmt.Fprintf(t.out, "  %-5s %s\n", s.Name, strings.Join(list, " "))
		}
	}
	return nil
}

// controlSockets returns the control sockets in the usual places: below the user's state
// directory, and in the directories of runs with --ephemeral.
func controlSockets() ([]string, error) {
	home, err := stateHome()
	if err != nil {
		return nil, err
	}
	var sockets []string
	for _, pattern := range []string{
		filepath.Join(home, "*", socketName),
		filepath.Join(os.TempDir(), ephemeralPrefix+"*", socketName),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("look for control sockets: %w", err)
		}
		sockets = append(sockets, found...)
	}
	return sockets, nil
}
