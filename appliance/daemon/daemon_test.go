package daemon_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/fixtures"
)

// testTimeout bounds waits that end much earlier unless the test fails.
const testTimeout = 2 * time.Minute

var data1 = netconfig.IPInterface{
	Name: "Data 1", Port: "Data 1", SSH: 22, FTP: 21,
	IPv4: netip.MustParseAddr("192.0.2.25"), Netmask: "255.255.255.0",
}

// A fixture is a table of processes in a simulated network, with a configuration that is applied
// to both.
type fixture struct {
	*daemon.Table
	t      *testing.T
	config *config.Store
	world  *netsim.World
	net    network.Network
}

// newFixture returns a fixture of that version, with the IP interface i.
func newFixture(t *testing.T, v product.Version, i netconfig.IPInterface) *fixture {
	t.Helper()
	_, data, _ := fixtures.Topology("minimal")
	topo, err := netsim.Load("minimal", data)
	if err != nil {
		t.Fatal(err)
	}
	topo.Doors.In = nil
	f := &fixture{t: t}
	if f.world, err = netsim.New(topo, netsim.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.world.Stop(context.Background()) })
	if err := f.world.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.net = f.world.Network()
	factory := config.NewFactory()
	netconfig.Interfaces.SetFactory(factory, netconfig.IPInterfaces{List: []netconfig.IPInterface{i}})
	if f.config, err = config.Open(config.Options{Factory: factory}); err != nil {
		t.Fatal(err)
	}
	f.Table = daemon.New(daemon.Options{
		Net: f.net, Clock: clock.System(), Version: v, Committed: f.config.Committed,
		Hostname: func() string { return "mail.example.com" },
	})
	applier := netconfig.NewApplier(netconfig.Options{
		Net: f.net, AfterCommit: func() {}, Logger: slog.New(slog.DiscardHandler),
	})
	f.config.AddApplier(applier)
	f.config.AddApplier(f.Table)
	applier.Start(f.config.Committed())
	return f
}

// commit commits these IP interfaces.
func (f *fixture) commit(list ...netconfig.IPInterface) error {
	f.t.Helper()
	d := f.config.NewDraft()
	netconfig.Interfaces.Set(d, netconfig.IPInterfaces{List: list})
	_, err := f.config.Commit(f.t.Context(), d, config.CommitInfo{})
	return err
}

// start starts placeholders, which are stopped when the test ends.
func (f *fixture) start(list ...daemon.Process) []*daemon.Placeholder {
	f.t.Helper()
	var started []*daemon.Placeholder
	for _, p := range list {
		d := f.Placeholder(p)
		if err := d.Start(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { d.Stop(context.Background()) })
		started = append(started, d)
	}
	return started
}

// accept accepts connections of p until the test ends, and returns them on a channel.
func (f *fixture) accept(p daemon.Port) <-chan net.Conn {
	f.t.Helper()
	l, err := f.Listen(f.t.Context(), p)
	if err != nil {
		f.t.Fatal(err)
	}
	conns := make(chan net.Conn, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	f.t.Cleanup(func() {
		l.Close()
		<-done
		close(conns)
		for c := range conns {
			c.Close()
		}
	})
	return conns
}

// occupy makes another process listen on that address.
func (f *fixture) occupy(addr string) network.Listener {
	f.t.Helper()
	l, err := f.net.Listen(f.t.Context(), network.ListenConfig{
		Addr: netip.MustParseAddrPort(addr), Owner: "other",
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { l.Close() })
	return l
}

// dial connects to the appliance from another host of its network.
func (f *fixture) dial(to string) (network.Conn, error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), testTimeout)
	defer cancel()
	c, err := f.world.Hosts().Dial(ctx, network.DialConfig{
		Local: netip.MustParseAddrPort("192.0.2.53:0"), Remote: netip.MustParseAddrPort(to),
	})
	if err == nil {
		f.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// sockets returns the appliance's sockets.
func (f *fixture) sockets() []network.Socket {
	f.t.Helper()
	sockets, err := f.net.Sockets()
	if err != nil {
		f.t.Fatal(err)
	}
	return sockets
}

// wantListening compares the open ports, each with its process.
func (f *fixture) wantListening(want ...string) {
	f.t.Helper()
	var got []string
	for _, s := range f.sockets() {
		if s.State == "LISTEN" {
			got = append(got, s.Local.String()+" "+s.Owner)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Error("open ports:\n", diff)
	}
}
