package appliance

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/esasim/esasim/appliance/config"
)

// LoopbackPort is the name of the loopback interface that IP interfaces may be on.
const LoopbackPort = "Loopback"

// Ports are the interfaces that IP interfaces can be on: the Ethernet interfaces,
// and VLANs over them. Where the list is empty the network's interfaces are as they
// came.
var Ports = config.Define("ports", PortList{}, func(v PortList, _ *config.Config) error {
	seen := map[string]bool{}
	for _, p := range v.List {
		if p.Name == "" || seen[p.Name] {
			return fmt.Errorf("every port needs a name of its own, unlike %q", p.Name)
		}
		seen[p.Name] = true
		if p.MTU < LeastMTU || p.MTU > MostMTU {
			return fmt.Errorf("the MTU of %s is %d: it must be from %d to %d", p.Name, p.MTU, LeastMTU, MostMTU)
		}
		if p.VLAN == 0 {
			continue
		}
		if p.VLAN < 1 || p.VLAN > MostVLAN || p.Name != VLANName(p.VLAN) {
			return fmt.Errorf("%s has the VLAN ID %d: it must be from 1 to %d", p.Name, p.VLAN, MostVLAN)
		}
		parent, ok := v.Find(p.Jack)
		if !ok || parent.VLAN != 0 {
			return fmt.Errorf("%s is bound to %s, which is no Ethernet interface", p.Name, p.Jack)
		}
		if p.MTU > parent.MTU {
			return fmt.Errorf("the MTU of %s is %d: it must not be greater than that of %s, which is %d", p.Name, p.MTU, parent.Name, parent.MTU)
		}
	}
	return nil
}, config.In(config.Network, 12))

// Bounds of ports.
const (
	LeastMTU   = 576
	DefaultMTU = 1500
	MostMTU    = 9000
	MostVLAN   = 4094 // IEEE 802.1Q
)

// PortList is the value of Ports.
type PortList struct {
	List []Port `xml:"port_interface"`
}

// A Port is an Ethernet interface, or a VLAN over one.
type Port struct {
	Name string `xml:"port_name"`       // "Data 1", "VLAN 12"
	Jack string `xml:"direct>jack"`     // the Ethernet interface; for one of those itself
	MTU  int    `xml:"direct>jack_mtu"` // bytes of an IP packet
	VLAN int    `xml:"vlan_id"`         // 0: none
}

// Find finds a port by its name.
func (l PortList) Find(name string) (Port, bool) {
	for _, p := range l.List {
		if p.Name == name {
			return p, true
		}
	}
	return Port{}, false
}

// VLANName is the name of a VLAN's port.
func VLANName(id int) string { return fmt.Sprintf("VLAN %d", id) }

// Ethernet holds the media settings. An interface that is not listed selects by
// itself.
var Ethernet = config.Define("ethernet_settings", EthernetSettings{}, func(v EthernetSettings, _ *config.Config) error {
	seen := map[string]bool{}
	for _, e := range v.List {
		if e.Interface == "" || seen[e.Interface] {
			return fmt.Errorf("the media settings of the Ethernet interface %q are there twice, or belong to none", e.Interface)
		}
		seen[e.Interface] = true
		if _, _, err := e.Rate(); err != nil {
			return err
		}
	}
	return nil
}, config.In(config.Network, 14))

// EthernetSettings is the value of Ethernet.
type EthernetSettings struct {
	List []EthernetMedia `xml:"ethernet"`
}

// An EthernetMedia is the medium that an Ethernet interface uses.
type EthernetMedia struct {
	Interface string `xml:"ethernet_interface"`
	Type      string `xml:"media"`     // "autoselect", or one of MediaTypes
	Options   string `xml:"media_opt"` // "full-duplex", "half-duplex"; "" for autoselect
}

// Autoselect is the medium of an interface that nobody has set.
const Autoselect = "autoselect"

