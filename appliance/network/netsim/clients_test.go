package netsim_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
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

// The appliance's own connections are opened in the background, but nobody sees the sockets or the
// counters of faults before they are open.
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
