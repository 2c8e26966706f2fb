package topology

import (
	"net/netip"
	"slices"
	"strings"
)

// A checker finds mistakes in the meaning of a topology, which the decoder accepts. Earlier
// checks record facts that later ones use.
type checker struct {
	*Topology
	servers ServerTypes
	errorf  errorFunc

	addrOwners map[netip.Addr]string // the owner of each address, for messages
	macOwners  map[MAC]string
	placed     []placedNetwork
}

// A placedNetwork is a network and the segment that it is on.
type placedNetwork struct {
	segment string
	network netip.Prefix
}

// isDomainName reports whether s is labels of 1 to 63 letters, digits, underscores and hyphens,
// with dots between them. No label begins with a hyphen.
func isDomainName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		other := func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-')
		}
		if label == "" || len(label) > 63 || label[0] == '-' || strings.ContainsFunc(label, other) {
			return false
		}
	}
	return true
}

// isVersion reports whether s is a version such as 14.0.0-698.
func isVersion(s string) bool {
	release, build, ok := strings.Cut(s, "-")
	parts := append(strings.Split(release, "."), build)
	return ok && len(parts) == 4 && !slices.ContainsFunc(parts, func(part string) bool {
		return part == "" || strings.Trim(part, "0123456789") != ""
	})
}

// claimAddr records the owner of an address. No other machine may have it.
func (c *checker) claimAddr(path string, a netip.Addr, owner string) error {
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() ||
		a.IsLinkLocalUnicast() || a.Is4In6():
		return c.errorf(path,
			"%v cannot be the address of a machine, expected a unicast address", a)
	case c.addrOwners[a] != "":
		return c.errorf(path,
			"%v belongs to %s already, expected an address of its own", a, c.addrOwners[a])
	}
	c.addrOwners[a] = owner
	return nil
}

// claimMAC records the owner of an Ethernet address. No other machine may have it.
func (c *checker) claimMAC(path string, mac MAC, owner string) error {
	switch other := c.macOwners[mac]; {
	case mac == (MAC{}) || mac.isMulticast():
		return c.errorf(path,
			"%v cannot be the address of a machine, expected a unicast address", mac)
	case other != "":
		return c.errorf(path,
			"%v belongs to %s already, expected an address of its own", mac, other)
	}
	c.macOwners[mac] = owner
	return nil
}

// place records the segment of a network, which must not overlap with those of other
// segments.
func (c *checker) place(path, segment string, p netip.Prefix) error {
	for _, q := range c.placed {
		switch {
		case !p.Overlaps(q.network):
		case q.segment != segment:
			return c.errorf(path,
				"%v overlaps with %v of %s, expected separate networks", p, q.network, q.segment)
		case q.network.Bits() != p.Bits():
			return c.errorf(path,
				"%v and %v are one network with two prefix lengths, expected the same",
				p, q.network)
		}
	}
	c.placed = append(c.placed, placedNetwork{segment, p})
	return nil
}

// networks lists the networks of one family, for messages.
func networks(list []netip.Prefix, v4 bool) string {
	var s []string
	for _, p := range list {
		if n := p.Masked().String(); p.Addr().Is4() == v4 && !slices.Contains(s, n) {
			s = append(s, n)
		}
	}
	if len(s) == 0 {
		return "a network of the other family"
	}
	return strings.Join(s, " or ")
}

// interfaceNames lists the interfaces, for messages.
func (c *checker) interfaceNames() string {
	var s []string
	for _, n := range c.Appliance.Interfaces {
		s = append(s, n.Name)
	}
	return strings.Join(s, ", ")
}
