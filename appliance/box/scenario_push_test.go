package box_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// uploads waits until a server has received a number of whole files and the connection that
// carried them has ended, since it could carry another file. It prints the last file.
func (s *scenario) uploads(ts *testscript.TestScript, args []string) error {
	x, err := s.box.Uploads(args[0])
	if err != nil {
		return err
	}
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scenarioTimeout)
	defer cancel()
	files, err := x.Await(ctx, want)
	if err != nil {
		return fmt.Errorf("%d files were received, want %d: %w", len(files), want, err)
	}
	for s.pushing() {
		if err := clock.System().Sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("the connection stays open: %w", err)
		}
	}
	last := files[len(files)-1]
	fmt.Fprintf(ts.Stdout(), "from %s: %s\n%s", last.User, last.Name, last.Data)
	return nil
}

// pushing reports whether the appliance has a connection that uploads files.
func (s *scenario) pushing() bool {
	sockets, err := s.box.Appliance().Net.Sockets()
	return err != nil || slices.ContainsFunc(sockets, func(x network.Socket) bool { return x.Owner == "logpush" })
}
