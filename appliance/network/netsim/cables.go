package netsim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A CableKind is what a cable belongs to.
type CableKind string

// Kinds of cables.
const (
	InterfaceCable CableKind = "interface" // of the appliance
	HostCable      CableKind = "host"
	ServerCable    CableKind = "server" // a host's, but only packets from and to one server
	GatewayCable   CableKind = "gateway"
	PathCable      CableKind = "path"
	UplinkCable    CableKind = "uplink" // the cable to a real network
)

// A Cable is a place where packets can be observed.
type Cable struct {
	// Name is that of the interface, host or server in the topology. The cable of a gateway is
	// "gateway/" and the name of its segment, that of a path "path/" and the name of the path, that
	// of an uplink "uplink/" and the name of the interface. If the name belongs to a cable before this one, it has its kind in front: "server/mail".
	Name string    `json:"name"`
	Kind CableKind `json:"kind"`
	// Link is the type of the packets: Ethernet frames, or IP packets behind the gateways.
	Link        CableLink `json:"link"`
	Description string    `json:"description"` // a phrase for people: where it is

	// Addresses and Port, if any, are those of all packets on the cable. IP packets that have other
	// addresses are not shown.
	Addresses []netip.Addr `json:"-"`
	Port      uint16       `json:"-"`

	port *ether.Port // nil: a path
	path string
}

// A CableLink is the type of the packets on a cable.
type CableLink string

// Types of packets.
const (
	EthernetLink CableLink = "ethernet"
	RawLink      CableLink = "raw" // IP without Ethernet
)

// A CableFrame is a packet that passes a cable.
type CableFrame struct {
	Time time.Time
	// Dir is the direction as seen by the machine that the cable belongs to: Out if it has sent the
	// packet. On a path, Out is away from the appliance.
	Dir network.Direction
	// Frame is an Ethernet frame. On a cable of type RawLink, only its type and what follows it is
	// part of the packet.
	Frame []byte
}

// Prefixes of the names of cables.
const (
	gatewayPrefix = "gateway/"
	pathPrefix    = "path/"
	uplinkPrefix  = "uplink/"
)

// Cables returns all cables, those of the appliance first.
func (w *World) Cables() []Cable { return w.stacks.cables() }

func (s *stacks) cables() []Cable {
	var list []Cable
	for _, n := range s.topology.Appliance.Interfaces {
		list = append(list, Cable{
			Name: n.Name, Kind: InterfaceCable, Link: EthernetLink,
			Description: "the appliance's interface " + n.Name,
			port:        s.appliance.Port(n.Name),
		})
	}
	for _, h := range s.topology.Hosts {
		list = append(list, s.hostCables(h)...)
	}
	for _, seg := range s.topology.Segments() {
		if p := s.wan.GatewayPort(gatewayName(&seg)); p != nil {
			list = append(list, Cable{
				Name: gatewayPrefix + seg.Name, Kind: GatewayCable, Link: EthernetLink,
				Description: "the gateway of " + seg.Name + ", on the appliance's side",
				port:        p,
			})
		}
	}
	for _, p := range s.topology.Paths {
		list = append(list, Cable{
			Name: pathPrefix + p.Name, Kind: PathCable, Link: RawLink,
			Description: fmt.Sprintf("the path to %v, behind the gateway", p.To),
			path:        p.Name,
		})
	}
	for i, u := range s.options.Uplinks.of {
		list = append(list, Cable{
			Name: uplinkPrefix + u.Interface, Kind: UplinkCable, Link: EthernetLink,
			Description: fmt.Sprintf("the uplink of %s, to %v", u.Interface, u.To),
			port:        s.options.Uplinks.list[i].Port(),
		})
	}
	// Machines of a wire that an uplink replaces are not simulated, and have no cable.
	list = slices.DeleteFunc(list, func(c Cable) bool { return c.port == nil && c.Kind != PathCable })
	seen := make(map[string]bool)
	for i := range list {
		c := &list[i]
		if seen[c.Name] {
			c.Name = string(c.Kind) + "/" + c.Name
		}
		seen[c.Name] = true
	}
	return list
}

// gatewayName returns the name of the WAN's gateway on a segment.
func gatewayName(seg *topology.Segment) string { return "wan/" + seg.Name }

