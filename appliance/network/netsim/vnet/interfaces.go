package vnet

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// An InterfaceConfig describes a network card and its cable.
type InterfaceConfig struct {
	Name    string // for the administrator: "Data 1"; unique
	Device  string // for the system: "nic1"; unique
	Index   int    // N of link#N; unique
	Segment *ether.Segment
	MAC     ether.MAC
	MTU     int // 0 means 1500
	// ARPMAC is the MAC that the host announces by ARP; zero means MAC. See
	// ether.Port.SetARPMAC.
	ARPMAC ether.MAC
	// Addrs are the addresses with the networks that they are in. An address whose prefix has
	// full length (10.0.201.4/32) is an alias: it adds no route to a network.
	Addrs []netip.Prefix
	// Dormant postpones the NIC until the first frame for it arrives, or until somebody uses one of
	// its addresses or chooses none. Nobody can see the difference.
	Dormant bool
}

// An iface is an interface. The fields of the second group are guarded by Host.mu, the others
// do not change.
type iface struct {
	id           tcpip.NICID // also N of link#N
	name, device string
	port         *ether.Port // nil for lo0 and lo1
	vlan         int         // ID of the VLAN; 0: the interface is no VLAN
	parent       *iface      // the card that a VLAN belongs to

	addrs    []netip.Prefix
	lo1Addrs []netip.Addr // addresses of lo1 that the NIC has too
	up       bool
	attached bool // the stack has a NIC for the interface; never for lo1
	dormant  bool // setAddrs has recorded the addresses only, see Host.wake
	media    network.Media
}

const (
	minMTU, defaultMTU, maxMTU = 576, 1500, 9000
	loopbackMTU                = 16384
)

func lo0Addrs() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}
}

// AddInterface adds a network card to the host and attaches it to a segment. Close closes its
// port.
func (h *Host) AddInterface(c InterfaceConfig) error {
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("add interface %s: %w", c.Name, net.ErrClosed)
	}
	for _, i := range h.ifaces {
		if i.name == c.Name || i.device == c.Device || int(i.id) == c.Index {
			return fmt.Errorf("add interface %s (%s, link#%d): %s (%s, link#%d) exists already",
				c.Name, c.Device, c.Index, i.name, i.device, i.id)
		}
	}
	i := &iface{id: tcpip.NICID(c.Index), name: c.Name, device: c.Device, up: true}
	i.port = c.Segment.NewPort(h.options.Name+"/"+c.Device, c.MAC, c.MTU)
	if c.ARPMAC != (ether.MAC{}) {
		i.port.SetARPMAC(c.ARPMAC)
	}
	if h.personalities != nil {
		i.port.SetSegmentRewriter(portRewriter{h.personalities, i.port})
	}
	i.port.SetSegmentReceiver(&h.sockets)
	h.fabric.Store(i.port.Fabric())
	h.insertIface(i)
	if c.Dormant {
		h.makeDormant(i)
	}
	if err := h.setAddrs(i, c.Addrs); err != nil {
		return fmt.Errorf("add interface %s: %w", c.Name, err)
	}
	h.publishChanged(i)
	return nil
}

// attach creates the stack's NIC for i if i has none. A NIC takes 13 KiB and many interfaces of
// an appliance are unused, so an interface gets it with its first address. attach is called with
// mu held.
func (h *Host) attach(i *iface) {
	if i.attached {
		return
	}
	i.attached = true
	i.port.WrapResolution(h.learner.learn)
	o := stack.NICOptions{Name: i.device, Disabled: !i.isUp()}
	must(h.stack.CreateNICWithOptions(i.id, i.port.Endpoint(), o))
	if h.options.Promiscuous {
		must(h.stack.SetPromiscuousMode(i.id, true))
		must(h.stack.SetSpoofing(i.id, true))
	}
	// NDP probes a neighbor after 30 seconds, as RFC 4861 demands; ARP does not.
	must(h.stack.SetNUDConfigurations(i.id, ipv4.ProtocolNumber, h.neighbors.arpConfig()))
}

// Interfaces implements network.Inspector.
func (h *Host) Interfaces() []network.Interface {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := make([]network.Interface, 0, len(h.ifaces))
	for _, i := range h.ifaces {
		x := network.Interface{
			Name: i.name, Device: i.device, Index: int(i.id),
			Addrs: slices.Clone(i.addrs), Up: i.isUp(), Media: i.media, VLAN: i.vlan,
		}
		if i.parent != nil {
			x.Parent = i.parent.name
		}
		if i.port != nil {
			mac := i.port.MAC()
			x.MAC, x.MTU, x.NoCarrier = mac[:], i.port.MTU(), !i.port.Plugged()
		} else {
			x.Loopback, x.MTU = true, loopbackMTU
		}
		all = append(all, x)
	}
	return all
}

