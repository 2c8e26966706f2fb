package control_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/fleet"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
	"github.com/esasim/esasim/shell"
)

// serveFleet runs three appliances of topology minimal, a-1 to a-3, with a server. It returns the
// server's socket.
func serveFleet(t *testing.T) (socket string, f *fleet.Fleet) {
	t.Helper()
	file, err := fleet.Count("a", 3, "minimal", nil, builtIn())
	if err != nil {
		t.Fatal(err)
	}
	return serveFleetOf(t, file)
}

// builtIn has the topologies that are built in.
func builtIn() fleet.Sources {
	return fleet.Sources{Topology: func(name string) (*topology.Topology, error) {
		file, data, _ := fixtures.Topology(name)
		return box.LoadTopology(file, data)
	}}
}

// serveFleetOf runs a fleet with a server. The host keys of those called broken cannot be read.
func serveFleetOf(t *testing.T, file *fleet.File, broken ...string) (socket string, f *fleet.Fleet) {
	t.Helper()
	f, err := fleet.New(fleet.Options{
		File: file, Dir: t.TempDir(),
		Doors: fleet.Doors{Base: netip.MustParseAddrPort("127.0.0.1:0")},
		HostKeys: func(dir string) (crypto.Signer, []shell.LazyHostKey, error) {
			if slices.Contains(broken, filepath.Base(dir)) {
				return nil, nil, errors.New("the key cannot be read")
			}
			return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), nil, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(t.TempDir(), "ctl.sock")
	l, err := control.ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	s := control.NewFleet(f)
	s.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := f.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return socket, f
}

// What is done to one appliance of a fleet, the others do not notice.
func TestAppliancesOfAFleetAreControlledOneByOne(t *testing.T) {
	socket, _ := serveFleet(t)
	client := dialControl(t, "unix", socket)
	second := client.Of("a-2")
	if _, err := second.AddFault(within(t), map[string]string{"action": "drop", "to": "192.0.2.53"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"a-1": 0, "a-2": 1, "a-3": 0} {
		list, err := client.Of(name).Faults(within(t))
		if err != nil || len(list) != want {
			t.Errorf("%s has %d faults, want %d (%v)", name, len(list), want, err)
		}
	}
	if _, err := second.Reset(within(t), true); err != nil {
		t.Fatal(err)
	}
	if list, err := second.Faults(within(t)); err != nil || len(list) != 0 {
		t.Errorf("after a reset a-2 has %d faults (%v)", len(list), err)
	}
	_, err := client.Of("b").Faults(within(t))
	if err == nil || !strings.Contains(err.Error(), `the fleet has no appliance "b"`) {
		t.Errorf("an unknown appliance: %v", err)
	}
}

func TestAppliancesOfAFleetStopAndStart(t *testing.T) {
	socket, f := serveFleet(t)
	client := dialControl(t, "unix", socket)
	for range 2 { // the second request changes nothing
		a, err := client.SetAppliance(within(t), "a-1", false)
		if err != nil || a.State != fleet.Stopped {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	if _, err := client.Of("a-1").Faults(within(t)); err == nil || !strings.Contains(err.Error(), "a-1 does not run") {
		t.Errorf("a stopped appliance answers: %v", err)
	}
	h, err := client.Health(within(t))
	if err != nil || h.Fleet == nil || *h.Fleet != (control.FleetHealth{Name: "a", Running: 2, Stopped: 1}) {
		t.Errorf("health: %+v, %v", h.Fleet, err)
	}
	for range 2 {
		a, err := client.SetAppliance(within(t), "a-1", true)
		if err != nil || a.State != fleet.Running || a.Doors["ssh"] != f.Member("a-1").DoorAddrs()["ssh"] {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	list, err := client.Appliances(within(t))
	if err != nil || len(list) != 3 || list[2].Name != "a-3" {
		t.Errorf("%+v, %v", list, err)
	}
}

// What is done to all appliances says on which it was done. One that is stopped is left out.
func TestActionsOnAFleet(t *testing.T) {
	socket, f := serveFleet(t)
	client := dialControl(t, "unix", socket)
	if _, err := client.SetAppliance(within(t), "a-2", false); err != nil {
		t.Fatal(err)
	}
	both := func(o fleet.Outcome, err error) {
		t.Helper()
		if err != nil || !slices.Equal(o.Done, []string{"a-1", "a-3"}) || len(o.Failed) != 0 {
			t.Errorf("%+v, %v", o, err)
		}
	}

	before := f.Member("a-1").Box().Appliance()
	both(client.RebootFleet(within(t), 1))
	if f.Member("a-1").Box().Appliance() == before {
		t.Error("a-1 was not rebooted")
	}

	both(client.SetFleetClocks(within(t), "2030-01-02T03:04:05Z", time.Hour, 24*time.Hour))
	for name, day := range map[string]int{"a-1": 2, "a-3": 4} { // a-3 is in place 2
		if now := f.Member(name).Box().Now().UTC(); now.Day() != day || now.Hour() != 4 {
			t.Errorf("%s has the time %v, want day %d, hour 4", name, now, day)
		}
	}

	rule := map[string]string{"action": "drop", "to": "192.0.2.53"}
	both(client.PutFleetFault(within(t), "dns-gone", "100%", rule))
	o, err := client.PutFleetFault(within(t), "dns-gone", "34%", rule) // the third of three
	if err != nil || !slices.Equal(o.Done, []string{"a-3"}) {
		t.Errorf("%+v, %v", o, err)
	}
	if list := f.Member("a-1").Box().Faults().List(); len(list) != 0 {
		t.Errorf("a-1 has the faults %v", list)
	}
	if o, err := client.RemoveFleetFault(within(t), "dns-gone"); err != nil || !slices.Equal(o.Done, []string{"a-3"}) {
		t.Errorf("%+v, %v", o, err)
	}
	both(client.ResetFleet(within(t), false))

	_, err = client.PutFleetFault(within(t), "x", "200%", rule)
	if err == nil || !strings.Contains(err.Error(), `"200%", expected a share of the appliances`) {
		t.Errorf("200%%: %v", err)
	}
	o, err = client.PutFleetFault(within(t), "x", "100%", map[string]string{"action": "drop", "path": "nowhere"})
	if err != nil || len(o.Failed) == 0 {
		t.Errorf("an unknown path: %+v, %v", o, err)
	}
	if _, err := client.RemoveFleetFault(within(t), "y"); err == nil || !strings.Contains(err.Error(), `no appliance has a fault called "y"`) {
		t.Errorf("an unknown fault: %v", err)
	}
}

const sharing = `
networks: [{name: office, topology: minimal}]
appliances: [{name: a, count: 2, network: office}, {name: b, topology: minimal}]
`

func loadFleet(t *testing.T, text string) *fleet.File {
	t.Helper()
	file, err := fleet.Load("fleet.yaml", []byte(text), builtIn())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Networks are listed with their appliances, have faults by their names, and follow the clocks.
func TestNetworksOfAFleet(t *testing.T) {
	socket, f := serveFleetOf(t, loadFleet(t, sharing))
	client := dialControl(t, "unix", socket)
	cable := f.Member("a-1").Box().Appliance().Net.Interfaces()[0].Name
	want := []fleet.Network{{
		Name: "office", State: fleet.Running, Topology: "minimal", Interfaces: []string{cable},
		Appliances: []string{"a-1", "a-2"},
	}}
	networks, err := client.Networks(within(t))
	if diff := cmp.Diff(want, networks); diff != "" || err != nil {
		t.Error("the networks, -want +got: ", diff, err)
	}
	appliances, err := client.Appliances(within(t))
	if err != nil || len(appliances) != 3 || appliances[1].Network != "office" || appliances[2].Network != "" {
		t.Errorf("the appliances are %+v, %v", appliances, err)
	}

	office := client.Of("office")
	fault, err := office.AddFault(within(t), map[string]string{"action": "unplug", "cable": cable})
	if err != nil {
		t.Fatal(err)
	}
	await := func(what string, want ...bool) {
		t.Helper()
		for ctx := within(t); ; {
			var got []bool
			for _, m := range f.Members() {
				got = append(got, !m.Box().Appliance().Net.Interfaces()[0].NoCarrier)
			}
			if slices.Equal(got, want) {
				return
			}
			if clock.System().Sleep(ctx, 5*time.Millisecond) != nil {
				t.Fatalf("%s the carriers are %v, want %v", what, got, want)
			}
		}
	}
	await("with the fault", false, false, true)
	if err := office.RemoveFault(within(t), fault.ID); err != nil {
		t.Fatal(err)
	}
	await("without the fault", true, true, true)
	o, err := client.PutFleetFault(within(t), "half", "34%", map[string]string{"action": "unplug", "cable": cable})
	if err != nil || !slices.Equal(o.Done, []string{"b"}) {
		t.Errorf("a fault on a share: %+v, %v", o, err)
	}
	await("with a fault on a third", true, true, false)

	o, err = client.SetFleetClocks(within(t), "2030-01-02T03:04:05Z", time.Hour, 24*time.Hour)
	if err != nil || !slices.Equal(o.Done, []string{"office", "a-1", "a-2", "b"}) || len(o.Failed) != 0 {
		t.Errorf("the clocks are set: %+v, %v", o, err)
	}
	for name, day := range map[string]int{"office": 2, "a-1": 2, "a-2": 3, "b": 4} {
		if now := f.Member(name).Box().Now().UTC(); now.Day() != day || now.Hour() != 4 {
			t.Errorf("%s has the time %v, want day %d, hour 4", name, now, day)
		}
	}
	o, err = client.SetFleetClocks(within(t), "", 0, time.Hour)
	if err != nil || !slices.Equal(o.Done, []string{"a-1", "a-2", "b"}) {
		t.Errorf("the clocks are staggered: %+v, %v", o, err)
	}
}

// A network that could not be started is listed with the reason, and its fleet is not in good health.
func TestNetworkThatDoesNotStart(t *testing.T) {
	socket, _ := serveFleetOf(t, loadFleet(t, sharing), "office")
	client := dialControl(t, "unix", socket)
	list, err := client.Networks(within(t))
	if err != nil || len(list) != 1 || list[0].State != fleet.Failed || !strings.Contains(list[0].Error, "the key cannot be read") {
		t.Errorf("the networks are %+v, %v", list, err)
	}
	if _, err := client.Health(within(t)); err == nil || !strings.Contains(err.Error(), "the network office could not be started") {
		t.Errorf("health: %v", err)
	}
}
