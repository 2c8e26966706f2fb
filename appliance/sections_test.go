package appliance_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
)

func TestHostNames(t *testing.T) {
	for name, good := range map[string]bool{
		"example.com": true, "a-1.B.c": true, strings.Repeat("a", 63) + ".com": true,
		"": false, "esa": false, "esa.": false, ".com": false, "a..b": false, "-a.com": false, "a-.com": false, "a_b.com": false,
		"10.0.202.7": false, strings.Repeat("a", 64) + ".com": false, strings.Repeat("a.", 127) + "com": false,
	} {
		if err := appliance.ValidHostname(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTimeZones(t *testing.T) {
	s := config.NewStore()
	for zone, good := range map[string]bool{
		"America/Los_Angeles": true, "Etc/GMT": true, "": false, "Local": false, "Mars/Olympus": false, "../etc/passwd": false,
	} {
		d := s.Edit()
		appliance.TimeZone.Set(d, zone)
		_, err := s.Commit(t.Context(), d, config.Change{})
		var invalid *config.InvalidError
		if good != (err == nil || errors.Is(err, config.ErrNoChanges)) || !good && !errors.As(err, &invalid) {
			t.Errorf("%q: %v", zone, err)
		}
	}
}

func TestInterfacesThatCannotBe(t *testing.T) {
	s := config.NewStore()
	for _, c := range []struct {
		change func(i, other *appliance.IPInterface)
		want   string
	}{
		{func(i, _ *appliance.IPInterface) { i.Name = "" }, "no name"},
		{func(i, other *appliance.IPInterface) { other.Name = i.Name }, "two IP interfaces are named Data 1"},
		{func(i, _ *appliance.IPInterface) { i.Jack = "" }, "no Ethernet interface"},
		{func(i, _ *appliance.IPInterface) { i.Netmask = "255.0.255.0" }, `netmask "255.0.255.0"`},
		{func(i, _ *appliance.IPInterface) { i.Netmask = "" }, `netmask ""`},
		{func(i, _ *appliance.IPInterface) { i.IPv4 = netip.MustParseAddr("2001:db8::1") }, "2001:db8::1 for an IPv4 address"},
		{func(i, _ *appliance.IPInterface) { i.IPv6 = netip.MustParsePrefix("10.0.0.1/8") }, "10.0.0.1 for an IPv6 address"},
		{func(i, _ *appliance.IPInterface) { i.IPv4 = netip.MustParseAddr("224.0.0.1") }, "cannot have the address 224.0.0.1"},
		{func(i, _ *appliance.IPInterface) { i.FTP = i.SSH }, "on port 22"},
		{func(i, other *appliance.IPInterface) { other.IPv4 = i.IPv4 }, "Data 1 and Data 2 have the same address"},
	} {
		one, two := data1, data1
		two.Name, two.Jack, two.IPv4 = "Data 2", "Data 2", netip.MustParseAddr("198.51.100.25")
		c.change(&one, &two)
		d := s.Edit()
		appliance.Interfaces.Set(d, appliance.IPInterfaces{List: []appliance.IPInterface{one, two}})
		if _, err := s.Commit(t.Context(), d, config.Change{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestGatewaysAreOfTheirFamily(t *testing.T) {
	s := config.NewStore()
	for _, g := range []appliance.DefaultGateways{
		{IPv4: netip.MustParseAddr("2001:db8::1")},
		{IPv6: netip.MustParseAddr("192.0.2.1")},
	} {
		d := s.Edit()
		appliance.Gateways.Set(d, g)
		var invalid *config.InvalidError
		if _, err := s.Commit(t.Context(), d, config.Change{}); !errors.As(err, &invalid) {
			t.Errorf("%v: %v", g, err)
		}
	}
}
