package box_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
)

func labTopology(t *testing.T) *topology.Topology {
	t.Helper()
	file, data, _ := fixtures.Topology("lab")
	topo, err := box.LoadTopology(file, data)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// TestPlacesOfFaults: a fault is shown where it hits.
func TestPlacesOfFaults(t *testing.T) {
	topo := labTopology(t)
	for _, test := range []struct {
		rule string // JSON
		want []string
	}{
		{`{"action": "unplug", "cable": "Data 1"}`, []string{"interface/Data 1"}},
		{`{"action": "drop", "cable": "resolver"}`, []string{"host/resolver"}},
		{`{"action": "drop", "path": "google"}`, []string{"path/google"}},
		{`{"action": "drop", "host": "10.0.201.25"}`, []string{"host/mail"}},
		{`{"action": "drop", "to": "10.0.201.25", "protocol": "tcp", "port": 25}`, []string{"host/mail"}},
		{`{"action": "drop", "protocol": "udp", "port": 53}`, []string{"host/resolver"}},
		{`{"action": "loss", "loss": 0.2}`, []string{"interface/Data 1", "interface/Data 2", "interface/Management"}},
	} {
		var r topology.Rule
		if err := r.UnmarshalJSON([]byte(test.rule)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range box.PlacesOf(topo, r) {
			got = append(got, p.String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s hits %v, want %v", test.rule, got, test.want)
		}
	}
}

// TestBreakAndRepair breaks a host behind the gateways, one on a wire and a path, and repairs them.
func TestBreakAndRepair(t *testing.T) {
	b := appliancetest.Start(t)
	for place, faults := range map[string]int{
		"host/google": 2, // it has two addresses
		"host/backup": 1, "path/google": 1, "interface/Data 2": 1,
	} {
		p, err := b.ParsePlace(place)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time changes nothing
			if added, err := b.Break(p, topology.Rule{Action: "drop"}); err != nil || len(added) != faults {
				t.Fatalf("breaking %s adds %d faults, want %d: %v", place, len(added), faults, err)
			}
		}
		if n := len(b.Faults().List()); n != faults {
			t.Errorf("%s: %d faults, want %d", place, n, faults)
		}
		if n := b.Repair(p); n != faults {
			t.Errorf("repairing %s removes %d faults, want %d", place, n, faults)
		}
	}
	if _, err := b.ParsePlace("host/nobody"); err == nil {
		t.Error("a place that is not in the network is accepted")
	}
}

// TestMeterCounts: the meter counts what the appliance exchanges with a host.
func TestMeterCounts(t *testing.T) {
	b := appliancetest.Start(t)
	m := b.NewMeter()
	defer m.Close()
	if _, _, err := m.Read(); err != nil {
		t.Fatal(err)
	}
	b.Exec("nslookup google.com")
	ports, addrs, err := m.Read()
	resolver := addrs[netip.MustParseAddr("10.0.202.53")]
	if err != nil || resolver.Sent == 0 || resolver.Received == 0 || resolver.SentBytes < 60 {
		t.Errorf("the meter counts %+v for the DNS server: %v", resolver, err)
	}
	if data1 := ports["Data 1"]; data1.Sent < resolver.Sent {
		t.Errorf("the interface has %+v, its neighbor %+v", data1, resolver)
	}
}
