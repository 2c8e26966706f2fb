package netconfig_test

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/fixtures"
)

// newStore returns a store with that factory, whose commits are applied to a network that has the
// Ethernet interface Data 1.
func newStore(t *testing.T, f *config.Factory) (*config.Store, network.Network) {
	t.Helper()
	_, data, _ := fixtures.Topology("minimal")
	topo, err := netsim.Load("minimal", data)
	if err != nil {
		t.Fatal(err)
	}
	topo.Doors.In = nil
	w, err := netsim.New(topo, netsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Stop(context.Background()) })
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := config.Open(config.Options{Factory: f})
	if err != nil {
		t.Fatal(err)
	}
	a := netconfig.NewApplier(netconfig.Options{
		Net: w.Network(), AfterCommit: func() {}, Logger: slog.New(slog.DiscardHandler),
	})
	a.Start(s.Committed())
	s.AddApplier(a)
	return s, w.Network()
}

// oneInterface returns a factory with data1 and the given default gateway.
func oneInterface(gateway string) *config.Factory {
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, interfaces(data1))
	netconfig.Gateways.SetFactory(f, netconfig.DefaultGateways{IPv4: netip.MustParseAddr(gateway)})
	return f
}

func interfaces(list ...netconfig.IPInterface) netconfig.IPInterfaces {
	return netconfig.IPInterfaces{List: list}
}

func commit(t *testing.T, s *config.Store, change func(*config.Draft)) error {
	t.Helper()
	d := s.NewDraft()
	change(d)
	_, err := s.Commit(t.Context(), d, config.CommitInfo{})
	return err
}

// wantRoutes compares the routes that have a gateway.
func wantRoutes(t *testing.T, n network.Network, want ...string) {
	t.Helper()
	rows, err := n.Routes()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		if r.Gateway.IsValid() {
			got = append(got, r.Dst.String()+" "+r.Gateway.String()+" "+r.Interface)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("routes:\n", diff)
	}
}

func TestAddressMovesToAnotherPort(t *testing.T) {
	s, n := newStore(t, oneInterface("192.0.2.1"))
	for _, port := range []string{"VLAN 12", "Data 1", "VLAN 12"} {
		err := commit(t, s, func(d *config.Draft) {
			netconfig.Ports.Set(d, netconfig.PortList{List: []netconfig.Port{
				{Name: "Data 1", Ethernet: "Data 1", MTU: 1500},
				{Name: "VLAN 12", Ethernet: "Data 1", MTU: 1500, VLAN: 12},
			}})
			moved := data1
			moved.Port = port
			netconfig.Interfaces.Set(d, interfaces(moved))
		})
		if err != nil {
			t.Fatal(port, err)
		}
		wantRoutes(t, n, "0.0.0.0/0 192.0.2.1 "+port)
	}
}

func TestUnmetDemandsAreRefused(t *testing.T) {
	s, n := newStore(t, oneInterface("192.0.2.1"))
	route := func(to, gateway string) func(*config.Draft) {
		return func(d *config.Draft) {
			netconfig.Routes.Set(d, netconfig.RouteList{List: []netconfig.StaticRoute{{
				Name:        "R",
				Destination: netip.MustParsePrefix(to),
				Gateway:     netip.MustParseAddr(gateway),
			}}})
		}
	}
	gateway := func(a string) func(*config.Draft) {
		return func(d *config.Draft) {
			netconfig.Gateways.Set(d, netconfig.DefaultGateways{IPv4: netip.MustParseAddr(a)})
		}
	}
	const unattached = " is on no network that an IP interface is attached to."
	for _, c := range []struct {
		change func(*config.Draft)
		want   string
	}{
		{route("198.51.100.0/24", "203.0.113.1"), "The gateway 203.0.113.1 of the route R" + unattached},
		{
			route("198.51.100.0/24", "192.0.2.25"),
			"The gateway 192.0.2.25 of the route R is the appliance's own address.",
		},
		{
			route("192.0.2.0/24", "192.0.2.1"),
			"The destination of the route R is the network that Data 1 is on.",
		},
		{gateway("203.0.113.1"), "The default gateway 203.0.113.1" + unattached},
		{gateway("192.0.2.25"), "The default gateway 192.0.2.25 is the appliance's own address."},
		{
			func(d *config.Draft) { netconfig.Interfaces.Set(d, interfaces()) },
			"The default gateway 192.0.2.1" + unattached,
		},
		{
			func(d *config.Draft) {
				netconfig.Ports.Set(d, netconfig.PortList{List: []netconfig.Port{
					{Name: "Data 9", Ethernet: "Data 9", MTU: 1500},
					{Name: "Data 1", Ethernet: "Data 1", MTU: 1500},
				}})
			},
			"The Ethernet interface Data 9 does not exist.",
		},
		{
			func(d *config.Draft) {
				elsewhere := data1
				elsewhere.Port = "Data 9"
				netconfig.Interfaces.Set(d, interfaces(elsewhere))
				netconfig.Gateways.Set(d, netconfig.DefaultGateways{})
			},
			"The IP interface Data 1 is on the Ethernet interface Data 9, which does not exist.",
		},
	} {
		text, _ := refusal.Text(commit(t, s, c.change))
		if text != "The changes cannot be committed.\n"+c.want {
			t.Errorf("%q, want %q", text, c.want)
		}
	}
	wantRoutes(t, n, "0.0.0.0/0 192.0.2.1 Data 1")
	if addrs := n.Interfaces()[0].Addrs; len(addrs) != 1 || addrs[0].String() != "192.0.2.25/24" {
		t.Errorf("Data 1 has %v", addrs)
	}
}

// If the configuration does not fit the network, as much as possible is established, and changes to
// other sections can be committed.
func TestStartInAnotherNetwork(t *testing.T) {
	f := oneInterface("203.0.113.1")
	missing := data1
	missing.Name, missing.Port, missing.IPv4 = "Data 9", "Data 9", netip.MustParseAddr("203.0.113.9")
	netconfig.Interfaces.SetFactory(f, interfaces(data1, missing))
	netconfig.Routes.SetFactory(f, netconfig.RouteList{List: []netconfig.StaticRoute{{
		Name:        "Near",
		Destination: netip.MustParsePrefix("198.51.100.0/25"),
		Gateway:     netip.MustParseAddr("192.0.2.53"),
	}}})
	s, n := newStore(t, f)
	wantRoutes(t, n, "198.51.100.0/25 192.0.2.53 Data 1")
	err := commit(t, s, func(d *config.Draft) { netconfig.Hostname.Set(d, "kept.example.com") })
	if err != nil {
		t.Error("a change to another section:", err)
	}
}
