package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
)

// socketName is the name of the control socket in a data directory.
const socketName = "ctl.sock"

// controlStopTimeout bounds how long the end of the program waits for control requests.
const controlStopTimeout = time.Second

// A controlServer answers esasim ctl and esasim health.
type controlServer struct {
	server    *control.Server
	socket    string // "" if there is none
	address   string // "" without --ctl
	socketErr error  // why there is no socket; nil if there is one
}

// listenControl listens at the address of --ctl. Without that flag it returns nil.
func (s *serve) listenControl() (net.Listener, error) {
	if !s.Ctl.IsValid() {
		return nil, nil
	}
	l, err := control.ListenTCP(s.Ctl.AddrPort)
	if err != nil {
		return nil, fmt.Errorf(
			"%w: choose another address with --ctl, such as 127.0.0.1:0 for a free port", err)
	}
	return l, nil
}

// openControl answers at a listener, which may be nil, and at a socket in the data directory. A
// socket that cannot be opened is no reason not to start: the announcement says so, and the
// appliance itself does not need it.
func openControl(b *box.Box, data *dataDir, tcp net.Listener) *controlServer {
	c := &controlServer{server: control.New(b)}
	path := filepath.Join(data.path, socketName)
	l, err := control.ListenUnix(path)
	if c.socketErr = err; err == nil {
		c.socket = path
		c.server.Serve(l)
	}
	if tcp != nil {
		c.address = tcp.Addr().String()
		c.server.Serve(tcp)
	}
	return c
}

// stop waits for requests that are being answered, for a bounded time.
func (c *controlServer) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), controlStopTimeout)
	defer cancel()
	if err := c.server.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// announce prints command lines that reach the server.
func (c *controlServer) announce(w io.Writer) {
	if c.socket != "" {
		fmt.Fprintf(w, "  %-5s %s\n", "ctl", "esasim ctl --socket "+c.socket+" fault list")
	} else {
		fmt.Fprintf(w, "  %-5s no socket: %s\n", "ctl", oneLine(c.socketErr))
	}
	if c.address != "" {
		fmt.Fprintf(w, "  %-5s %s\n", "ctl", "esasim ctl --addr "+c.address+" fault list")
	}
}

// socketVariable is the environment variable that stands for --socket.
const socketVariable = "ESASIM_SOCKET"

// A target holds the flags that name a running appliance.
type target struct {
	Topology string  `predictor:"topology" placeholder:"NAME|FILE" help:"The topology of the appliance, if the appliance uses the default data directory of that topology (default: lab)."`
	Socket   string  `xor:"where" predictor:"file" env:"ESASIM_SOCKET" placeholder:"PATH" help:"The control socket or the data directory of the appliance, instead of its topology."`
	Addr     address `xor:"where" placeholder:"ADDR" help:"The address of the control API, as given to the appliance by --ctl, instead of its topology."`
}

// topology returns the topology of the appliance if the flags name no socket or address.
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
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
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
	_, dir := dataDirName(topology)
	return filepath.Join(home, dir, socketName), nil
}
