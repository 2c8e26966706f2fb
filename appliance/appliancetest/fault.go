package appliancetest

import (
	"errors"
	"testing"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A Fault is something that is wrong with a box's network.
type Fault struct {
	box *Box
	t   testing.TB
	id  int
}

// Fault lets something go wrong from now on, until it is removed or the test t ends;
// the appliance may reboot meanwhile. A rule that is refused fails the test.
//
//	box.Fault(t, topology.Rule{Action: "drop", To: mx, Protocol: "tcp", Port: 25, Connections: 2})
func (b *Box) Fault(t testing.TB, r topology.Rule) *Fault {
	t.Helper()
	set, err := b.Faults().Add(r)
	if err != nil {
		t.Fatal("appliancetest: fault: ", err)
	}
	f := &Fault{b, t, set.ID}
	t.Cleanup(f.Remove)
	return f
}

// Remove repairs the network. Removing twice is allowed.
func (f *Fault) Remove() {
	f.t.Helper()
	var gone *netsim.NotFoundError
	if err := f.box.Faults().Remove(f.id); err != nil && !errors.As(err, &gone) {
		f.t.Error("appliancetest: fault:", err)
	}
}

// Hits is how many packets, and of how many connections, the fault has acted on so
// far.
func (f *Fault) Hits() (packets, connections int64) {
	f.t.Helper()
	now, err := f.box.Faults().Get(f.id)
	if err != nil {
		f.t.Fatal("appliancetest: fault: ", err)
	}
	return now.Packets, now.Connections
}
