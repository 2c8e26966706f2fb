package box_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// fault adds or removes a fault, or waits until it has applied to packets.
func (s *scenario) fault(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("fault %q, expected add, remove or await", args)
	}
	if args[0] == "add" {
		keys := map[string]string{"action": args[1]}
		for _, a := range args[2:] {
			key, value, _ := strings.Cut(a, "=")
			keys[key] = value
		}
		text, err := json.Marshal(keys)
		if err != nil {
			return err
		}
		var r topology.Rule
		if err := json.Unmarshal(text, &r); err != nil {
			return err
		}
		f, err := s.box.Faults().Add(r)
		if err == nil {
			fmt.Fprintln(ts.Stdout(), f.ID)
		}
		return err
	}
	if args[0] == "remove" && args[1] == "all" {
		s.box.Faults().Clear()
		return nil
	}
	id, err := strconv.Atoi(args[1])
	switch {
	case err != nil:
		return err
	case args[0] == "remove":
		return s.box.Faults().Remove(id)
	}
	want, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scenarioTimeout)
	defer cancel()
	for {
		f, err := s.box.Faults().Get(id)
		if err != nil || f.Packets >= want {
			return err
		}
		if err := clock.System().Sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("fault %d has applied to only %d packets", id, f.Packets)
		}
	}
}

func (s *scenario) connect(_ *testscript.TestScript, args []string) error {
	to, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := s.box.Appliance().Net.Dial(ctx, network.DialConfig{Remote: to})
	if err != nil {
		return err
	}
	return c.Close()
}

func (s *scenario) reboot(ts *testscript.TestScript, _ []string) error {
	if err := s.ssh(ts, []string{"reboot", "0"}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scenarioTimeout)
	defer cancel()
	if err := s.box.WaitSettled(ctx); err != nil {
		return err
	}
	return s.run.tap()
}
