package topology

import (
	"fmt"
	"net/netip"
	"slices"
)

// A DHCPClient is the name of an interface that asks for its address by DHCP: see Interface.DHCP.
type DHCPClient string

func (c DHCPClient) override(t *Topology) (*Topology, error) {
	next := *t
	next.Appliance.Interfaces = slices.Clone(t.Appliance.Interfaces)
	n := next.findInterface(string(c))
	if n == nil {
		names := (&checker{Topology: t}).interfaceNames()
		return nil, &Error{File: t.File, Message: fmt.Sprintf(
			"no interface is called %q, expected one of %s for DHCP", string(c), names)}
	}
	n.DHCP = true
	return &next, nil
}

// dhcpKind is the type of servers that give addresses.
const dhcpKind = "dhcp"

// ManagementInterface is the name of the interface that has a fallback on every appliance.
const ManagementInterface = "Management"

// managementAddress is the address that the Management interface of a new appliance has if no DHCP
// server answers.
func managementAddress() netip.Prefix { return netip.MustParsePrefix("192.168.42.42/24") }

// StaticAddresses returns the addresses that a new appliance has on the interface from the start:
// all, but no IPv4 address if it asks for that by DHCP.
func (n *Interface) StaticAddresses() []netip.Prefix {
	if !n.DHCP {
		return n.Addresses
	}
	return slices.DeleteFunc(slices.Clone(n.Addresses),
		func(p netip.Prefix) bool { return p.Addr().Is4() })
}

// Fallback returns the IPv4 address that an interface with DHCP uses if no server answers, and the
// router that is the default gateway then. That is the IPv4 address in Addresses, or else, on the
// Management interface, 192.168.42.42. Each is invalid if there is none.
func (n *Interface) Fallback() (addr netip.Prefix, gateway netip.Addr) {
	if !n.DHCP {
		return netip.Prefix{}, netip.Addr{}
	}
	for _, p := range n.Addresses {
		if p.Addr().Is4() {
			addr = p
		}
	}
	if !addr.IsValid() && n.Name == ManagementInterface {
		addr = managementAddress()
	}
	if addr.IsValid() && n.Gateway.IsValid() && addr.Contains(n.Gateway.Addr()) {
		gateway = n.Gateway.Addr()
	}
	return addr, gateway
}

// dhcpWarnings returns warnings about interfaces whose requests no server can answer.
func (t *Topology) dhcpWarnings() (all []error) {
	for i := range t.Appliance.Interfaces {
		n := &t.Appliance.Interfaces[i]
		if n.DHCP && t.UplinkOf(n.Name) == nil && !t.hasDHCPServer(n.Name) {
			message := index("appliance.interfaces", i, ".dhcp") + ": no host on the wire of " + n.Name +
				" has a dhcp service, and it has no uplink, so nobody answers"
			all = append(all, &Error{File: t.File, Message: message})
		}
	}
	return all
}

// hasDHCPServer reports whether a host on the wire of an interface, in no VLAN, is a DHCP server.
func (t *Topology) hasDHCPServer(ifname string) bool {
	return slices.ContainsFunc(t.Hosts, func(h Host) bool {
		return h.Wire == ifname && h.VLAN == 0 &&
			slices.ContainsFunc(h.Services, func(s Service) bool { return s.Type == dhcpKind })
	})
}
