package topology

import (
	"fmt"
	"net/netip"
	"slices"
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

// A Segment is one Ethernet broadcast domain: the machines on an interface's wire that are
// in no VLAN, or those in one of its VLANs.
type Segment struct {
	Name      string // for messages
	Interface *Interface
	VLAN      int            // ID; 0: none
	RouterMAC MAC            // of the router, which is a machine of its own
	Routers   []netip.Prefix // the router's addresses; none if there is no router
	Networks  []netip.Prefix // with an address in each, the appliance's or the router's
}

// Segments lists the segments of all interfaces.
func (t *Topology) Segments() []Segment {
	var all []Segment
	vlans := 0
	for i := range t.Appliance.Interfaces {
		n := &t.Appliance.Interfaces[i]
		routers := valid(n.Gateway, n.Gateway6)
		all = append(all, Segment{
			Name: n.Name, Interface: n, RouterMAC: derivedMAC(macGateway, i+1),
			Routers: routers, Networks: slices.Concat(n.Addresses, routers),
		})
		for _, v := range n.VLANs {
			vlans++
			routers := valid(v.Gateway, v.Gateway6)
			all = append(all, Segment{
				Name: fmt.Sprintf("VLAN %d of %s", v.ID, n.Name), Interface: n, VLAN: v.ID,
				RouterMAC: derivedMAC(macVLAN, vlans), Routers: routers, Networks: routers,
			})
		}
	}
	return all
}

func valid(prefixes ...netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(prefixes, func(p netip.Prefix) bool { return !p.IsValid() })
}

// Network returns a with the length of the network that it is in, and whether one of the
// segment's networks contains it.
func (s *Segment) Network(a netip.Addr) (netip.Prefix, bool) {
	for _, p := range s.Networks {
		if p.Contains(a) {
			return netip.PrefixFrom(a, p.Bits()), true
		}
	}
	return netip.Prefix{}, false
}

// segmentOf returns the segment that a is on, nil if a is behind the gateways.
func (t *Topology) segmentOf(a netip.Addr) *Segment {
	for _, s := range t.Segments() {
		if _, ok := s.Network(a); ok {
			return &s
		}
	}
	return nil
}

// Segment returns the segment of an interface's wire and a VLAN (0: none), nil if the
// wire has no such segment.
func (t *Topology) Segment(wire string, vlan int) *Segment {
	for _, s := range t.Segments() {
		if s.Interface.Name == wire && s.VLAN == vlan {
			return &s
		}
	}
	return nil
}
