package netconfig

import (
	"net"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/tlsconfig"
)

// Interfaces is the section of the IP interfaces.
var Interfaces = config.Define("interfaces", IPInterfaces{}, IPInterfaces.check,
	config.In(config.Network, 20))

// IPInterfaces is the value of Interfaces.
type IPInterfaces struct {
	List []IPInterface `xml:"interface"`
}

func (l IPInterfaces) check(c *config.Config) error {
	names := map[string]bool{}
	owner := map[netip.Addr]string{}
	for _, i := range l.List {
		if i.Name == "" {
			return refusal.New("An IP interface has no name.")
		}
		if names[i.Name] {
			return refusal.Newf("Two IP interfaces are named %s.", i.Name)
		}
		names[i.Name] = true
		if err := tlsconfig.CheckUse(c, i.Certificate, "The IP interface "+i.Name); err != nil {
			return err
		}
		prefixes, err := i.check()
		if err != nil {
			return err
		}
		for _, p := range prefixes {
			if other, taken := owner[p.Addr()]; taken {
				return refusal.Newf("The IP interfaces %s and %s have the same address %v.",
					other, i.Name, p.Addr())
			}
			owner[p.Addr()] = i.Name
		}
	}
	if err := l.checkNetworks(); err != nil {
		return err
	}
	return l.checkPorts(c)
}

// Find returns the IP interface of that name.
func (l IPInterfaces) Find(name string) (i IPInterface, ok bool) {
	at := slices.IndexFunc(l.List, func(i IPInterface) bool { return i.Name == name })
	if at < 0 {
		return i, false
	}
	return l.List[at], true
}

// checkNetworks refuses a network that is attached to two ports: packets to it could leave by
// either.
func (l IPInterfaces) checkNetworks() error {
	for n, i := range l.List {
		for _, o := range l.List[:n] {
			if p, q, overlap := i.Overlap(o); overlap {
				return refusal.Newf("%v of the IP interface %s is in the network of %v of %s, which is on "+
					"%s: each Ethernet interface needs networks of its own.", p, i.Name, q, o.Name, o.Port)
			}
		}
	}
	return nil
}

// checkPorts refuses IP interfaces on ports that c does not have. If c lists no ports, only the
// network knows which ones there are, and the plan finds out.
func (l IPInterfaces) checkPorts(c *config.Config) error {
	ports := Ports.Get(c)
	if len(ports.List) == 0 {
		return nil
	}
	for _, i := range l.List {
		_, ok := ports.Find(i.Port)
		switch {
		case ok:
		case i.Port == LoopbackPort && Loopback.Get(c):
		case i.Port == LoopbackPort:
			return refusal.Newf("The IP interface %s is on the loopback interface, which is disabled.",
				i.Name)
		default:
			return refusal.Newf("The IP interface %s is on %s, which does not exist.", i.Name, i.Port)
		}
	}
	return nil
}

// An IPInterface is one or two addresses on a port. The port number of a service is 0 if the
// service is off.
type IPInterface struct {
	Name     string       `xml:"interface_name"`
	IPv4     netip.Addr   `xml:"ip"`
	Port     string       `xml:"phys_interface"` // name of the port that it is on
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
	// Certificate is that of HTTPS; "": tlsconfig.Demo.
	Certificate string `xml:"https_certificate,omitempty"`
}

// Overlap returns networks that i and o share although they are on different ports. A single
// address (/32, /128) has no network and never overlaps.
func (i IPInterface) Overlap(o IPInterface) (p, q netip.Prefix, overlap bool) {
	if i.Port == o.Port {
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

// check refuses an interface that is not valid by itself, and returns the Prefixes of one that
// is.
func (i IPInterface) check() ([]netip.Prefix, error) {
	if i.Port == "" {
		return nil, refusal.Newf("The IP interface %s has no Ethernet interface.", i.Name)
	}
	if i.IPv4.IsValid() && !i.IPv4.Is4() {
		return nil, refusal.Newf("The IP interface %s has %v for an IPv4 address.", i.Name, i.IPv4)
	}
	if a := i.IPv6.Addr(); a.IsValid() && (!a.Is6() || a.Is4In6()) {
		return nil, refusal.Newf("The IP interface %s has %v for an IPv6 address.", i.Name, a)
	}
	for _, a := range []netip.Addr{i.IPv4, i.IPv6.Addr()} {
		if a.IsValid() && (a.IsUnspecified() || a.IsMulticast()) {
			return nil, refusal.Newf("The IP interface %s cannot have the address %v.", i.Name, a)
		}
	}
	used := map[uint16]bool{}
	for _, p := range []uint16{i.FTP, i.SSH, i.HTTP, i.HTTPS, i.APIHTTP, i.APIHTTPS, i.NextGUI} {
		if p != 0 && used[p] {
			return nil, refusal.Newf("Two services of the IP interface %s are on port %d.", i.Name, p)
		}
		used[p] = true
	}
	return i.Prefixes()
}

// Prefixes returns the interface's addresses, IPv4 first, each with the length of its network.
func (i IPInterface) Prefixes() ([]netip.Prefix, error) {
	var out []netip.Prefix
	if i.IPv4.IsValid() {
		mask := net.ParseIP(i.Netmask).To4()
		ones, bits := net.IPMask(mask).Size()
		if mask == nil || bits == 0 {
			return nil, refusal.Newf("The IP interface %s has the netmask %q: expected a form such as "+
				"255.255.255.0.", i.Name, i.Netmask)
		}
		out = append(out, netip.PrefixFrom(i.IPv4, ones))
	}
	if i.IPv6.IsValid() {
		out = append(out, i.IPv6)
	}
	return out, nil
}

// AddrPorts returns the interface's addresses, IPv4 first, each with the given port number.
func (i IPInterface) AddrPorts(port uint16) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range []netip.Addr{i.IPv4, i.IPv6.Addr()} {
		if a.IsValid() {
			out = append(out, netip.AddrPortFrom(a, port))
		}
	}
	return out
}

// Netmask returns the dotted form of an IPv4 prefix length.
func Netmask(bits int) string { return net.IP(net.CIDRMask(bits, 32)).String() }

// IPGroups is the section of the groups: a group is a name for several IP interfaces.
var IPGroups = config.Define("ip_groups", IPGroupList{}, IPGroupList.check,
	config.In(config.Network, 22))

// IPGroupList is the value of IPGroups.
type IPGroupList struct {
	List []IPGroup `xml:"ip_group"`
}

func (l IPGroupList) check(c *config.Config) error {
	names, known := map[string]bool{}, map[string]bool{}
	for _, i := range Interfaces.Get(c).List {
		known[i.Name] = true
	}
	for _, g := range l.List {
		if g.Name == "" || names[g.Name] || known[g.Name] {
			return refusal.Newf("Every group of IP interfaces needs a name of its own, unlike %q.", g.Name)
		}
		names[g.Name] = true
		if len(g.Interfaces) == 0 {
			return refusal.Newf("The group %s has no IP interface.", g.Name)
		}
		for _, i := range g.Interfaces {
			if !known[i] {
				return refusal.Newf("The group %s has the IP interface %s, which does not exist.", g.Name, i)
			}
		}
	}
	return nil
}

// An IPGroup is a named group of IP interfaces.
type IPGroup struct {
	Name       string   `xml:"group_name"`
	Interfaces []string `xml:"ip_interface"` // names
}
