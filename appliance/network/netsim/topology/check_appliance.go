package topology

import (
	"net/mail"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // time zones are known on machines that have no list of them, too
)

func (c *checker) appliance() error {
	a := &c.Appliance
	const serial = "421F6D8FB9C75E19C425-C9AEA81B2B70"
	switch {
	case !isDomainName(a.HostName):
		return c.errorf("appliance.hostname",
			"%q is no host name, expected one such as mail.example.com", a.HostName)
	case a.Model == "":
		return c.errorf("appliance.model", "no model, expected one such as C100V")
	case a.Serial == "":
		return c.errorf("appliance.serial", "no serial, expected one such as %s", serial)
	case strings.ContainsAny(a.Serial, "/ "):
		return c.errorf("appliance.serial",
			"%q is no serial number, expected one such as %s", a.Serial, serial)
	case !isVersion(a.Version):
		return c.errorf("appliance.version",
			"%q is no version, expected release and build such as 14.0.0-698", a.Version)
	case len(a.Interfaces) == 0:
		return c.errorf("appliance.interfaces", "no interface, expected at least one")
	case a.DiskQuota < MiB:
		return c.errorf("appliance.disk_quota",
			"%d bytes are too few, expected at least 1MiB", a.DiskQuota)
	}
	if err := c.tcp(&a.TCP, "appliance.tcp", "mss", "window-scale", "sack", "timestamps"); err != nil {
		return err
	}
	if _, err := time.Parse(time.DateOnly, a.BuildDate); a.BuildDate != "" && err != nil {
		return c.errorf("appliance.build_date",
			"%q is no date, expected one such as 2021-07-27", a.BuildDate)
	}
	if _, err := time.LoadLocation(a.TimeZone); err != nil {
		return c.errorf("appliance.timezone",
			"time zone %q is unknown, expected one such as America/Los_Angeles", a.TimeZone)
	}
	return nil
}

// logs checks the names of logs and the addresses of alerts. Everything else about them is
// checked with the appliance's configuration (package box).
func (c *checker) logs() error {
	names := map[string]bool{}
	for i, l := range c.Appliance.Logs {
		name := strings.ToLower(l.Name) // as the configuration compares names
		if names[name] {
			return c.errorf(index("appliance.logs", i, ".name"),
				"a second log %q, expected a name of its own", l.Name)
		}
		names[name] = true
	}
	for i, r := range c.Appliance.Alerts {
		if a, err := mail.ParseAddress(r.Address); err != nil || a.Address != r.Address {
			return c.errorf(index("appliance.alerts", i, ".address"),
				"%q is no mail address, expected one such as alerts@example.com", r.Address)
		}
	}
	return nil
}

