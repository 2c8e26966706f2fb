package topology

import (
	"fmt"
	"maps"
	"net/mail"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a time zone is no error because the machine has no list of them
)

// An errorFunc makes an error about the value at path.
type errorFunc func(path, format string, args ...any) error

func (t *Topology) check(servers ServerTypes, errorf errorFunc) error {
	c := &checker{
		Topology: t, servers: servers, errorf: errorf,
		owner: make(map[netip.Addr]string), machines: make(map[MAC]string),
	}
	for _, part := range []func() error{
		c.appliance, c.logs, c.interfaces, c.vlans, c.hosts, c.services, c.dns,
		c.paths, c.rules, c.doors, c.exits, c.clients,
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// A checker finds what a topology's form allows but its sense does not.
type checker struct {
	*Topology
	servers ServerTypes
	errorf  errorFunc

	owner    map[netip.Addr]string // whose an address is
	machines map[MAC]string        // likewise
	placed   []wiredNet            // where networks are
}

var (
	domainName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*$`)
	version    = regexp.MustCompile(`^\d+\.\d+\.\d+-\d+$`)
)

func (c *checker) appliance() error {
	a := &c.Appliance
	switch {
	case !domainName.MatchString(a.HostName):
		return c.errorf("appliance.hostname", "%q is no host name, expected one such as mail.example.com", a.HostName)
	case a.Model == "":
		return c.errorf("appliance.model", "no model, expected one such as C100V")
	case a.Serial == "":
		return c.errorf("appliance.serial", "no serial, expected one such as 421F6D8FB9C75E19C425-C9AEA81B2B70")
	case strings.ContainsAny(a.Serial, "/ "):
		return c.errorf("appliance.serial", "%q is no serial number, expected one such as 421F6D8FB9C75E19C425-C9AEA81B2B70", a.Serial)
	case !version.MatchString(a.Version):
		return c.errorf("appliance.version", "%q is no version, expected release and build such as 14.0.0-698", a.Version)
	case len(a.Interfaces) == 0:
		return c.errorf("appliance.interfaces", "no interface, expected one at least")
	case a.DiskQuota < MiB:
		return c.errorf("appliance.disk_quota", "%d bytes are too few, expected 1MiB at least", a.DiskQuota)
	}
	if _, err := time.Parse(time.DateOnly, a.BuildDate); a.BuildDate != "" && err != nil {
		return c.errorf("appliance.build_date", "%q is no date, expected one such as 2021-07-27", a.BuildDate)
	}
	if _, err := time.LoadLocation(a.TimeZone); err != nil {
		return c.errorf("appliance.timezone", "time zone %q is unknown, expected one such as America/Los_Angeles", a.TimeZone)
	}
	return nil
}

// claim gives an address to its owner, once.
func (c *checker) claim(path string, a netip.Addr, owner string) error {
	switch {
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.Is4In6() || !a.IsValid():
		return c.errorf(path, "%v cannot be a host's address, expected one of another kind", a)
	case c.owner[a] != "":
		return c.errorf(path, "%v is already %s's, expected an address of its own", a, c.owner[a])
	}
	c.owner[a] = owner
	return nil
}

// logs checks the names of logs and the addresses of alerts. Which logs an appliance can
// have, its configuration says.
func (c *checker) logs() error {
	names := map[string]bool{}
	for i, l := range c.Appliance.Logs {
		name := strings.ToLower(l.Name) // as the configuration compares them
		if names[name] {
			return c.errorf(index("appliance.logs", i, ".name"), "a second log %q, expected a name of its own", l.Name)
		}
		names[name] = true
	}
	for i, r := range c.Appliance.Alerts {
		if a, err := mail.ParseAddress(r.Address); err != nil || a.Address != r.Address {
			return c.errorf(index("appliance.alerts", i, ".address"), "%q is no mail address, expected one such as alerts@example.com", r.Address)
		}
	}
	return nil
}

func (c *checker) interfaces() error {
	seen := make(map[string]bool)
	again := func(kind, value string) bool {
		k := kind + " " + value
		defer func() { seen[k] = true }()
		return seen[k]
	}
	for i := range c.Appliance.Interfaces {
		n := &c.Appliance.Interfaces[i]
		at := func(key string) string { return index("appliance.interfaces", i, key) }
		switch {
		case n.Name == "" || n.Name == "lo0":
			return c.errorf(at(".name"), "%q cannot name an interface, expected a name such as Data 1", n.Name)
		case again("name", n.Name):
			return c.errorf(at(".name"), "a second interface %q, expected a name of its own", n.Name)
		case n.Device == "" || n.Device == "lo0" || again("device", n.Device):
			return c.errorf(at(".device"), "%q is no device or another interface's, expected one of its own such as nic1", n.Device)
		case n.Link < 1 || again("link", strconv.Itoa(n.Link)):
			return c.errorf(at(".link"), "%d is no link number or another interface's, expected one of its own from 1", n.Link)
		case n.MTU < 1280 || n.MTU > 9000:
			return c.errorf(at(".mtu"), "MTU %d, expected 1280 to 9000", n.MTU)
		}
		if err := c.machine(at(".mac"), n.MAC, n.Name); err != nil {
			return err
		}
		c.machines[derivedMAC(macGateway, i+1)] = "the gateway of " + n.Name
		for j, p := range n.Addresses {
			at := index(at(".addresses"), j, "")
			if p.IsSingleIP() {
				return c.errorf(at, "%v lacks the length of its network, expected it as in 10.0.202.7/24", p.Addr())
			}
			if err := c.place(at, n.Name, p); err != nil {
				return err
			}
			if err := c.claim(at, p.Addr(), n.Name); err != nil {
				return err
			}
		}
		if err := c.gateway(n.Name, n.Addresses, n.Gateway, true, at(".gateway")); err != nil {
			return err
		}
		if err := c.gateway(n.Name, n.Addresses, n.Gateway6, false, at(".gateway6")); err != nil {
			return err
		}
	}
	return nil
}

func prefixes(list []netip.Prefix, v4 bool) string {
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

// interfaceNames lists them for messages.
func (c *checker) interfaceNames() string {
	var s []string
	for _, n := range c.Appliance.Interfaces {
		s = append(s, n.Name)
	}
	return strings.Join(s, ", ")
}

func (c *checker) hosts() error {
	seen := make(map[string]bool)
	for i := range c.Hosts {
		h := &c.Hosts[i]
		at := func(key string) string { return index("hosts", i, key) }
		switch {
		case h.Name == "" || h.Name == FromAppliance:
			return c.errorf(at(".name"), "%q cannot name a host, expected another name", h.Name)
		case seen[h.Name]:
			return c.errorf(at(".name"), "a second host %q, expected a name of its own", h.Name)
		case len(h.Addresses) == 0:
			return c.errorf(at(".addresses"), "host %s has no address, expected one at least", h.Name)
		}
		if err := c.onWire(h, at); err != nil {
			return err
		}
		seen[h.Name] = true
		for j, a := range h.Addresses {
			if err := c.hostAddress(h, a, at(index(".addresses", j, ""))); err != nil {
				return err
			}
		}
		for j, name := range h.Names {
			if !domainName.MatchString(name) {
				return c.errorf(at(index(".names", j, "")), "%q is no host name, expected one such as www.example.com", name)
			}
		}
	}
	return nil
}

func (c *checker) hostAddress(h *Host, a netip.Addr, path string) error {
	at := c.segmentOf(a)
	switch {
	case h.Wire == "" && at != nil:
		expected := "wire: " + at.Interface.Name
		if at.VLAN != 0 {
			expected += fmt.Sprintf(" and vlan: %d", at.VLAN)
		}
		return c.errorf(path, "%v is on the network of %s, expected %s for this host", a, at.Name, expected)
	case h.Wire == "" && !c.hasGateway(a):
		return c.errorf(path, "no interface has a gateway that could lead to %v, expected one", a)
	case h.Wire != "" && (at == nil || at.Interface.Name != h.Wire || at.VLAN != h.VLAN):
		s := c.Segment(h.Wire, h.VLAN)
		return c.errorf(path, "%v is not on the network of %s, expected an address in %s", a, s.Name, prefixes(s.Networks, a.Is4()))
	}
	return c.claim(path, a, "host "+h.Name)
}

func (t *Topology) findInterface(name string) *Interface {
	for i := range t.Appliance.Interfaces {
		if n := &t.Appliance.Interfaces[i]; n.Name == name {
			return n
		}
	}
	return nil
}

func (t *Topology) findHost(name string) *Host {
	for i := range t.Hosts {
		if t.Hosts[i].Name == name {
			return &t.Hosts[i]
		}
	}
	return nil
}

func (c *checker) services() error {
	names := make(map[string]bool)
	for i := range c.Hosts {
		ports := make(map[uint16]bool)
		for j, s := range c.Hosts[i].Services {
			at := func(key string) string { return index("hosts", i, index(".services", j, key)) }
			kind, ok := c.servers[s.Type]
			switch {
			case !ok:
				return c.errorf(at(".type"), "no server is called %q, expected one of %s", s.Type, strings.Join(slices.Sorted(maps.Keys(c.servers)), ", "))
			case s.Port == 0:
				return c.errorf(at(".port"), "%s has no usual port, expected one here", s.Type)
			case ports[s.Port]:
				return c.errorf(at(".port"), "a second server on port %d of host %s, expected another port", s.Port, c.Hosts[i].Name)
			case names[s.Name]:
				return c.errorf(at(".name"), "a second server %q, expected a name of its own", s.Name)
			}
			ports[s.Port], names[s.Name] = true, true
			for _, key := range slices.Sorted(maps.Keys(s.Options)) {
				if err := kind.CheckOption(key, s.Options[key]); err != nil {
					return c.errorf(at(".options."+key), "%v", err)
				}
			}
		}
	}
	return nil
}

func (c *checker) dns() error {
	for _, a := range slices.SortedFunc(maps.Keys(c.Names), netip.Addr.Compare) {
		at := "names." + a.String()
		if h := c.hostOf(a); h != nil && len(h.Names) > 0 {
			return c.errorf(at, "%v is host %s, which has names of its own, expected the name there", a, h.Name)
		}
		if name := c.Names[a]; !domainName.MatchString(name) {
			return c.errorf(at, "%q is no host name, expected one such as www.example.com", name)
		}
	}
	for i, m := range c.Mail {
		at := func(key string) string { return index("mail", i, key) }
		if !domainName.MatchString(m.Domain) {
			return c.errorf(at(".domain"), "%q is no domain, expected one such as example.com", m.Domain)
		}
		if len(c.addressesOf(m.Host)) == 0 {
			return c.errorf(at(".host"), "no host has the name %q, expected a name of a host's", m.Host)
		}
	}
	for i, a := range c.Appliance.DNS {
		if h := c.hostOf(a); h == nil && !c.LeadsOut(a) {
			return c.errorf(index("appliance.dns", i, ""), "no host has the address %v, expected one with a dns service", a)
		}
	}
	return nil
}

func (t *Topology) hostOf(a netip.Addr) *Host {
	for i := range t.Hosts {
		if slices.Contains(t.Hosts[i].Addresses, a) {
			return &t.Hosts[i]
		}
	}
	return nil
}

// isFarHost reports whether a is a host's that is on no wire.
func (t *Topology) isFarHost(a netip.Addr) bool {
	h := t.hostOf(a)
	return h != nil && h.Wire == ""
}

// LeadsOut reports whether packets to a leave the simulation.
func (t *Topology) LeadsOut(a netip.Addr) bool {
	return slices.ContainsFunc(t.Doors.Out, func(e Exit) bool { return e.Address == a })
}
