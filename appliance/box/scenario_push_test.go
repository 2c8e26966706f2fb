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
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// uploads waits until a server has taken so many whole files, and the connection is over
// that they came by: another file could still go that way. It prints the last.
func (s *story) uploads(ts *testscript.TestScript, args []string) error {
	x, ok := s.box.World().Peer(args[0]).(interface {
		Await(ctx context.Context, n int) ([]peers.Upload, error)
	})
	if !ok {
		return fmt.Errorf("%s is no server that takes files", args[0])
	}
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	files, err := x.Await(ctx, want)
	if err != nil {
		return fmt.Errorf("%d files came, not %d: %w", len(files), want, err)
	}
	for s.pushing() {
		if err := clock.System().Sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("the connection stays: %w", err)
		}
	}
	last := files[len(files)-1]
	fmt.Fprintf(ts.Stdout(), "from %s: %s\n%s", last.User, last.Name, last.Data)
	return nil
}

// pushing reports whether the appliance is connected to a server that takes files.
func (s *story) pushing() bool {
	sockets, err := s.box.Appliance().Net.Sockets()
	return err != nil || slices.ContainsFunc(sockets, func(x network.Socket) bool { return x.Owner == "logpush" })
}
