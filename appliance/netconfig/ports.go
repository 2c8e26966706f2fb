package netconfig

import (
	"fmt"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// Ports is the section of the Ethernet interfaces and the VLANs over them. If the list is empty,
// the network keeps the Ethernet interfaces and MTUs that it has.
var Ports = config.Define("ports", PortList{}, PortList.check, config.In(config.Network, 12))

// PortList is the value of Ports.
type PortList struct {
	List []Port `xml:"port_interface"`
}

func (l PortList) check(*config.Config) error {
	seen := map[string]bool{}
	for _, p := range l.List {
		if p.Name == "" || seen[p.Name] {
			return refusal.Newf("Every port needs a name of its own, unlike %q.", p.Name)
		}
		seen[p.Name] = true
		if p.MTU < MinMTU || p.MTU > MaxMTU {
			return refusal.Newf("The MTU of %s is %d: it must be from %d to %d.",
				p.Name, p.MTU, MinMTU, MaxMTU)
		}
		if p.VLAN == 0 {
			continue
		}
		if p.VLAN < 1 || p.VLAN > MaxVLAN || p.Name != VLANName(p.VLAN) {
			return refusal.Newf("%s has the VLAN ID %d: it must be from 1 to %d.", p.Name, p.VLAN, MaxVLAN)
		}
		parent, ok := l.Find(p.Ethernet)
		if !ok || parent.VLAN != 0 {
			return refusal.Newf("%s is bound to %s, which is no Ethernet interface.", p.Name, p.Ethernet)
		}
		if p.MTU > parent.MTU {
			return refusal.Newf("The MTU of %s is %d: it must not be greater than that of %s, which is %d.",
				p.Name, p.MTU, parent.Name, parent.MTU)
		}
	}
	return nil
}

// Bounds and defaults of ports.
const (
	MinMTU     = 576
	DefaultMTU = 1500
	MaxMTU     = 9000
	MaxVLAN    = 4094 // IEEE 802.1Q
)

// A Port is an Ethernet interface, or a VLAN over one.
type Port struct {
	Name string `xml:"port_name"` // "Data 1", "VLAN 12"
	// Ethernet is the Ethernet interface that a VLAN is over. An Ethernet interface has its own name
	// there.
	Ethernet string `xml:"direct>jack"`
	MTU      int    `xml:"direct>jack_mtu"` // bytes of an IP packet
	VLAN     int    `xml:"vlan_id"`         // 0: it is an Ethernet interface
}

// Find returns the port of that name.
func (l PortList) Find(name string) (p Port, ok bool) {
	for _, p := range l.List {
		if p.Name == name {
			return p, true
		}
	}
	return Port{}, false
}

// VLANName returns the name of a VLAN's port.
func VLANName(id int) string { return fmt.Sprintf("VLAN %d", id) }

// LoopbackPort is the name of the port that Loopback enables.
const LoopbackPort = "Loopback"

// Loopback is the section that enables the port LoopbackPort.
var Loopback = config.Define("loopback_interface", false, nil, config.In(config.Network, 16))

// MulticastARP is the section that says whether ARP replies with a multicast Ethernet address
// are accepted: 1 if they are, else 0.
var MulticastARP = config.Define("allow_arp_multicast", 0, func(n int, _ *config.Config) error {
	if n != 0 && n != 1 {
		return refusal.Newf("The value of allow_arp_multicast is %d: it must be 0 or 1.", n)
	}
	return nil
}, config.In(config.Network, 24))
