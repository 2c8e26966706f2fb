package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/esasim/esasim/appliance/bench"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
)

// socketName is the name of the control socket in a data directory.
const socketName = "ctl.sock"

// controlStopTimeout bounds how long the end of the program waits for control requests.
const controlStopTimeout = time.Second

// A controlServer answers esasim ctl and esasim health, and serves the test bench.
type controlServer struct {
	server    *control.Server
	socket    string        // "" if there is none
	address   string        // "" without --ctl
	socketErr error         // why there is no socket; nil if there is one
	bench     *bench.Server // nil without --bench
}

// An ownListeners holds the listeners of the simulator's own side. Those without a flag are nil.
type ownListeners struct {
	ctl, bench net.Listener
	token      string // of the bench
}

// close closes the listeners, for a start that has failed.
func (o ownListeners) close() {
	for _, l := range []net.Listener{o.ctl, o.bench} {
		if l != nil {
			l.Close()
		}
	}
}

// listenOwn listens at the addresses of --ctl and --bench. If it fails, it leaves nothing open.
func (s *serve) listenOwn() (own ownListeners, err error) {
	defer func() {
		if err != nil {
			own.close()
		}
	}()
	if s.BenchToken != "" && !s.Bench.IsValid() {
		return own, errors.New("--bench-token needs --bench, such as --bench 127.0.0.1:8090")
	}
	if s.Ctl.IsValid() {
		if own.ctl, err = control.ListenTCP(s.Ctl.AddrPort); err != nil {
			return own, fmt.Errorf(
				"%w: choose another address with --ctl, such as 127.0.0.1:0 for a free port", err)
		}
	}
	if !s.Bench.IsValid() {
		return own, nil
	}
	own.token = bench.NewToken()
	if s.BenchToken != "" {
		if own.token, err = bench.ReadToken(s.BenchToken); err != nil {
			return own, err
		}
	}
	if own.bench, err = bench.Listen(s.Bench.AddrPort, s.BenchToken != ""); err != nil {
		return own, fmt.Errorf(
			"%w: choose another address with --bench, such as 127.0.0.1:0 for a free port", err)
	}
	return own, nil
}

// serveControl answers at a socket in the data directory, and at a listener, which may be nil.
func serveControl(server *control.Server, data *dataDir, tcp net.Listener) *controlServer {
	c := &controlServer{server: server}
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

// openControl answers at the listeners, and at a socket in the data directory. A socket that cannot
// be opened is no reason not to start: the announcement says so, and the appliance itself does not
// need it.
func openControl(b *box.Box, data *dataDir, own ownListeners, log *slog.Logger) *controlServer {
	c := serveControl(control.New(b), data, own.ctl)
	if own.bench != nil {
		c.bench = bench.New(bench.Options{Box: b, Token: own.token, Addr: own.bench.Addr(), Logger: log})
		c.bench.Serve(own.bench)
	}
	return c
}

// benchURL returns the address of the test bench with its token, "" without --bench.
func (c *controlServer) benchURL() string {
	if c.bench == nil {
		return ""
	}
	return c.bench.URL()
}

// stop waits for requests that are being answered, for a bounded time.
func (c *controlServer) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), controlStopTimeout)
	defer cancel()
	err := c.server.Stop(ctx)
	if c.bench != nil {
		err = errors.Join(err, c.bench.Stop(ctx))
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// announce prints command lines with a verb of esasim ctl that reach the server, and the address of the test bench.
func (c *controlServer) announce(w io.Writer, verb string) {
	if c.socket != "" {
		fmt.Fprintf(w, "  %-5s %s\n", "ctl", "esasim ctl --socket "+c.socket+" "+verb)
	} else {
		fmt.Fprintf(w, "  %-5s no socket: %s\n", "ctl", oneLine(c.socketErr))
	}
	if c.address != "" {
		fmt.Fprintf(w, "  %-5s %s\n", "ctl", "esasim ctl --addr "+c.address+" "+verb)
	}
	if c.bench != nil {
		fmt.Fprintf(w, "  %-5s %s\n", "bench", c.bench.URL())
	}
}

// socketVariable is the environment variable that stands for --socket.
const socketVariable = "ESASIM_SOCKET"

// A target holds the flags that name a running appliance.
type target struct {
	Topology string  `predictor:"topology" placeholder:"NAME|FILE" help:"The topology of the appliance, if the appliance uses the default data directory of that topology (default: lab)."`
	Socket   string  `xor:"where" predictor:"file" env:"ESASIM_SOCKET" placeholder:"PATH" help:"The control socket or the data directory of the appliance, instead of its topology."`
	Addr     address `xor:"where" placeholder:"ADDR" help:"The address of the control API, as given to the appliance by --ctl, instead of its topology."`
	Member   string  `name:"appliance" predictor:"member" placeholder:"NAME" help:"The appliance of a fleet, whose data directory or address --socket or --addr gives."`
}

// topology returns the topology of the appliance if the flags name no socket or address.
func (t *target) topology() string { return cmp.Or(t.Topology, "lab") }

// client returns a client of the appliance that the flags name. It does not connect yet.
func (t *target) client() (*control.Client, error) {
	c, err := t.process()
	if err == nil && t.Member != "" {
		c = c.Of(t.Member)
	}
	return c, err
}

// process returns a client of the process that the flags name.
func (t *target) process() (*control.Client, error) {
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
