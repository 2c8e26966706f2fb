package netconfig_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
)

var data1 = netconfig.IPInterface{
	Name: "Data 1", Port: "Data 1", SSH: 22, FTP: 21,
	IPv4: netip.MustParseAddr("192.0.2.25"), Netmask: "255.255.255.0",
}

func TestCheckHostname(t *testing.T) {
	for name, good := range map[string]bool{
		"example.com": true, "a-1.B.c": true, strings.Repeat("a", 63) + ".com": true,
		"": false, "esa": false, "esa.": false, ".com": false, "a..b": false,
		"-a.com": false, "a-.com": false, "a_b.com": false, "10.0.202.7": false,
		strings.Repeat("a", 64) + ".com": false, strings.Repeat("a.", 127) + "com": false,
	} {
		if err := netconfig.CheckHostname(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestInvalidInterfaces(t *testing.T) {
	s := config.NewStore()
	for _, c := range []struct {
		change func(i, other *netconfig.IPInterface)
		want   string
	}{
		{func(i, _ *netconfig.IPInterface) { i.Name = "" }, "no name"},
		{
			func(i, other *netconfig.IPInterface) { other.Name = i.Name },
			"Two IP interfaces are named Data 1.",
		},
		{func(i, _ *netconfig.IPInterface) { i.Port = "" }, "no Ethernet interface"},
		{func(i, _ *netconfig.IPInterface) { i.Netmask = "255.0.255.0" }, `netmask "255.0.255.0"`},
		{func(i, _ *netconfig.IPInterface) { i.Netmask = "" }, `netmask ""`},
		{
			func(i, _ *netconfig.IPInterface) { i.IPv4 = netip.MustParseAddr("2001:db8::1") },
			"2001:db8::1 for an IPv4 address",
		},
		{
			func(i, _ *netconfig.IPInterface) { i.IPv6 = netip.MustParsePrefix("10.0.0.1/8") },
			"10.0.0.1 for an IPv6 address",
		},
		{
			func(i, _ *netconfig.IPInterface) { i.IPv4 = netip.MustParseAddr("224.0.0.1") },
			"cannot have the address 224.0.0.1",
		},
		{func(i, _ *netconfig.IPInterface) { i.FTP = i.SSH }, "on port 22"},
		{
			func(i, other *netconfig.IPInterface) { other.IPv4 = i.IPv4 },
			"Data 1 and Data 2 have the same address",
		},
	} {
		one, two := data1, data1
		two.Name, two.Port, two.IPv4 = "Data 2", "Data 2", netip.MustParseAddr("198.51.100.25")
		c.change(&one, &two)
		d := s.NewDraft()
		netconfig.Interfaces.Set(d, netconfig.IPInterfaces{List: []netconfig.IPInterface{one, two}})
		_, err := s.Commit(t.Context(), d, config.CommitInfo{})
		if text, _ := refusal.Text(err); !strings.Contains(text, c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestGatewayOfOtherFamilyIsRefused(t *testing.T) {
	s := config.NewStore()
	for _, g := range []netconfig.DefaultGateways{
		{IPv4: netip.MustParseAddr("2001:db8::1")},
		{IPv6: netip.MustParseAddr("192.0.2.1")},
	} {
		d := s.NewDraft()
		netconfig.Gateways.Set(d, g)
		var invalid *config.InvalidError
		if _, err := s.Commit(t.Context(), d, config.CommitInfo{}); !errors.As(err, &invalid) {
			t.Errorf("%v: %v", g, err)
		}
	}
}

// Two ports must not be attached to the same network.
func TestOverlappingNetworks(t *testing.T) {
	for _, c := range []struct {
		port, addr, mask string
		refused          bool
	}{
		{"Data 2", "192.0.2.130", "255.255.255.128", true},
		{"Data 2", "192.0.2.130", "255.255.255.255", false}, // a single address has no network
		{"Data 2", "192.0.3.25", "255.255.255.0", false},
		{"Data 2", "192.0.3.25", "255.255.254.0", true},
		{"Data 1", "192.0.2.130", "255.255.255.128", false},
	} {
		s := config.NewStore()
		other := data1
		other.Name, other.Port = "Other", c.port
		other.IPv4, other.Netmask = netip.MustParseAddr(c.addr), c.mask
		d := s.NewDraft()
		netconfig.Interfaces.Set(d, netconfig.IPInterfaces{List: []netconfig.IPInterface{data1, other}})
		_, err := s.Commit(t.Context(), d, config.CommitInfo{})
		if refused := err != nil; refused != c.refused {
			t.Errorf("%+v: %v", c, err)
		}
		const want = "in the network of 192.0.2.25/24 of Data 1, which is on Data 1"
		if text, _ := refusal.Text(err); err != nil && !strings.Contains(text, want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestPortsAndGroups(t *testing.T) {
	port := func(l ...netconfig.Port) func(*config.Draft) {
		return func(d *config.Draft) { netconfig.Ports.Set(d, netconfig.PortList{List: l}) }
	}
	group := func(l ...netconfig.IPGroup) func(*config.Draft) {
		return func(d *config.Draft) {
			netconfig.Interfaces.Set(d, netconfig.IPInterfaces{List: []netconfig.IPInterface{data1}})
			netconfig.IPGroups.Set(d, netconfig.IPGroupList{List: l})
		}
	}
	nic := netconfig.Port{Name: "Data 1", Ethernet: "Data 1", MTU: 1500}
	vlan := netconfig.Port{Name: "VLAN 12", Ethernet: "Data 1", MTU: 1500, VLAN: 12}
	wide, orphan, nested, high := vlan, vlan, vlan, vlan
	wide.MTU = 1501
	orphan.Ethernet = "Data 2"
	nested.Name, nested.VLAN, nested.Ethernet = "VLAN 13", 13, "VLAN 12"
	high.Name, high.VLAN = "VLAN 4095", 4095
	small := nic
	small.MTU = 575
	for _, c := range []struct {
		change func(*config.Draft)
		want   string // a part of the refusal; "": it is valid
	}{
		{port(nic, vlan), ""},
		{port(nic, nic), "name of its own"},
		{port(small), "The MTU of Data 1 is 575"},
		{port(nic, wide), "must not be greater than that of Data 1, which is 1500"},
		{port(nic, orphan), "bound to Data 2, which is no Ethernet interface"},
		{port(nic, vlan, nested), "bound to VLAN 12, which is no Ethernet interface"},
		{port(nic, high), "must be from 1 to 4094"},
		{group(netconfig.IPGroup{Name: "All", Interfaces: []string{"Data 1"}}), ""},
		{group(netconfig.IPGroup{Name: "All"}), "no IP interface"},
		{
			group(netconfig.IPGroup{Name: "All", Interfaces: []string{"Data 2"}}),
			"Data 2, which does not exist",
		},
		{group(netconfig.IPGroup{Name: "Data 1", Interfaces: []string{"Data 1"}}), "name of its own"},
	} {
		s := config.NewStore()
		d := s.NewDraft()
		c.change(d)
		_, err := s.Commit(t.Context(), d, config.CommitInfo{})
		text, _ := refusal.Text(err)
		if c.want == "" && err != nil || !strings.Contains(text, c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
