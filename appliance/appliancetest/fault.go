package appliancetest

import (
	"errors"
	"testing"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A Fault is a fault in the network of a box.
type Fault struct {
	box *Box
	t   testing.TB
	id  int
}

// Fault adds a fault to the network of the running box. The fault applies until it is removed
// or the test t ends, and survives a reboot of the appliance. If the rule has a mistake, the
// test fails.
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

// Preset adds the faults of a preset, such as "dns-gone" or "slow-link", until the test t ends. If there
// is no such preset, the test fails.
func (b *Box) Preset(t testing.TB, name string) {
	t.Helper()
	if _, err := b.Faults().SetPreset(name, true); err != nil {
		t.Fatal("appliancetest: preset: ", err)
	}
	t.Cleanup(func() {
		if _, err := b.Faults().SetPreset(name, false); err != nil {
			t.Error("appliancetest: preset: ", err)
		}
	})
}

// Remove removes the fault. It may be called more than once.
func (f *Fault) Remove() {
	f.t.Helper()
	var gone *netsim.NotFoundError
	if err := f.box.Faults().Remove(f.id); err != nil && !errors.As(err, &gone) {
		f.t.Error("appliancetest: fault:", err)
	}
}

// Hits returns how many packets the fault has matched so far, and to how many connections they
// belonged.
func (f *Fault) Hits() (packets, connections int64) {
	f.t.Helper()
	now, err := f.box.Faults().Get(f.id)
	if err != nil {
		f.t.Fatal("appliancetest: fault: ", err)
	}
	return now.Packets, now.Connections
}
