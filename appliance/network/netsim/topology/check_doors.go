package topology

import (
	"net/netip"
	"slices"
)

func (c *checker) doors() error {
	names, listens := make(map[string]bool), make(map[netip.AddrPort]bool)
	for i := range c.Doors.In {
		d := &c.Doors.In[i]
		at := func(key string) string { return index("doors.in", i, key) }
		_, _, isRange := d.PassivePortRange()
		switch {
		case names[d.Name]:
			return c.errorf(at(".name"), "a second door %q, expected a name of its own", d.Name)
		case !d.Listen.IsValid():
			return c.errorf(at(".listen"),
				"door %s has no address, expected one such as 127.0.0.1:2222", d.Name)
		case d.Listen.Port() != 0 && listens[d.Listen]:
			return c.errorf(at(".listen"),
				"a second door on %v, expected another address", d.Listen)
		case c.findInterface(d.Interface) == nil:
			return c.errorf(at(".interface"),
				"no interface is called %q, expected one of %s", d.Interface, c.interfaceNames())
		case ServicePort(d.Service) == 0:
			return c.errorf(at(".service"),
				"no service is called %q, expected ftp, ssh, smtp, http, https or a port",
				d.Service)
		case !isRange:
			return c.errorf(at(".passive_ports"),
				"%q here, expected a range of ports such as 50000-50100", d.PassivePorts)
		case d.PublicAddress.IsValid() && !d.PublicAddress.Is4():
			return c.errorf(at(".public_address"),
				"%v is IPv6, which passive replies cannot name, expected IPv4", d.PublicAddress)
		case d.Source != "" && !c.isNeighbor(d.Source, d.Interface):
			return c.errorf(at(".source"),
				"no host %q is on the wire of %s, expected the name of one in no VLAN", d.Source, d.Interface)
		case len(c.Doors.SeenAs) == 0 && d.Source == "":
			return c.errorf("doors",
				"clients of the doors have no simulated address, expected seen_as")
		}
		names[d.Name], listens[d.Listen] = true, true
	}
	return c.sourceMappings()
}

// isNeighbor reports whether a host is on the wire of an interface, in no VLAN.
func (t *Topology) isNeighbor(host, ifname string) bool {
	h := t.findHost(host)
	return h != nil && h.Wire == ifname && h.VLAN == 0
}

func (c *checker) sourceMappings() error {
	for i, s := range c.Doors.SeenAs {
		at := func(key string) string { return index("doors.seen_as", i, key) }
		switch {
		case !s.From.IsValid():
			return c.errorf(at(".from"), "no real network, expected one such as 127.0.0.0/8")
		case !s.As.IsValid():
			return c.errorf(at(".as"), "no simulated address, expected one such as 10.0.201.4")
		case s.From != s.From.Masked():
			return c.errorf(at(".from"),
				"%v is an address in a network, expected %v", s.From, s.From.Masked())
		case s.As != s.As.Masked():
			return c.errorf(at(".as"),
				"%v is an address in a network, expected %v", s.As, s.As.Masked())
		case s.As.Addr().BitLen()-s.As.Bits() > 16:
			return c.errorf(at(".as"), "%v is too large, expected at most 65536 addresses", s.As)
		case !c.hasGateway(s.As.Addr()):
			return c.errorf(at(".as"),
				"no interface has a gateway that could lead to %v, expected one", s.As)
		case c.segmentOf(s.As.Addr()) != nil:
			return c.errorf(at(".as"), "%v is on the wire of %s, expected addresses behind a gateway",
				s.As, c.segmentOf(s.As.Addr()).Name)
		}
	}
	return nil
}