// MediaTypes are the media that can be set, slowest first, with their rates in bits a
// second.
var MediaTypes = []struct {
	Name string
	Rate int64
}{{"10baseT/UTP", 10_000_000}, {"100baseTX", 100_000_000}, {"1000baseTX", 1_000_000_000}}

// Rate is the rate in bits a second, 0 for autoselect, and whether both directions
// share it.
func (e EthernetMedia) Rate() (bits int64, half bool, err error) {
	if e.Type == Autoselect && e.Options == "" {
		return 0, false, nil
	}
	for _, m := range MediaTypes {
		if m.Name == e.Type && (e.Options == "full-duplex" || e.Options == "half-duplex") {
			return m.Rate, e.Options == "half-duplex", nil
		}
	}
	return 0, false, fmt.Errorf("the Ethernet interface %s has the medium %q", e.Interface, strings.TrimSpace(e.Type+" "+e.Options))
}

// Of is the setting of an Ethernet interface.
func (s EthernetSettings) Of(name string) EthernetMedia {
	for _, e := range s.List {
		if e.Interface == name {
			return e
		}
	}
	return EthernetMedia{Interface: name, Type: Autoselect}
}

// Loopback says whether the port LoopbackPort is there.
var Loopback = config.Define("loopback_interface", false, nil, config.In(config.Network, 16))

// MulticastARP says whether ARP replies with a multicast address are accepted: 1 if
// so, else 0.
var MulticastARP = config.Define("allow_arp_multicast", 0, func(n int, _ *config.Config) error {
	if n != 0 && n != 1 {
		return fmt.Errorf("allow_arp_multicast is %d: it must be 0 or 1", n)
	}
	return nil
}, config.In(config.Network, 24))

// Routes are the static routes besides the default ones.
var Routes = config.Define("routes", RouteList{}, func(v RouteList, _ *config.Config) error {
	names, nets := map[string]bool{}, map[netip.Prefix]string{}
	for _, r := range v.List {
		if r.Name == "" || names[r.Name] {
			return fmt.Errorf("every route needs a name of its own, unlike %q", r.Name)
		}
		names[r.Name] = true
		if !r.Destination.IsValid() || r.Destination != r.Destination.Masked() || r.Destination.Bits() == 0 {
			return fmt.Errorf("the route %s has the destination %v: expected an address or a network other than the default route's", r.Name, r.Destination)
		}
		if !r.Gateway.IsValid() || r.Gateway.Is4() != r.Destination.Addr().Is4() {
			return fmt.Errorf("the gateway of the route %s must be an address of the same IP version as its destination", r.Name)
		}
		if other, taken := nets[r.Destination]; taken {
			return fmt.Errorf("the routes %s and %s have the same destination", other, r.Name)
		}
		nets[r.Destination] = r.Name
	}
	return nil
}, config.In(config.Network, 35))

// RouteList is the value of Routes.
type RouteList struct {
	List []StaticRoute `xml:"route"`
}

// A StaticRoute leads to a network by a router.
type StaticRoute struct {
	Name        string       `xml:"route_name"`
	Destination netip.Prefix `xml:"destination"`
	Gateway     netip.Addr   `xml:"gateway"`
}

// checkPorts refuses IP interfaces on ports that v does not have.
func checkPorts(v IPInterfaces, c *config.Config) error {
	ports := Ports.Get(c)
	for _, i := range v.List {
		if len(ports.List) == 0 {
			return nil // the network knows
		}
		_, ok := ports.Find(i.Jack)
		switch {
		case ok:
		case i.Jack == LoopbackPort && Loopback.Get(c):
		case i.Jack == LoopbackPort:
			return fmt.Errorf("the IP interface %s is on the loopback interface, which is disabled", i.Name)
		default:
			return fmt.Errorf("the IP interface %s is on %s, which does not exist", i.Name, i.Jack)
		}
	}
	return nil
}
