package netsim_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// distant returns topology lab with a path of the given delay to the host of the connection that
// the appliance opens and closes again.
func distant(t *testing.T, delay time.Duration) *topology.Topology {
	t.Helper()
	lab := fixture(t, "lab")
	for i := range lab.Paths {
		if p := &lab.Paths[i]; p.To.Contains(addr("96.17.177.18")) {
			p.Delay = delay
			return lab
		}
	}
	t.Fatal("topology lab has no path to 96.17.177.18")
	return nil
}

// The appliance's own connections are opened when somebody looks, and nobody sees the sockets or
// the counters of faults before they are open.
func TestWorldIsShownWithItsConnections(t *testing.T) {
	topo := distant(t, 100*time.Millisecond)
	to := netip.MustParsePrefix("96.17.177.18/32")
	topo.Rules = append(topo.Rules, topology.Rule{Action: "pass", To: to})
	w := start(t, topo)
	if err := w.StartClients(within(t, testTimeout)); err != nil {
		t.Fatal(err)
	}
	if n := w.Faults().List()[0].Connections; n != 1 {
		t.Errorf("the rule applied to %d connections, want 1", n)
	}
	sockets, err := w.Network().Sockets()
	if err != nil {
		t.Fatal(err)
	}
	state := ""
	for _, s := range sockets {
		if s.Remote == addrPort("96.17.177.18:80") {
			state = s.State
		}
	}
	if state != "TIME_WAIT" {
		t.Errorf("the connection to 96.17.177.18 is in state %q, want TIME_WAIT", state)
	}
}

// started returns the number of connections that the appliance has begun to open, without looking
// at the world.
func started(t *testing.T, stream *events.Stream) (n int) {
	t.Helper()
	list, err := stream.After(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Fields.Kind() == (vnet.ConnectionStarted{}).Kind() {
			n++
		}
	}
	return n
}

// The appliance opens its connections when somebody looks for the first time, or at the start if
// somebody looks already.
func TestConnectionsOpenForThoseWhoLook(t *testing.T) {
	const connections = 3 // that lab opens before the first login
	for _, look := range []struct {
		name          string
		before, after func(w *netsim.World)
	}{
		{name: "nobody"},
		{name: "neighbors", after: func(w *netsim.World) { w.Network().Neighbors() }},
		{name: "servers", after: func(w *netsim.World) { w.Servers() }},
		{name: "faults", after: func(w *netsim.World) { w.Faults().List() }},
		{name: "events", before: func(w *netsim.World) { w.LookAtClients() }},
		{name: "tap", before: func(w *netsim.World) {
			w.Network().Tap(network.TapConfig{Interface: "Data 1", Sink: func(network.Frame) {}})
		}},
	} {
		t.Run(look.name, func(t *testing.T) {
			stream := events.NewStream(clock.System())
			stream.Keep(events.DefaultKept)
			w := start(t, fixture(t, "lab"), func(o *netsim.Options) { o.Events = stream })
			if look.before != nil {
				look.before(w)
			}
			if err := w.StartClients(within(t, testTimeout)); err != nil {
				t.Fatal(err)
			}
			if n := started(t, stream); n > 0 && look.before == nil {
				t.Errorf("%d connections are opened although nobody looks", n)
			}
			want := 0
			switch {
			case look.after != nil:
				look.after(w)
				want = connections
			case look.before != nil:
				want = connections
			}
			for ctx := within(t, testTimeout); ; {
				n := started(t, stream)
				if n == want {
					break
				}
				if look.before == nil || clock.System().Sleep(ctx, time.Millisecond) != nil {
					t.Fatalf("%d connections are open, want %d", n, want)
				}
			}
		})
	}
}

// A connection to a real machine is opened although nobody looks at the world.
func TestConnectionThatLeadsOutOpensAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	real := l.Addr().(*net.TCPAddr).AddrPort()
	lab := fixture(t, "lab")
	lab.Doors.Out = []topology.BackDoor{
		{Address: addr("10.0.201.5"), Port: 443, To: real.Addr(), ToPort: real.Port()},
	}
	w := start(t, lab)
	if err := w.StartClients(within(t, testTimeout)); err != nil {
		t.Fatal(err)
	}
	l.(*net.TCPListener).SetDeadline(clock.System().Now().Add(testTimeout))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// A world can be stopped while its connections are being opened.
func TestStopWhileConnectionsOpen(t *testing.T) {
	checkLeaks(t, func() {
		w := start(t, distant(t, time.Hour))
		if err := w.StartClients(within(t, testTimeout)); err != nil {
			t.Fatal(err)
		}
		shown := make(chan int)
		go func() { shown <- len(w.Servers()) }()
		if err := w.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if n := <-shown; n == 0 {
			t.Error("the world has no servers")
		}
	})
}