// hostCables returns the cable of a host and those of its servers.
func (s *stacks) hostCables(h topology.Host) []Cable {
	c := Cable{
		Name: h.Name, Kind: HostCable, Link: EthernetLink,
		Description: "host " + h.Name + " on " + h.Wire,
	}
	if h.VLAN != 0 {
		c.Description = fmt.Sprintf("host %s in VLAN %d of %s", h.Name, h.VLAN, h.Wire)
	}
	simulated := func(a netip.Addr) bool { return !s.topology.LeadsOut(a) }
	switch leadsOut := !slices.ContainsFunc(h.Addresses, simulated); {
	case h.Wire != "":
		c.port = s.hosts.Port(h.Name)
	case leadsOut:
		c.port, c.Link, c.Addresses = s.exit.Port(siteName), RawLink, h.Addresses
		c.Description = "host " + h.Name + " behind the gateways, at a back door"
	default:
		c.port, c.Link, c.Addresses = s.hosts.Port(siteName), RawLink, h.Addresses
		c.Description = "host " + h.Name + " behind the gateways"
	}
	list := []Cable{c}
	for _, service := range s.topology.SimulatedServices(h) {
		x := c
		x.Name, x.Kind = service.Name, ServerCable
		x.Addresses, x.Port = h.Addresses, service.Port
		x.Description = fmt.Sprintf("server %s, port %d of %s", service.Name, service.Port, c.Description)
		list = append(list, x)
	}
	return list
}

// Cable returns the cable of a name. A path may be named without its prefix if nothing else has the
// name. The error is a *NotFoundError.
func (w *World) Cable(name string) (Cable, error) {
	list := w.Cables()
	for _, full := range []string{name, pathPrefix + name, gatewayPrefix + name} {
		for _, c := range list {
			if c.Name == full {
				return c, nil
			}
		}
	}
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
	}
	return Cable{}, &NotFoundError{fmt.Sprintf("%s has no cable %q: expected one of %s",
		w.topology.File, name, strings.Join(names, ", "))}
}

// WaitClients blocks until the connections of the topology are open, so that a caller does not see
// them being opened.
func (w *World) WaitClients() { w.clients.wait() }

// LookAtClients says that somebody looks at what happens in the world, such as its events. The
// connections of the topology are opened now, or by StartClients. It does not block.
func (w *World) LookAtClients() { w.clients.look() }

// Observe calls show for each later packet on a cable of this world, in the order in which they pass.
// show runs on the fabric's pump and must not block; the frame must not be changed or retained.
// After remove has returned, show is not called any more. show must not call remove.
//
// A machine's cable shows packets that the machine sends before faults apply to them, and packets
// to the machine after faults have been applied; the Observe of package wan says the same of paths.
// On a cable with Addresses, only IP packets of these are shown.
func (w *World) Observe(c Cable, show func(CableFrame)) (remove func()) {
	w.clients.look()
	if c.port == nil {
		return w.stacks.wan.Observe(c.path, func(at time.Time, out bool, frame []byte) {
			dir := network.In
			if out {
				dir = network.Out
			}
			show(CableFrame{at, dir, frame})
		})
	}
	return c.port.Tap(func(at time.Time, dir network.Direction, frame []byte) {
		if c.Link == EthernetLink || c.carries(frame) {
			show(CableFrame{at, dir, frame})
		}
	})
}

// carries reports whether a frame is an IP packet from or to one of the cable's addresses.
func (c *Cable) carries(frame []byte) bool {
	const ether4, ether6 = 0x0800, 0x86dd
	if len(frame) < 14+20 {
		return false
	}
	ip := frame[14:]
	switch int(frame[12])<<8 | int(frame[13]) {
	case ether4:
		return slices.Contains(c.Addresses, netip.AddrFrom4([4]byte(ip[12:16]))) ||
			slices.Contains(c.Addresses, netip.AddrFrom4([4]byte(ip[16:20])))
	case ether6:
		return len(ip) >= 40 &&
			(slices.Contains(c.Addresses, netip.AddrFrom16([16]byte(ip[8:24]))) ||
				slices.Contains(c.Addresses, netip.AddrFrom16([16]byte(ip[24:40]))))
	}
	return false
}
