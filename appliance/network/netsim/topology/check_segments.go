package topology

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A wiredNet is a network whose place is known.
type wiredNet struct {
	segment string
	net     netip.Prefix
}

// place puts a network where it says, apart from all others.
func (c *checker) place(path, segment string, p netip.Prefix) error {
	for _, q := range c.placed {
		switch {
		case !p.Overlaps(q.net):
		case q.segment != segment:
			return c.errorf(path, "%v overlaps with %v of %s, expected separate networks", p, q.net, q.segment)
		case q.net.Bits() != p.Bits():
			return c.errorf(path, "%v and %v are one network with two lengths, expected the same", p, q.net)
		}
	}
	c.placed = append(c.placed, wiredNet{segment, p})
	return nil
}

// gateway checks a router's address.
func (c *checker) gateway(segment string, addresses []netip.Prefix, gw netip.Prefix, v4 bool, path string) error {
	switch {
	case !gw.IsValid():
		return nil
	case gw.Addr().Is4() != v4:
		return c.errorf(path, "%v is of the other family, expected IPv4 in gateway and IPv6 in gateway6", gw.Addr())
	case gw.IsSingleIP() && len(addresses) == 0:
		return c.errorf(path, "%v lacks the length of its network, expected it as in 10.0.203.1/24", gw.Addr())
	case gw.IsSingleIP():
		return c.errorf(path, "%v is not on the network of %s, expected an address in %s", gw.Addr(), segment, prefixes(addresses, v4))
	}
	if err := c.place(path, segment, gw); err != nil {
		return err
	}
	return c.claim(path, gw.Addr(), "the gateway of "+segment)
}

// vlans checks what a wire carries besides frames without tags.
func (c *checker) vlans() error {
	for i, n := range c.Appliance.Interfaces {
		seen := make(map[int]bool)
		for j, v := range n.VLANs {
			at := func(key string) string { return index("appliance.interfaces", i, index(".vlans", j, key)) }
			switch {
			case v.ID < 1 || v.ID > 4094:
				return c.errorf(at(".id"), "%d is no VLAN's ID, expected 1 to 4094", v.ID)
			case seen[v.ID]:
				return c.errorf(at(".id"), "a second VLAN %d on the wire of %s, expected it once", v.ID, n.Name)
			case !v.Gateway.IsValid() && !v.Gateway6.IsValid():
				return c.errorf(at(""), "VLAN %d has no router, expected gateway or gateway6 with the length of the network", v.ID)
			}
			seen[v.ID] = true
			s := c.Segment(n.Name, v.ID)
			c.machines[s.RouterMAC] = "the gateway of " + s.Name
			if err := c.gateway(s.Name, nil, v.Gateway, true, at(".gateway")); err != nil {
				return err
			}
			if err := c.gateway(s.Name, nil, v.Gateway6, false, at(".gateway6")); err != nil {
				return err
			}
		}
	}
	return nil
}

// machine gives an Ethernet address to its owner, once.
func (c *checker) machine(path string, mac MAC, owner string) error {
	switch other := c.machines[mac]; {
	case mac == (MAC{}) || mac.isGroup():
		return c.errorf(path, "%v is no machine's address, expected one of its own", mac)
	case other != "":
		return c.errorf(path, "%v is already %s's, expected an address of its own", mac, other)
	}
	c.machines[mac] = owner
	return nil
}

// onWire checks where a host is plugged in, and as whom.
func (c *checker) onWire(h *Host, at func(string) string) error {
	if h.Wire == "" {
		switch {
		case h.MAC != (MAC{}):
			return c.errorf(at(".mac"), "host %s is on no wire where this could be seen, expected no mac", h.Name)
		case h.ARPMAC != (MAC{}):
			return c.errorf(at(".arp_mac"), "host %s is on no wire where this could be seen, expected no arp_mac", h.Name)
		case h.VLAN != 0:
			return c.errorf(at(".vlan"), "host %s is on no wire, expected wire too", h.Name)
		}
		return nil
	}
	n := c.findInterface(h.Wire)
	if n == nil {
		return c.errorf(at(".wire"), "no interface is called %q, expected one of %s", h.Wire, c.interfaceNames())
	}
	if c.Segment(h.Wire, h.VLAN) == nil {
		var ids []string
		for _, v := range n.VLANs {
			ids = append(ids, strconv.Itoa(v.ID))
		}
		if ids == nil {
			ids = []string{"vlans there"}
		}
		return c.errorf(at(".vlan"), "the wire of %s carries no VLAN %d, expected %s", h.Wire, h.VLAN, strings.Join(ids, " or "))
	}
	if h.ARPMAC != (MAC{}) && (!h.ARPMAC.isGroup() || h.ARPMAC.isBroadcast()) {
		return c.errorf(at(".arp_mac"), "%v is no group's address, expected one such as 03:bf:0a:00:ca:09", h.ARPMAC)
	}
	return c.machine(at(".mac"), h.MAC, "host "+h.Name)
}

// Warnings are what may be meant, but is more often a mistake. Each is a *Error of
// one line, without a position.
func (t *Topology) Warnings() []error {
	var all []error
	for i, d := range t.Doors.In {
		if n := t.findInterface(d.Interface); n != nil && len(n.Addresses) == 0 {
			all = append(all, &Error{File: t.File, Message: index("doors.in", i, ".interface") +
				": " + d.Interface + " has no address, so this door stays shut until the appliance is given one"})
		}
	}
	return all
}

// hasGateway reports whether a gateway leads to addresses of a's family.
func (t *Topology) hasGateway(a netip.Addr) bool {
	return slices.ContainsFunc(t.Segments(), func(s Segment) bool {
		return slices.ContainsFunc(s.Routers, func(p netip.Prefix) bool { return p.Addr().Is4() == a.Is4() })
	})
}
