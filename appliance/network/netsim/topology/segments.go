package topology

import (
	"fmt"
	"net/netip"
	"slices"
)

// DefaultGateways returns the routers on the interface's wire that the appliance reaches with
// its factory configuration. An address is invalid if there is no such router.
func (n *Interface) DefaultGateways() (v4, v6 netip.Addr) {
	reached := func(gw netip.Prefix) netip.Addr {
		contains := func(p netip.Prefix) bool { return gw.IsValid() && p.Contains(gw.Addr()) }
		if slices.ContainsFunc(n.StaticAddresses(), contains) {
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
	Routers   []netip.Prefix // the router's addresses; empty if there is no router
	Networks  []netip.Prefix // each with the appliance's address in it, or the router's
}

// Segments returns the segments of all interfaces.
func (t *Topology) Segments() []Segment {
	places := t.segmentPlaces()
	all := make([]Segment, len(places))
	for i, p := range places {
		all[i] = p.segment()
	}
	return all
}

// A segmentPlace says where a segment is.
type segmentPlace struct {
	n      *Interface
	number int   // of the interface or, of a VLAN, among all VLANs
	vlan   *VLAN // nil: none
}

func (t *Topology) segmentPlaces() []segmentPlace {
	all := make([]segmentPlace, 0, 8)
	vlans := 0
	for i := range t.Appliance.Interfaces {
		n := &t.Appliance.Interfaces[i]
		all = append(all, segmentPlace{n, i + 1, nil})
		for j := range n.VLANs {
			vlans++
			all = append(all, segmentPlace{n, vlans, &n.VLANs[j]})
		}
	}
	return all
}

// segment returns the segment that is there.
func (p segmentPlace) segment() Segment {
	n, v := p.n, p.vlan
	if v == nil {
		routers := valid(n.Gateway, n.Gateway6)
		return Segment{
			Name: n.Name, Interface: n, RouterMAC: derivedMAC(macGateway, p.number),
			Routers: routers, Networks: slices.Concat(n.Addresses, routers),
		}
	}
	routers := valid(v.Gateway, v.Gateway6)
	return Segment{
		Name: fmt.Sprintf("VLAN %d of %s", v.ID, n.Name), Interface: n, VLAN: v.ID,
		RouterMAC: derivedMAC(macVLAN, p.number), Routers: routers, Networks: routers,
	}
}

// valid returns the prefixes that are valid.
func valid(prefixes ...netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(prefixes, func(p netip.Prefix) bool { return !p.IsValid() })
}

// Network returns a with the prefix length of the network that contains it. ok is false if
// none of the segment's networks does.
func (s *Segment) Network(a netip.Addr) (p netip.Prefix, ok bool) {
	for _, p := range s.Networks {
		if p.Contains(a) {
			return netip.PrefixFrom(a, p.Bits()), true
		}
	}
	return netip.Prefix{}, false
}

// Segment returns the segment of an interface's wire and a VLAN (0: none), or nil if the wire
// does not carry that VLAN.
func (t *Topology) Segment(wire string, vlan int) *Segment {
	for _, p := range t.segmentPlaces() {
		id := 0
		if p.vlan != nil {
			id = p.vlan.ID
		}
		if p.n.Name == wire && id == vlan {
			s := p.segment()
			return &s
		}
	}
	return nil
}

// segmentOf returns the segment that a is on, or nil if a is behind the gateways.
func (t *Topology) segmentOf(a netip.Addr) *Segment {
	for _, s := range t.Segments() {
		if _, ok := s.Network(a); ok {
			return &s
		}
	}
	return nil
}

// hasGateway reports whether a gateway leads to addresses of a's family.
func (t *Topology) hasGateway(a netip.Addr) bool {
	return slices.ContainsFunc(t.Segments(), func(s Segment) bool {
		return slices.ContainsFunc(s.Routers, func(p netip.Prefix) bool { return p.Addr().Is4() == a.Is4() })
	})
}
