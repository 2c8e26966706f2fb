package netconfig

import (
	"net/netip"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// Gateways is the section of the default routes.
var Gateways = config.Define("default_gateway", DefaultGateways{}, DefaultGateways.check,
	config.In(config.Network, 30))

// DefaultGateways is the value of Gateways; a zero address means that there is none.
type DefaultGateways struct {
	IPv4 netip.Addr `xml:"ip"`
	IPv6 netip.Addr `xml:"ip6"`
}

func (g DefaultGateways) check(*config.Config) error {
	if g.IPv4.IsValid() && !g.IPv4.Is4() {
		return refusal.Newf("The IPv4 gateway %v is no IPv4 address.", g.IPv4)
	}
	if g.IPv6.IsValid() && !g.IPv6.Is6() {
		return refusal.Newf("The IPv6 gateway %v is no IPv6 address.", g.IPv6)
	}
	return nil
}

// Routes is the section of the static routes other than the default routes.
var Routes = config.Define("routes", RouteList{}, RouteList.check, config.In(config.Network, 35))

// RouteList is the value of Routes.
type RouteList struct {
	List []StaticRoute `xml:"route"`
}

func (l RouteList) check(*config.Config) error {
	names, nets := map[string]bool{}, map[netip.Prefix]string{}
	for _, r := range l.List {
		if r.Name == "" || names[r.Name] {
			return refusal.Newf("Every route needs a name of its own, unlike %q.", r.Name)
		}
		names[r.Name] = true
		d := r.Destination
		if !d.IsValid() || d != d.Masked() || d.Bits() == 0 {
			return refusal.Newf("The route %s has the destination %v: expected an address or a network "+
				"other than the default route's.", r.Name, d)
		}
		if !r.Gateway.IsValid() || r.Gateway.Is4() != d.Addr().Is4() {
			return refusal.Newf("The gateway of the route %s must be an address of the same IP version "+
				"as its destination.", r.Name)
		}
		if other, taken := nets[d]; taken {
			return refusal.Newf("The routes %s and %s have the same destination.", other, r.Name)
		}
		nets[d] = r.Name
	}
	return nil
}

// A StaticRoute is a route to a network by way of a gateway.
type StaticRoute struct {
	Name        string       `xml:"route_name"`
	Destination netip.Prefix `xml:"destination"`
	Gateway     netip.Addr   `xml:"gateway"`
}