func (c *checker) backDoors() error {
	seen := make(map[netip.AddrPort]bool)
	for i, b := range c.Doors.Out {
		at := func(key string) string { return index("doors.out", i, key) }
		from := netip.AddrPortFrom(b.Address, b.Port)
		switch {
		case !b.Address.IsValid():
			return c.errorf(at(".address"),
				"no simulated address, expected one such as 10.44.167.30")
		case !b.To.IsValid():
			return c.errorf(at(".to"), "no real address, expected one such as 127.0.0.1")
		case c.addrOwners[b.Address] != "" && !c.isFarHost(b.Address):
			return c.errorf(at(".address"),
				"%v belongs to %s already, expected an unused address or that of a host behind the gateways",
				b.Address, c.addrOwners[b.Address])
		case seen[from]:
			return c.errorf(at(".address"), "%v leads out twice, expected once", from)
		case b.Port == 0 && b.ToPort != 0:
			return c.errorf(at(".to_port"),
				"all ports would lead to port %d, expected port too", b.ToPort)
		case c.segmentOf(b.Address) != nil:
			return c.errorf(at(".address"), "%v is on the wire of %s, expected an address behind a gateway",
				b.Address, c.segmentOf(b.Address).Name)
		case !c.hasGateway(b.Address):
			return c.errorf(at(".address"),
				"no interface has a gateway that could lead to %v, expected one", b.Address)
		}
		seen[from] = true
	}
	return nil
}

func (c *checker) clients() error {
	seen := make(map[[2]netip.AddrPort]bool)
	for i, cl := range c.Clients {
		at := func(key string) string { return index("clients", i, key) }
		ends := [2]netip.AddrPort{cl.Local, cl.Remote}
		switch {
		case cl.From != FromAppliance && c.findHost(cl.From) == nil:
			return c.errorf(at(".from"),
				"no host is called %q, expected appliance or the name of a host", cl.From)
		case !cl.Local.IsValid():
			return c.errorf(at(".local"),
				"no address, expected that of the end that opens the connection")
		case !cl.Remote.IsValid() || cl.Remote.Port() == 0:
			return c.errorf(at(".remote"),
				"no address and port, expected those that the connection is opened to")
		case cl.Local.Addr().Is4() != cl.Remote.Addr().Is4():
			return c.errorf(at(".remote"),
				"%v is of another family than %v, expected the same", cl.Remote, cl.Local)
		case cl.After != "" && ServicePort(cl.After) == 0:
			return c.errorf(at(".after"),
				"no service is called %q, expected one that a door could have", cl.After)
		case seen[ends]:
			return c.errorf(at(".local"),
				"a second connection from %v to %v, expected another port", cl.Local, cl.Remote)
		}
		seen[ends] = true
		if err := c.clientEnds(cl, at); err != nil {
			return err
		}
		if cl.From == FromAppliance && !c.served(cl.Remote) && !c.LeadsOut(cl.Remote.Addr()) {
			return c.errorf(at(".remote"),
				"no server listens on %v, expected a host with a service there", cl.Remote)
		}
	}
	return nil
}

// clientEnds checks that the addresses of a connection belong to the machines that it is
// between.
func (c *checker) clientEnds(cl Client, at func(string) string) error {
	appliances := func(a netip.Addr) bool {
		return slices.ContainsFunc(c.Appliance.Interfaces, func(n Interface) bool {
			return slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
		})
	}
	const notAppliance = "%v is not the appliance's, expected an address of its interfaces"
	if cl.From == FromAppliance {
		if !appliances(cl.Local.Addr()) {
			return c.errorf(at(".local"), notAppliance, cl.Local.Addr())
		}
		return nil
	}
	if !slices.Contains(c.findHost(cl.From).Addresses, cl.Local.Addr()) {
		return c.errorf(at(".local"),
			"%v is no address of host %s, expected one", cl.Local.Addr(), cl.From)
	}
	if !appliances(cl.Remote.Addr()) {
		return c.errorf(at(".remote"), notAppliance, cl.Remote.Addr())
	}
	return nil
}

// served reports whether a host has a service at an address.
func (t *Topology) served(a netip.AddrPort) bool {
	h := t.hostOf(a.Addr())
	return h != nil && slices.ContainsFunc(h.Services, func(s Service) bool { return s.Port == a.Port() })
}
