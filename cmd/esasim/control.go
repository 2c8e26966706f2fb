package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
)

// socketName is the control socket's in a data directory.
const socketName = "ctl.sock"

// controlGrace is what requests are given when the program ends.
const controlGrace = time.Second

// A controller lets esasim ctl in.
type controller struct {
	server  *control.Server
	socket  string // "" if there is none
	address string // likewise
	why     error  // there is no socket
}

// openControl listens in the data directory, and where --ctl says. That a socket cannot be
// had is not worth refusing to start: who does not look for it does not miss it.
func (s *serve) openControl(b *box.Box, data *dataDir) (*controller, error) {
	c := &controller{server: control.New(b)}
	path := filepath.Join(data.path, socketName)
	l, err := control.ListenUnix(path)
	if c.why = err; err == nil {
		c.socket = path
		c.server.Serve(l)
	}
	if !s.Ctl.IsValid() {
		return c, nil
	}
	if l, err = control.ListenTCP(s.Ctl.AddrPort); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	c.address = l.Addr().String()
	c.server.Serve(l)
	return c, nil
}

func (c *controller) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), controlGrace)
	defer cancel()
	if err := c.server.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (c *controller) announce(w io.Writer) {
	if c.socket != "" {
		fmt.Fprintf(w, "  %-5s %s\n", "ctl", "esasim ctl --socket "+c.socket+" fault list")
	} else {
		fmt.Fprintf(w, "  %-5s no socket: %s\n", "ctl", oneLine(c.why))
	}
	if c.address != "" {
		fmt.Fprintf(w, "  %-5s %s\n", "ctl", "esasim ctl --addr "+c.address+" fault list")
	}
}

// socketVariable is the environment variable that stands for --socket.
const socketVariable = "ESASIM_SOCKET"

// A target holds the flags that name a running appliance.
type target struct {
	Topology string  `predictor:"topology" placeholder:"NAME|FILE" help:"The appliance that runs this topology in its usual directory (default: lab), unless the next two say which."`
	Socket   string  `xor:"where" predictor:"file" env:"ESASIM_SOCKET" placeholder:"PATH" help:"The appliance's control socket, or its data directory."`
	Addr     address `xor:"where" placeholder:"ADDR" help:"The address that the appliance's --ctl names, instead of a socket."`
}

// topology returns the topology of the appliance that the flags name by its topology.
func (t *target) topology() string { return cmp.Or(t.Topology, "lab") }

// client returns a client of the appliance that the flags name. It does not connect yet.
func (t *target) client() (*control.Client, error) {
	if t.Addr != (address{}) {
		if t.Addr.Addr().IsUnspecified() { // ":4000"
			t.Addr.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), t.Addr.Port())
		}
		return control.Dial("tcp", t.Addr.String()), nil
	}
	path := t.Socket
	if path == "" {
		var err error
		if path, err = defaultSocket(t.topology()); err != nil {
			return nil, err
		}
	}
	if isDir(path) {
		path = filepath.Join(path, socketName)
	}
	return control.Dial("unix", path), nil
}

// defaultSocket returns the control socket of the appliance that "esasim --topology
// TOPOLOGY" runs.
func defaultSocket(topology string) (string, error) {
	home, err := stateHome()
	if err != nil {
		return "", err
	}
	_, dir := topologyIdentity(topology)
	return filepath.Join(home, dir, socketName), nil
}
