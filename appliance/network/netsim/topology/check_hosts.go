package topology

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

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
			return c.errorf(at(".addresses"),
				"host %s has no address, expected at least one", h.Name)
		}
		if err := c.hostSegment(h, at); err != nil {
			return err
		}
		if err := c.tcp(&h.TCP, at(".tcp"), "mss", "sack", "timestamps"); err != nil {
			return err
		}
		seen[h.Name] = true
		for j, a := range h.Addresses {
			if err := c.hostAddress(h, a, at(index(".addresses", j, ""))); err != nil {
				return err
			}
		}
		for j, name := range h.Names {
			if !isDomainName(name) {
				return c.errorf(at(index(".names", j, "")),
					"%q is no host name, expected one such as www.example.com", name)
			}
		}
	}
	return nil
}

// tcp checks the TCP of a machine, which may have the given options.
func (c *checker) tcp(t *TCP, path string, options ...string) error {
	if t.IsZero() {
		return nil
	}
	if t.Window < 1024 || t.Window > 32767 {
		return c.errorf(path+".window", "window %d, expected 1024 to 32767", t.Window)
	}
	for i, name := range t.Options {
		switch {
		case !slices.Contains(options, name):
			return c.errorf(index(path+".options", i, ""),
				"%q is no option of this machine, expected one of %s", name, strings.Join(options, ", "))
		case slices.Contains(t.Options[:i], name):
			return c.errorf(index(path+".options", i, ""), "%s appears twice, expected it once", name)
		}
	}
	return nil
}

// hostSegment checks the segment of a host, and its Ethernet addresses.
func (c *checker) hostSegment(h *Host, at func(string) string) error {
	if h.Wire == "" {
		switch {
		case h.MAC != (MAC{}):
			return c.errorf(at(".mac"), "host %s is on no wire, expected no mac", h.Name)
		case h.ARPMAC != (MAC{}):
			return c.errorf(at(".arp_mac"), "host %s is on no wire, expected no arp_mac", h.Name)
		case h.VLAN != 0:
			return c.errorf(at(".vlan"), "host %s is on no wire, expected wire too", h.Name)
		}
		return nil
	}
	n := c.findInterface(h.Wire)
	if n == nil {
		return c.errorf(at(".wire"),
			"no interface is called %q, expected one of %s", h.Wire, c.interfaceNames())
	}
	if c.Segment(h.Wire, h.VLAN) == nil {
		var ids []string
		for _, v := range n.VLANs {
			ids = append(ids, strconv.Itoa(v.ID))
		}
		expected := "vlans there"
		if ids != nil {
			expected = strings.Join(ids, " or ")
		}
		return c.errorf(at(".vlan"),
			"the wire of %s carries no VLAN %d, expected %s", h.Wire, h.VLAN, expected)
	}
	if h.ARPMAC != (MAC{}) && (!h.ARPMAC.isMulticast() || h.ARPMAC.isBroadcast()) {
		return c.errorf(at(".arp_mac"),
			"%v is no multicast address, expected one such as 03:bf:0a:00:ca:09", h.ARPMAC)
	}
	return c.claimMAC(at(".mac"), h.MAC, "host "+h.Name)
}