func (c *checker) interfaces() error {
	seen := make(map[string]bool)
	repeated := func(kind, value string) bool {
		k := kind + " " + value
		defer func() { seen[k] = true }()
		return seen[k]
	}
	for i := range c.Appliance.Interfaces {
		n := &c.Appliance.Interfaces[i]
		at := func(key string) string { return index("appliance.interfaces", i, key) }
		switch {
		case n.Name == "" || n.Name == "lo0":
			return c.errorf(at(".name"),
				"%q cannot name an interface, expected a name such as Data 1", n.Name)
		case repeated("name", n.Name):
			return c.errorf(at(".name"),
				"a second interface %q, expected a name of its own", n.Name)
		case n.Device == "" || n.Device == "lo0" || repeated("device", n.Device):
			return c.errorf(at(".device"),
				"%q is no device or that of another interface, expected one of its own such as nic1",
				n.Device)
		case n.Link < 1 || repeated("link", strconv.Itoa(n.Link)):
			return c.errorf(at(".link"),
				"%d is no link number or that of another interface, expected one of its own from 1",
				n.Link)
		case n.MTU < 1280 || n.MTU > 9000:
			return c.errorf(at(".mtu"), "MTU %d, expected 1280 to 9000", n.MTU)
		}
		if err := c.claimMAC(at(".mac"), n.MAC, n.Name); err != nil {
			return err
		}
		c.macOwners[derivedMAC(macGateway, i+1)] = gatewayOf(n.Name)
		if err := c.interfaceAddresses(n, at(".addresses")); err != nil {
			return err
		}
		if err := c.gateways(n.Name, n.Addresses, n.Gateway, n.Gateway6, at); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) interfaceAddresses(n *Interface, path string) error {
	for j, p := range n.Addresses {
		at := index(path, j, "")
		second := func(q netip.Prefix) bool { return q.Addr().Is4() }
		if n.DHCP && p.Addr().Is4() && slices.ContainsFunc(n.Addresses[:j], second) {
			return c.errorf(at, "%v is a second IPv4 address of %s, which asks for its own by DHCP, "+
				"expected at most one, to be used if no server answers", p, n.Name)
		}
		if p.IsSingleIP() {
			return c.errorf(at,
				"%v lacks the prefix length of its network, expected it as in 10.0.202.7/24",
				p.Addr())
		}
		if err := c.place(at, n.Name, p); err != nil {
			return err
		}
		if err := c.claimAddr(at, p.Addr(), n.Name); err != nil {
			return err
		}
	}
	return nil
}

// gateways checks the routers of a segment. addresses are the appliance's on that segment.
func (c *checker) gateways(
	segment string, addresses []netip.Prefix, v4, v6 netip.Prefix, at func(string) string,
) error {
	if err := c.gateway(segment, addresses, v4, true, at(".gateway")); err != nil {
		return err
	}
	return c.gateway(segment, addresses, v6, false, at(".gateway6"))
}

// gateway checks one router, which must be of the family that its key is for.
func (c *checker) gateway(
	segment string, addresses []netip.Prefix, gw netip.Prefix, v4 bool, path string,
) error {
	switch {
	case !gw.IsValid():
		return nil
	case gw.Addr().Is4() != v4:
		return c.errorf(path,
			"%v is of the other family, expected IPv4 in gateway and IPv6 in gateway6", gw.Addr())
	case gw.IsSingleIP() && len(addresses) == 0:
		return c.errorf(path,
			"%v lacks the prefix length of its network, expected it as in 10.0.203.1/24", gw.Addr())
	case gw.IsSingleIP():
		return c.errorf(path, "%v is not on the network of %s, expected an address in %s",
			gw.Addr(), segment, networks(addresses, v4))
	}
	if err := c.place(path, segment, gw); err != nil {
		return err
	}
	return c.claimAddr(path, gw.Addr(), gatewayOf(segment))
}

// gatewayOf returns the owner of a gateway's addresses, for messages.
func gatewayOf(segment string) string { return gatewayPrefix + segment }

// gatewayPrefix begins the names of gateways.
const gatewayPrefix = "the gateway of "

// vlans checks the VLANs of all wires.
func (c *checker) vlans() error {
	for i, n := range c.Appliance.Interfaces {
		seen := make(map[int]bool)
		for j, v := range n.VLANs {
			at := func(key string) string {
				return index("appliance.interfaces", i, index(".vlans", j, key))
			}
			switch {
			case v.ID < 1 || v.ID > 4094:
				return c.errorf(at(".id"), "%d is no VLAN ID, expected 1 to 4094", v.ID)
			case seen[v.ID]:
				return c.errorf(at(".id"),
					"a second VLAN %d on the wire of %s, expected it once", v.ID, n.Name)
			case !v.Gateway.IsValid() && !v.Gateway6.IsValid():
				return c.errorf(at(""),
					"VLAN %d has no router, expected gateway or gateway6 with the prefix length "+
						"of the network",
					v.ID)
			}
			seen[v.ID] = true
			s := c.Segment(n.Name, v.ID)
			c.macOwners[s.RouterMAC] = gatewayOf(s.Name)
			if err := c.gateways(s.Name, nil, v.Gateway, v.Gateway6, at); err != nil {
				return err
			}
		}
	}
	return nil
}
