package topology

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// FromAppliance is a client's From for connections that the appliance opens.
const FromAppliance = "appliance"

// What becomes of packets at the end of a path. The empty text delivers them.
const (
	NetUnreachable  = "net-unreachable"
	HostUnreachable = "host-unreachable"
	Prohibited      = "prohibited"
	Silent          = "silent"
)

func (c *checker) paths() error {
	names, nets := make(map[string]bool), make(map[netip.Prefix]bool)
	for i := range c.Paths {
		p := &c.Paths[i]
		at := func(key string) string { return index("paths", i, key) }
		switch {
		case !p.To.IsValid():
			return c.errorf(at(".to"), "a path to nowhere, expected a network")
		case p.To != p.To.Masked():
			return c.errorf(at(".to"), "%v is an address in a network, expected %v", p.To, p.To.Masked())
		case nets[p.To]:
			return c.errorf(at(".to"), "a second path to %v, expected one", p.To)
		case names[p.Name]:
			return c.errorf(at(".name"), "a second path %q, expected a name of its own", p.Name)
		case !c.hasGateway(p.To.Addr()):
			return c.errorf(at(".to"), "no interface has a gateway that could lead to %v, expected one", p.To)
		case !slices.Contains([]string{"", NetUnreachable, HostUnreachable, Prohibited, Silent}, p.End):
			return c.errorf(at(".end"), "%q is no end, expected net-unreachable, host-unreachable, prohibited or silent", p.End)
		case p.Loss < 0 || p.Loss > 1:
			return c.errorf(at(".loss"), "loss %v, expected 0 to 1", p.Loss)
		case p.MTU != 0 && (p.MTU < 68 || p.MTU > 9000 || p.To.Addr().Is6() && p.MTU < 1280):
			return c.errorf(at(".mtu"), "MTU %d, expected 68 (IPv6: 1280) to 9000", p.MTU)
		case p.End == "" && !c.reached(p.To):
			return c.errorf(at(".to"), "a path to nowhere: no host is in %v, expected one, or an end", p.To)
		}
		for _, q := range c.placed {
			if p.To.Bits() >= q.net.Bits() && q.net.Overlaps(p.To) {
				return c.errorf(at(".to"), "%v is on the wire of %s, expected a network behind a gateway", p.To, q.segment)
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
		return c.errorf(path+".members", "a hop without an address, expected members, or silent: true")
	}
	for i, a := range h.Members {
		at := index(path+".members", i, "")
		if a.Is4() != p.To.Addr().Is4() {
			return c.errorf(at, "%v is of another family than the path to %v, expected the same", a, p.To)
		}
		switch owner := c.owner[a]; {
		case owner == "" || p.To.Contains(a) || strings.HasPrefix(owner, "the gateway of "):
		default:
			return c.errorf(at, "%v is already %s's, expected a router's address", a, owner)
		}
	}
	return nil
}

// reached reports whether anything of this world is in the network.
func (c *checker) reached(p netip.Prefix) bool {
	for _, h := range c.Hosts {
		if h.Wire == "" && slices.ContainsFunc(h.Addresses, p.Contains) {
			return true
		}
	}
	return slices.ContainsFunc(c.Doors.SeenAs, func(s SeenAs) bool { return p.Overlaps(s.As) }) ||
		slices.ContainsFunc(c.Doors.Out, func(e Exit) bool { return p.Contains(e.Address) })
}

func (c *checker) rules() error {
	for i := range c.Rules {
		if err := c.Rules[i].check(c.Topology, func(key, format string, args ...any) error {
			return c.errorf(index("rules", i, key), format, args...)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) doors() error {
	names, listens := make(map[string]bool), make(map[netip.AddrPort]bool)
	for i := range c.Doors.In {
		d := &c.Doors.In[i]
		at := func(key string) string { return index("doors.in", i, key) }
		_, _, portsErr := d.PassivePortRange()
		switch {
		case names[d.Name]:
			return c.errorf(at(".name"), "a second door %q, expected a name of its own", d.Name)
		case !d.Listen.IsValid():
			return c.errorf(at(".listen"), "door %s has no address, expected one such as 127.0.0.1:2222", d.Name)
		case d.Listen.Port() != 0 && listens[d.Listen]:
			return c.errorf(at(".listen"), "a second door on %v, expected another address", d.Listen)
		case c.findInterface(d.Interface) == nil:
			return c.errorf(at(".interface"), "no interface is called %q, expected one of %s", d.Interface, c.interfaceNames())
		case ServicePort(d.Service) == 0:
			return c.errorf(at(".service"), "no service is called %q, expected ftp, ssh, smtp, http, https or a port", d.Service)
		case portsErr != "":
			return c.errorf(at(".passive_ports"), "%q here, expected %s", d.PassivePorts, portsErr)
		case d.PublicAddress.IsValid() && !d.PublicAddress.Is4():
			return c.errorf(at(".public_address"), "%v is IPv6, which passive replies cannot name, expected IPv4", d.PublicAddress)
		case len(c.Doors.SeenAs) == 0:
			return c.errorf("doors", "no simulated address for who comes through the doors, expected seen_as")
		}
		names[d.Name], listens[d.Listen] = true, true
	}
	for i, s := range c.Doors.SeenAs {
		at := func(key string) string { return index("doors.seen_as", i, key) }
		switch {
		case !s.From.IsValid():
			return c.errorf(at(".from"), "whose address is meant is not said, expected a network such as 127.0.0.0/8")
		case !s.As.IsValid():
			return c.errorf(at(".as"), "no simulated address, expected one such as 10.0.201.4")
		case s.From != s.From.Masked():
			return c.errorf(at(".from"), "%v is an address in a network, expected %v", s.From, s.From.Masked())
		case s.As != s.As.Masked():
			return c.errorf(at(".as"), "%v is an address in a network, expected %v", s.As, s.As.Masked())
		case s.As.Addr().BitLen()-s.As.Bits() > 16:
			return c.errorf(at(".as"), "%v is too large, expected 65536 addresses at most", s.As)
		case !c.hasGateway(s.As.Addr()):
			return c.errorf(at(".as"), "no interface has a gateway that could lead to %v, expected one", s.As)
		case c.segmentOf(s.As.Addr()) != nil:
			return c.errorf(at(".as"), "%v is on the wire of %s, expected addresses behind a gateway", s.As, c.segmentOf(s.As.Addr()).Name)
		}
	}
	return nil
}

// ServicePort is the one that a service of the appliance has by default; 0 for an unknown
// service.
func ServicePort(service string) uint16 {
	if p := NamedServicePort(service); p != 0 {
		return p
	}
	p, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(p)
}

// NamedServicePort is ServicePort of a service that is called by its name.
func NamedServicePort(service string) uint16 {
	switch service {
	case "ftp":
		return 21
	case "ssh":
		return 22
	case "smtp":
		return 25
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}

// PassivePortRange returns the ends of PassivePorts, zeros for any; or what was
// expected.
func (d *Door) PassivePortRange() (lo, hi uint16, expected string) {
	if d.PassivePorts == "" {
		return 0, 0, ""
	}
	expected = "a range of ports such as 50000-50100"
	a, b, _ := strings.Cut(d.PassivePorts, "-")
	l, err1 := strconv.ParseUint(a, 10, 16)
	h, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil || l == 0 || h < l {
		return 0, 0, expected
	}
	return uint16(l), uint16(h), ""
}

func (c *checker) exits() error {
	seen := make(map[netip.AddrPort]bool)
	for i, e := range c.Doors.Out {
		at := func(key string) string { return index("doors.out", i, key) }
		ap := netip.AddrPortFrom(e.Address, e.Port)
		switch {
		case !e.Address.IsValid():
			return c.errorf(at(".address"), "no simulated address, expected one such as 10.44.167.30")
		case !e.To.IsValid():
			return c.errorf(at(".to"), "no real address, expected one such as 127.0.0.1")
		case c.owner[e.Address] != "" && !c.isFarHost(e.Address):
			return c.errorf(at(".address"), "%v is already %s's, expected an address of nobody's, or of a host behind the gateways", e.Address, c.owner[e.Address])
		case seen[ap]:
			return c.errorf(at(".address"), "%v leads out twice, expected once", ap)
		case e.Port == 0 && e.ToPort != 0:
			return c.errorf(at(".to_port"), "all ports would lead to port %d, expected port too", e.ToPort)
		case c.segmentOf(e.Address) != nil:
			return c.errorf(at(".address"), "%v is on the wire of %s, expected an address behind a gateway", e.Address, c.segmentOf(e.Address).Name)
		case !c.hasGateway(e.Address):
			return c.errorf(at(".address"), "no interface has a gateway that could lead to %v, expected one", e.Address)
		}
		seen[ap] = true
	}
	return nil
}

func (c *checker) clients() error {
	seen := make(map[Client]bool)
	for i, cl := range c.Clients {
		at := func(key string) string { return index("clients", i, key) }
		key := Client{Local: cl.Local, Remote: cl.Remote}
		switch {
		case cl.From != FromAppliance && c.findHost(cl.From) == nil:
			return c.errorf(at(".from"), "no host is called %q, expected appliance or a host's name", cl.From)
		case !cl.Local.IsValid():
			return c.errorf(at(".local"), "no address, expected the one that the connection comes from")
		case !cl.Remote.IsValid() || cl.Remote.Port() == 0:
			return c.errorf(at(".remote"), "no address and port, expected the ones that the connection goes to")
		case cl.Local.Addr().Is4() != cl.Remote.Addr().Is4():
			return c.errorf(at(".remote"), "%v is of another family than %v, expected the same", cl.Remote, cl.Local)
		case cl.After != "" && ServicePort(cl.After) == 0:
			return c.errorf(at(".after"), "no service is called %q, expected one as a door has", cl.After)
		case seen[key]:
			return c.errorf(at(".local"), "a second connection from %v to %v, expected another port", cl.Local, cl.Remote)
		}
		seen[key] = true
		if err := c.ownEnd(cl, at); err != nil {
			return err
		}
		if cl.From == FromAppliance && !c.served(cl.Remote) && !c.LeadsOut(cl.Remote.Addr()) {
			return c.errorf(at(".remote"), "nobody listens on %v, expected a host with a service there", cl.Remote)
		}
	}
	return nil
}

// ownEnd checks that a connection's ends are where it says.
func (c *checker) ownEnd(cl Client, at func(string) string) error {
	mine := func(a netip.Addr) bool {
		return slices.ContainsFunc(c.Appliance.Interfaces, func(n Interface) bool {
			return slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
		})
	}
	if cl.From == FromAppliance {
		if !mine(cl.Local.Addr()) {
			return c.errorf(at(".local"), "%v is not the appliance's, expected an address of its interfaces", cl.Local.Addr())
		}
		return nil
	}
	if !slices.Contains(c.findHost(cl.From).Addresses, cl.Local.Addr()) {
		return c.errorf(at(".local"), "%v is not host %s's, expected an address of it", cl.Local.Addr(), cl.From)
	}
	if !mine(cl.Remote.Addr()) {
		return c.errorf(at(".remote"), "%v is not the appliance's, expected an address of its interfaces", cl.Remote.Addr())
	}
	return nil
}

// served reports whether a host has a service there.
func (t *Topology) served(ap netip.AddrPort) bool {
	h := t.hostOf(ap.Addr())
	return h != nil && slices.ContainsFunc(h.Services, func(s Service) bool { return s.Port == ap.Port() })
}