func (c *checker) hostAddress(h *Host, a netip.Addr, path string) error {
	on := c.segmentOf(a)
	switch {
	case h.Wire == "" && on != nil:
		expected := "wire: " + on.Interface.Name
		if on.VLAN != 0 {
			expected += fmt.Sprintf(" and vlan: %d", on.VLAN)
		}
		return c.errorf(path,
			"%v is on the network of %s, expected %s for this host", a, on.Name, expected)
	case h.Wire == "" && !c.hasGateway(a):
		return c.errorf(path, "no interface has a gateway that could lead to %v, expected one", a)
	case h.Wire != "" && (on == nil || on.Interface.Name != h.Wire || on.VLAN != h.VLAN):
		s := c.Segment(h.Wire, h.VLAN)
		return c.errorf(path, "%v is not on the network of %s, expected an address in %s",
			a, s.Name, networks(s.Networks, a.Is4()))
	}
	return c.claimAddr(path, a, "host "+h.Name)
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
				return c.errorf(at(".type"), "no server is called %q, expected one of %s",
					s.Type, strings.Join(slices.Sorted(maps.Keys(c.servers)), ", "))
			case s.Port == 0:
				return c.errorf(at(".port"), "%s has no default port, expected one here", s.Type)
			case ports[s.Port]:
				return c.errorf(at(".port"),
					"a second server on port %d of host %s, expected another port",
					s.Port, c.Hosts[i].Name)
			case names[s.Name]:
				return c.errorf(at(".name"),
					"a second server %q, expected a name of its own", s.Name)
			}
			ports[s.Port], names[s.Name] = true, true
			if kind.OnWire && !c.Hosts[i].canServeWire() {
				return c.errorf(at(".type"), "%s answers the machines of a wire, expected it on a host with "+
					"wire and an IPv4 address", s.Type)
			}
			for _, key := range slices.Sorted(maps.Keys(s.Options)) {
				if err := kind.CheckOption(key, s.Options[key]); err != nil {
					return c.errorf(at(".options."+key), "%v", err)
				}
			}
			if err := c.mailRules(&s, kind, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// canServeWire reports whether a host is on a wire and has an IPv4 address.
func (h *Host) canServeWire() bool {
	return h.Wire != "" && slices.ContainsFunc(h.Addresses, netip.Addr.Is4)
}

// dns checks the DNS names of other machines, mail exchangers, and the appliance's name
// servers.
func (c *checker) dns() error {
	for _, a := range slices.SortedFunc(maps.Keys(c.Names), netip.Addr.Compare) {
		at := "names." + a.String()
		if h := c.hostOf(a); h != nil && len(h.Names) > 0 {
			return c.errorf(at,
				"%v is host %s, which has names of its own, expected the name there", a, h.Name)
		}
		if name := c.Names[a]; !isDomainName(name) {
			return c.errorf(at, "%q is no host name, expected one such as www.example.com", name)
		}
	}
	addrs, _ := c.DNSRecords()
	for i, m := range c.Mail {
		at := func(key string) string { return index("mail", i, key) }
		if !isDomainName(m.Domain) {
			return c.errorf(at(".domain"),
				"%q is no domain, expected one such as example.com", m.Domain)
		}
		if len(addrs[strings.ToLower(m.Host)]) == 0 {
			return c.errorf(at(".host"),
				"no host has the name %q, expected the name of a host", m.Host)
		}
	}
	for i, r := range c.Reputation {
		at := func(key string) string { return index("reputation", i, key) }
		if !r.Network.IsValid() {
			return c.errorf(at(".network"), "the network is missing, expected one such as 203.0.113.0/24")
		}
		if s, err := strconv.ParseFloat(r.Score, 64); r.Score != "" && (err != nil || !(s >= -10 && s <= 10)) {
			return c.errorf(at(".score"), "the score is %q, expected a number from -10 to 10", r.Score)
		}
		if strings.ContainsFunc(r.Country, notInCountry) {
			return c.errorf(at(".country"), "%q is no name of a country, expected letters and blanks", r.Country)
		}
	}
	for i, a := range c.Appliance.DNS {
		if h := c.hostOf(a); h == nil && !c.LeadsOut(a) && !c.hasRealSegment() {
			return c.errorf(index("appliance.dns", i, ""),
				"no host has the address %v, expected one with a dns service", a)
		}
	}
	return nil
}

// notInCountry reports whether a character cannot be in the name of a country.
func notInCountry(r rune) bool {
	return r != ' ' && r != '-' && r != '\'' && r != ',' && !unicode.IsLetter(r)
}