// SetAddrs implements network.Configurer. Addresses that stay keep their
// connections.
func (h *Host) SetAddrs(ifname string, addrs []netip.Prefix) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, err := h.configurableIface("set addresses of", ifname)
	if err != nil {
		return err
	}
	if i.port == nil {
		err := h.setLoopbackAddrs(i, addrs)
		h.publishChanged(i)
		return err
	}
	if err := h.setAddrs(i, addrs); err != nil {
		return fmt.Errorf("set addresses of %s: %w", ifname, err)
	}
	h.publishChanged(i)
	return nil
}

// setAddrs replaces the addresses of an interface. If it returns an error, some addresses may
// be set. It is called with mu held.
func (h *Host) setAddrs(i *iface, addrs []netip.Prefix) error {
	if i.dormant {
		return h.recordAddrs(i, addrs)
	}
	defer h.applyRoutes()
	defer h.distributeLo1Addrs()
	for _, old := range slices.Clone(i.addrs) {
		if !slices.Contains(addrs, old) {
			must(h.stack.RemoveAddress(i.id, toAddress(old.Addr())))
			i.addrs = slices.DeleteFunc(i.addrs, func(p netip.Prefix) bool { return p == old })
		}
	}
	for _, p := range addrs {
		if slices.Contains(i.addrs, p) {
			continue
		}
		if !usable(p) {
			return fmt.Errorf("%v: %w", p, syscall.EINVAL)
		}
		h.attach(i)
		h.dropLo1Addr(i, p.Addr())
		if err := h.addAddr(i, p); err != nil {
			return fmt.Errorf("%v: %w", p, errno(err))
		}
		i.addrs = append(i.addrs, p)
	}
	i.addrs = slices.Clone(addrs) // in the order given
	return nil
}

func (h *Host) addAddr(i *iface, p netip.Prefix) tcpip.Error {
	return h.stack.AddProtocolAddress(i.id, tcpip.ProtocolAddress{
		Protocol:          protocolOf(p.Addr()),
		AddressWithPrefix: withPrefix(p),
	}, stack.AddressProperties{})
}

func usable(p netip.Prefix) bool {
	return p.IsValid() && !p.Addr().IsUnspecified() && !p.Addr().IsMulticast() && !p.Addr().Is4In6()
}

// AbortConns implements network.Configurer.
func (h *Host) AbortConns() int {
	h.mu.RLock()
	ours := make(map[netip.Addr]bool)
	for _, i := range h.ifaces {
		for _, p := range i.addrs {
			ours[p.Addr()] = true
		}
	}
	h.mu.RUnlock()
	n := 0
	for _, l := range h.sockets.asleepAt(func(a netip.AddrPort) bool {
		return !a.Addr().IsUnspecified() && !a.Addr().IsLinkLocalUnicast() && !ours[a.Addr()]
	}) {
		if l.Close() == nil {
			n++
		}
	}
	for _, ep := range h.endpoints() {
		info, ok := ep.Info().(*stack.TransportEndpointInfo)
		if !ok {
			continue
		}
		local := fromAddress(info.ID.LocalAddress, info.NetProto)
		if local.IsUnspecified() || local.IsLinkLocalUnicast() || ours[local] {
			continue
		}
		n++
		s := h.sockets.find(ep)
		if s != nil && (s.backlog.Load() > 0 || info.TransProto == udp.ProtocolNumber) {
			s.closeFunc()
			continue
		}
		// Not by Close, so that a reader gets ECONNABORTED.
		ep.(stack.TransportEndpoint).Abort()
	}
	return n
}

// Counters implements network.Inspector.
func (h *Host) Counters(ifname string) (network.Counters, error) {
	i := h.iface(ifname)
	if i == nil {
		return network.Counters{}, fmt.Errorf("counters of %s: %w", ifname, syscall.ENXIO)
	}
	if i.port != nil {
		return i.port.Counters(), nil
	}
	if i.name == lo1Name {
		return network.Counters{}, nil // packets to its addresses pass other interfaces
	}
	info, ok := h.stack.SingleNICInfo(i.id)
	if !ok {
		return network.Counters{}, fmt.Errorf("counters of %s: %w", ifname, syscall.ENXIO)
	}
	return network.Counters{
		RxPackets: info.Stats.Rx.Packets.Value(), RxBytes: info.Stats.Rx.Bytes.Value(),
		TxPackets: info.Stats.Tx.Packets.Value(), TxBytes: info.Stats.Tx.Bytes.Value(),
	}, nil
}

// Port returns the interface's port, for example to impair its cable. It returns nil for
// loopback interfaces and unknown names.
func (h *Host) Port(ifname string) *ether.Port {
	if i := h.iface(ifname); i != nil {
		return i.port
	}
	return nil
}
