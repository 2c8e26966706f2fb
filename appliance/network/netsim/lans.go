package netsim

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// A VLAN is one that a wire carries, with a router in it. That does not put the
// appliance into it: its administrator does.
type VLAN struct {
	ID       int          `yaml:"id"`       // 1 to 4094
	Gateway  netip.Prefix `yaml:"gateway"`  // its router, with the length of the network: 10.0.12.1/24
	Gateway6 netip.Prefix `yaml:"gateway6"` // one of the two is needed
}

// DefaultGateways are the routers on the interface's wire that the appliance reaches
// before anybody configures it; invalid where there is none.
func (n *Interface) DefaultGateways() (v4, v6 netip.Addr) {
	reached := func(gw netip.Prefix) netip.Addr {
		if slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool { return gw.IsValid() && p.Contains(gw.Addr()) }) {
			return gw.Addr()
		}
		return netip.Addr{}
	}
	return reached(n.Gateway), reached(n.Gateway6)
}

// A lan is what hears one broadcast: a wire's machines without VLAN, or those in one of
// its VLANs.
type lan struct {
	name    string // for messages
	iface   *Interface
	vlan    int            // ID; 0: none
	mac     ether.MAC      // the router's
	routers []netip.Prefix // its addresses
	nets    []netip.Prefix // with an address in each, the appliance's or the router's
}

// lans lists all. The router of each is a machine of its own on the wire.
func (t *Topology) lans() []lan {
	var all []lan
	vlans := 0
	for i := range t.Appliance.Interfaces {
		n := &t.Appliance.Interfaces[i]
		routers := valid(n.Gateway, n.Gateway6)
		all = append(all, lan{
			name: n.Name, iface: n, mac: madeMAC(macGateway, i+1),
			routers: routers, nets: slices.Concat(n.Addresses, routers),
		})
		for _, v := range n.VLANs {
			vlans++
			routers := valid(v.Gateway, v.Gateway6)
			all = append(all, lan{
				name: fmt.Sprintf("VLAN %d of %s", v.ID, n.Name), iface: n, vlan: v.ID, mac: madeMAC(macVLAN, vlans),
				routers: routers, nets: routers,
			})
		}
	}
	return all
}

func valid(prefixes ...netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(prefixes, func(p netip.Prefix) bool { return !p.IsValid() })
}

// network is a with the length of the network that it is in.
func (l *lan) network(a netip.Addr) (netip.Prefix, bool) {
	for _, p := range l.nets {
		if p.Contains(a) {
			return netip.PrefixFrom(a, p.Bits()), true
		}
	}
	return netip.Prefix{}, false
}

// lanOf is where a is, nil if that is behind the gateways.
func (t *Topology) lanOf(a netip.Addr) *lan {
	for _, l := range t.lans() {
		if _, ok := l.network(a); ok {
			return &l
		}
	}
	return nil
}

// lanOn finds the lan of a wire and a VLAN; nil: there is none.
func (t *Topology) lanOn(wire string, vlan int) *lan {
	for _, l := range t.lans() {
		if l.iface.Name == wire && l.vlan == vlan {
			return &l
		}
	}
	return nil
}
