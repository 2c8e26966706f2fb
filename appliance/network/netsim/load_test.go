package netsim_test

import (
	_ "embed"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
)

// fixture loads a built-in topology.
func fixture(t testing.TB, name string) *topology.Topology {
	t.Helper()
	file, data, ok := fixtures.Topology(name)
	if !ok {
		t.Fatalf("no topology %s", name)
	}
	return load(t, file, string(data))
}

// load loads a topology from text.
func load(t testing.TB, file, text string) *topology.Topology {
	t.Helper()
	topo, err := netsim.Load(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// small is a topology that tests adapt.
//
//go:embed topology/testdata/small.yaml
var small string

// replaceIn replaces the first occurrence of each key.
func replaceIn(text string, changes map[string]string) string {
	for old, new := range changes {
		text = strings.Replace(text, old, new, 1)
	}
	return text
}

func TestBuiltInTopologiesLoad(t *testing.T) {
	for _, name := range fixtures.Topologies() {
		fixture(t, name)
	}
}

// Load checks types and options of servers by package peers.
func TestServersOfATopology(t *testing.T) {
	_, data, _ := fixtures.Topology("minimal")
	for service, want := range map[string]string{
		"{type: bind}": `no server is called "bind", expected one of dhcp, dns, echo, ftpd, mx, ntp, scpd, sink, syslogd, web`,
		"{type: syslogd, options: {after: lunch}}": `"lunch", expected accept, or a number of records or bytes`,
	} {
		text := strings.Replace(string(data), "type: dns", service[len("{"):len(service)-len("}")], 1)
		_, err := netsim.Load("t.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Load = %v, want %s", service, err, want)
		}
	}
}

func TestLabIsAsAttested(t *testing.T) {
	lab := fixture(t, "lab")
	want := topology.Appliance{
		HostName:  "example.com",
		Model:     "C100V",
		Serial:    "421F6D8FB9C75E19C425-C9AEA81B2B70",
		Version:   "14.0.0-698",
		BuildDate: "2021-07-27",
		TimeZone:  "America/Los_Angeles",
		DNS:       []netip.Addr{netip.MustParseAddr("10.0.202.53")},

		DiskQuota: topology.GiB,
		Relays:    []string{"10.0.201.50"},
		Interfaces: []topology.Interface{
			{
				Name: "Data 1", Device: "nic1", Link: 2, MTU: 1500,
				MAC:       topology.MAC{0x00, 0x50, 0x56, 0x0a, 0x02, 0x07},
				Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.202.7/24"), netip.MustParsePrefix("2001:db8:202::7/64")}, QuietIPv6: true,
				Gateway:  netip.MustParsePrefix("10.0.202.1/24"),
				Gateway6: netip.MustParsePrefix("2001:db8:202::1/64"),
				VLANs: []topology.VLAN{{
					ID:       12,
					Gateway:  netip.MustParsePrefix("10.0.12.1/24"),
					Gateway6: netip.MustParsePrefix("2001:db8:12::1/64"),
				}},
			},
			{
				Name: "Data 2", Device: "nic2", Link: 3, MTU: 1500, MAC: topology.MAC{0x00, 0x50, 0x56, 0x0a, 0x03, 0x07},
				Gateway:  netip.MustParsePrefix("10.0.203.1/24"),
				Gateway6: netip.MustParsePrefix("2001:db8:203::1/64"),
			},
			{Name: "Management", Device: "nic0", Link: 1, MTU: 1500, MAC: topology.MAC{0x00, 0x50, 0x56, 0x0a, 0x01, 0x07}},
		},
	}
	if diff := cmp.Diff(want, lab.Appliance, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("the appliance (-want +got):\n%s", diff)
	}
	routers := 0
	for _, p := range lab.Paths {
		if p.Name != "google" {
			continue
		}
		for _, h := range p.Hops {
			routers += len(h.Members)
		}
	}
	if routers != 19 {
		t.Errorf("the path to google.com names %d members, want 19 in 9 hops", routers)
	}
}
