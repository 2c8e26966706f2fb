package topology

import (
	"net/netip"
	"slices"
	"strings"
)

func (c *checker) paths() error {
	names, nets := make(map[string]bool), make(map[netip.Prefix]bool)
	for i := range c.Paths {
		p := &c.Paths[i]
		at := func(key string) string { return index("paths", i, key) }
		switch {
		case !p.To.IsValid():
			return c.errorf(at(".to"), "a path without a destination, expected a network")
		case p.To != p.To.Masked():
			return c.errorf(at(".to"),
				"%v is an address in a network, expected %v", p.To, p.To.Masked())
		case nets[p.To]:
			return c.errorf(at(".to"), "a second path to %v, expected one", p.To)
		case names[p.Name]:
			return c.errorf(at(".name"), "a second path %q, expected a name of its own", p.Name)
		case !c.hasGateway(p.To.Addr()):
			return c.errorf(at(".to"),
				"no interface has a gateway that could lead to %v, expected one", p.To)
		case !slices.Contains([]string{Deliver, NetUnreachable, HostUnreachable, Prohibited, Silent}, p.End):
			return c.errorf(at(".end"),
				"%q is no end of a path, expected net-unreachable, host-unreachable, prohibited or silent",
				p.End)
		case p.Loss < 0 || p.Loss > 1:
			return c.errorf(at(".loss"), "loss %v, expected 0 to 1", p.Loss)
		case p.MTU != 0 && (p.MTU < 68 || p.MTU > 9000 || p.To.Addr().Is6() && p.MTU < 1280):
			return c.errorf(at(".mtu"), "MTU %d, expected 68 (IPv6: 1280) to 9000", p.MTU)
		case p.End == Deliver && !c.reached(p.To):
			return c.errorf(at(".to"),
				"no host is in %v, expected one, or an end of the path", p.To)
		}
		for _, q := range c.placed {
			if p.To.Bits() >= q.network.Bits() && q.network.Overlaps(p.To) {
				return c.errorf(at(".to"),
					"%v is on the wire of %s, expected a network behind a gateway", p.To, q.segment)
			}
		}
		nets[p.To], names[p.Name] = true, true
		for j := range p.Hops {
			if err := c.hop(p, &p.Hops[j], index(at(".hops"), j, "")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) hop(p *Path, h *Hop, path string) error {
	switch {
	case h.Loss < 0 || h.Loss > 1:
		return c.errorf(path+".loss", "loss %v, expected 0 to 1", h.Loss)
	case h.Seed < 0:
		return c.errorf(path+".seed", "seed %d, expected 0 or more", h.Seed)
	case len(h.Members) == 0 && !h.Silent:
		return c.errorf(path+".members",
			"a hop without an address, expected members, or silent: true")
	}
	for i, a := range h.Members {
		at := index(path+".members", i, "")
		if a.Is4() != p.To.Addr().Is4() {
			return c.errorf(at,
				"%v is of another family than the path to %v, expected the same", a, p.To)
		}
		owner := c.addrOwners[a]
		if owner != "" && !p.To.Contains(a) && !strings.HasPrefix(owner, gatewayPrefix) {
			return c.errorf(at,
				"%v belongs to %s already, expected the address of a router", a, owner)
		}
	}
	return nil
}

// reached reports whether a machine of this world has an address in the network.
func (c *checker) reached(p netip.Prefix) bool {
	for _, h := range c.Hosts {
		if h.Wire == "" && slices.ContainsFunc(h.Addresses, p.Contains) {
			return true
		}
	}
	return slices.ContainsFunc(c.Doors.SeenAs, func(s SourceMapping) bool { return p.Overlaps(s.As) }) ||
		slices.ContainsFunc(c.Doors.Out, func(b BackDoor) bool { return p.Contains(b.Address) })
}
