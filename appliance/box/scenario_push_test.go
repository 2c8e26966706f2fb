package box_test

import (
	"context"
	"fmt"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// uploads waits until a server has taken so many whole files, and prints the last.
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
	last := files[len(files)-1]
	fmt.Fprintf(ts.Stdout(), "from %s: %s\n%s", last.User, last.Name, last.Data)
	return nil
}
