package appliance

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones are known on machines that have no table of them

	"github.com/esasim/esasim/appliance/config"
)

// Hostname is the name that the prompt shows. A host name has at least two labels.
var Hostname = config.Define("hostname", "example.com", func(name string, _ *config.Config) error {
	return ValidHostname(name)
}, config.In(config.Network, 10))

// TimeZone is a name of the IANA time zone database.
var TimeZone = config.Define("timezone", "Etc/GMT", func(name string, _ *config.Config) error {
	_, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return fmt.Errorf("%q is not a time zone: expected a name such as Europe/Berlin", name)
	}
	return nil
}, config.In(config.System, 10))

// ValidHostname says what is wrong with a fully qualified host name (RFC 1123).
func ValidHostname(name string) error {
	labels := strings.Split(name, ".")
	bad := len(name) > 253 || len(labels) < 2
	for _, l := range labels {
		bad = bad || l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-'
		for _, c := range l {
			bad = bad || !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-')
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		bad = true
	}
	if bad {
		return errors.New("The host name must be fully qualified: labels of letters, digits and hyphens, with dots between them.")
	}
	return nil
}

// Interfaces is the appliance's IP interfaces: addresses on Ethernet interfaces,
// and the services that listen on them.
var Interfaces = config.Define("interfaces", IPInterfaces{}, func(v IPInterfaces, c *config.Config) error {
	names := map[string]bool{}
	owner := map[netip.Addr]string{}
	for _, i := range v.List {
		if i.Name == "" {
			return errors.New("an IP interface has no name")
		}
		if names[i.Name] {
			return fmt.Errorf("two IP interfaces are named %s", i.Name)
		}
		names[i.Name] = true
		prefixes, err := i.check()
		if err != nil {
			return err
		}
		for _, p := range prefixes {
			if other, taken := owner[p.Addr()]; taken {
				return fmt.Errorf("the IP interfaces %s and %s have the same address %v", other, i.Name, p.Addr())
			}
			owner[p.Addr()] = i.Name
		}
	}
	if err := v.checkNetworks(); err != nil {
		return err
	}
	return checkPorts(v, c)
}, config.In(config.Network, 20))

// IPInterfaces is the value of Interfaces.
type IPInterfaces struct {
	List []IPInterface `xml:"interface"`
}

// checkNetworks refuses a network that would be behind two ports: the way to an
// address in it would be a matter of chance.
func (l IPInterfaces) checkNetworks() error {
	for n, i := range l.List {
		for _, o := range l.List[:n] {
			if p, q, clash := i.Overlap(o); clash {
				return fmt.Errorf("%v of the IP interface %s is in the network of %v of %s, which is on %s: an Ethernet interface needs networks of its own",
					p, i.Name, q, o.Name, o.Jack)
			}
		}
	}
	return nil
}

// Overlap finds networks that i and o share though they are on different ports.
// Single addresses (/32, /128) bring no network along.
func (i IPInterface) Overlap(o IPInterface) (p, q netip.Prefix, clash bool) {
	if i.Jack == o.Jack {
		return p, q, false
	}
	ours, _ := i.Prefixes()
	theirs, _ := o.Prefixes()
	for _, p := range ours {
		for _, q := range theirs {
			if !p.IsSingleIP() && !q.IsSingleIP() && p.Overlaps(q) {
				return p, q, true
			}
		}
	}
	return p, q, false
}

// An IPInterface is one or two addresses on an Ethernet interface. A service's
// port is 0 where it is off.
type IPInterface struct {
	Name     string       `xml:"interface_name"`
	IPv4     netip.Addr   `xml:"ip"`
	Jack     string       `xml:"phys_interface"`
	Netmask  string       `xml:"netmask"`
	IPv6     netip.Prefix `xml:"ip6"`
	Hostname string       `xml:"interface_hostname"`
	FTP      uint16       `xml:"ftpd_port"`
	SSH      uint16       `xml:"sshd_port"`
	HTTP     uint16       `xml:"httpd_port"`
	HTTPS    uint16       `xml:"httpsd_port"`
	APIHTTP  uint16       `xml:"api_httpd_port"`
	APIHTTPS uint16       `xml:"api_httpsd_port"`
	NextGUI  uint16       `xml:"trailblazer_httpsd_port"`
}

// check says what is wrong with i, and returns its Prefixes if nothing is.
func (i IPInterface) check() ([]netip.Prefix, error) {
	if i.Jack == "" {
		return nil, fmt.Errorf("the IP interface %s has no Ethernet interface", i.Name)
	}
	if i.IPv4.IsValid() && !i.IPv4.Is4() {
		return nil, fmt.Errorf("the IP interface %s has %v for an IPv4 address", i.Name, i.IPv4)
	}
	if a := i.IPv6.Addr(); a.IsValid() && (!a.Is6() || a.Is4In6()) {
		return nil, fmt.Errorf("the IP interface %s has %v for an IPv6 address", i.Name, a)
	}
	for _, a := range []netip.Addr{i.IPv4, i.IPv6.Addr()} {
		if a.IsValid() && (a.IsUnspecified() || a.IsMulticast()) {
			return nil, fmt.Errorf("the IP interface %s cannot have the address %v", i.Name, a)
		}
	}
	ports := map[uint16]bool{}
	for _, p := range []uint16{i.FTP, i.SSH, i.HTTP, i.HTTPS, i.APIHTTP, i.APIHTTPS, i.NextGUI} {
		if p != 0 && ports[p] {
			return nil, fmt.Errorf("two services of the IP interface %s are on port %d", i.Name, p)
		}
		ports[p] = true
	}
	return i.Prefixes()
}

// Prefixes are the interface's addresses with their networks.
func (i IPInterface) Prefixes() ([]netip.Prefix, error) {
	var out []netip.Prefix
	if i.IPv4.IsValid() {
		mask := net.ParseIP(i.Netmask).To4()
		ones, bits := net.IPMask(mask).Size()
		if mask == nil || bits == 0 {
			return nil, fmt.Errorf("the IP interface %s has the netmask %q: expected a form such as 255.255.255.0", i.Name, i.Netmask)
		}
		out = append(out, netip.PrefixFrom(i.IPv4, ones))
	}
	if i.IPv6.IsValid() {
		out = append(out, i.IPv6)
	}
	return out, nil
}

// Listeners are where mail arrives: public and private listeners, and the one for
// messages that come back from a central quarantine (7025).
var Listeners = config.Define("listeners", MailListeners{}, func(v MailListeners, c *config.Config) error {
	names := map[string]bool{}
	for _, l := range v.List {
		if l.Name == "" || names[l.Name] {
			return fmt.Errorf("every listener needs a name of its own, unlike %q", l.Name)
		}
		names[l.Name] = true
		if l.Port == 0 {
			return fmt.Errorf("the listener %s has no port", l.Name)
		}
		if !slices.ContainsFunc(Interfaces.Get(c).List, func(i IPInterface) bool { return i.Name == l.Interface }) {
			return fmt.Errorf("the listener %s is on the IP interface %s, which does not exist", l.Name, l.Interface)
		}
	}
	return nil
}, config.In(config.Mail, 10))

// MailListeners is the value of Listeners.
type MailListeners struct {
	List []MailListener `xml:"listener"`
}

// A MailListener takes mail on the addresses of an IP interface.
type MailListener struct {
	Name      string `xml:"listener_name"`
	Interface string `xml:"interface_name"`
	Port      uint16 `xml:"port"`
}

// Netmask is the dotted form of an IPv4 prefix length.
func Netmask(bits int) string { return net.IP(net.CIDRMask(bits, 32)).String() }

// Gateways are the default routes.
var Gateways = config.Define("default_gateway", DefaultGateways{}, func(g DefaultGateways, _ *config.Config) error {
	if g.IPv4.IsValid() && !g.IPv4.Is4() {
		return fmt.Errorf("the IPv4 gateway is %v", g.IPv4)
	}
	if g.IPv6.IsValid() && !g.IPv6.Is6() {
		return fmt.Errorf("the IPv6 gateway is %v", g.IPv6)
	}
	return nil
}, config.In(config.Network, 30))

// DefaultGateways is the value of Gateways; a zero address means none.
type DefaultGateways struct {
	IPv4 netip.Addr `xml:"ip"`
	IPv6 netip.Addr `xml:"ip6"`
}

// IPGroups are names for several IP interfaces together.
var IPGroups = config.Define("ip_groups", IPGroupList{}, func(v IPGroupList, c *config.Config) error {
	names, known := map[string]bool{}, map[string]bool{}
	for _, i := range Interfaces.Get(c).List {
		known[i.Name] = true
	}
	for _, g := range v.List {
		if g.Name == "" || names[g.Name] || known[g.Name] {
			return fmt.Errorf("every group of IP interfaces needs a name of its own, unlike %q", g.Name)
		}
		names[g.Name] = true
		if len(g.Interfaces) == 0 {
			return fmt.Errorf("the group %s has no IP interface", g.Name)
		}
		for _, i := range g.Interfaces {
			if !known[i] {
				return fmt.Errorf("the group %s has the IP interface %s, which does not exist", g.Name, i)
			}
		}
	}
	return nil
}, config.In(config.Network, 22))

// IPGroupList is the value of IPGroups.
type IPGroupList struct {
	List []IPGroup `xml:"ip_group"`
}

// An IPGroup is a group of IP interfaces.
type IPGroup struct {
	Name       string   `xml:"group_name"`
	Interfaces []string `xml:"ip_interface"`
}
