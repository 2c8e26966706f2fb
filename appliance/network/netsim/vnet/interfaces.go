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
	Name    string // as the administrator knows it: "Data 1"; unique
	Device  string // as the system knows it: "nic1"; unique
	Index   int    // N of link#N; unique
	Segment *ether.Segment
	MAC     ether.MAC
	MTU     int // 0 means 1500
	// ARPMAC is what the host says of itself by ARP; zero: MAC. See
	// ether.Port.SetARPMAC.
	ARPMAC ether.MAC
	// Addrs are the addresses with the networks that they are in. One with a
	// whole prefix (10.0.201.4/32) is an alias: it brings no network along.
	Addrs []netip.Prefix
}

// An iface is an interface. All but the first line is guarded by Host.mu.
type iface struct {
	id           tcpip.NICID // also N of link#N
	name, device string
	port         *ether.Port // nil for lo0 and lo1
	vlan         int         // ID; 0: it is none
	parent       *iface      // of a VLAN

	addrs    []netip.Prefix
	extra    []netip.Addr // of lo1, which the stack has here too
	up       bool
	attached bool // the stack has a NIC for it; lo1 never has
	media    network.Media
}

const (
	minMTU, defaultMTU, maxMTU = 576, 1500, 9000
	loopbackMTU                = 16384
)

func loopbackAddrs() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}
}

// AddInterface plugs the host into a segment. The host closes the port.
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
			return fmt.Errorf("add interface %s (%s, link#%d): %s (%s, link#%d) is there already",
				c.Name, c.Device, c.Index, i.name, i.device, i.id)
		}
	}
	i := &iface{id: tcpip.NICID(c.Index), name: c.Name, device: c.Device, up: true}
	i.port = c.Segment.NewPort(h.options.Name+"/"+c.Device, c.MAC, c.MTU)
	if c.ARPMAC != (ether.MAC{}) {
		i.port.SetARPMAC(c.ARPMAC)
	}
	h.insert(i)
	if err := h.setAddrs(i, c.Addrs); err != nil {
		return fmt.Errorf("add interface %s: %w", c.Name, err)
	}
	return nil
}

// attach gives the stack a NIC for i, once. It costs the stack 95 KiB, most of
// it in neighbour caches, so an interface gets it with its first address. It is called with
// mu held.
func (h *Host) attach(i *iface) {
	if i.attached {
		return
	}
	i.attached = true
	i.port.WrapResolution(h.learner.learn)
	must(h.stack.CreateNICWithOptions(i.id, i.port.Endpoint(), stack.NICOptions{Name: i.device, Disabled: !i.isUp()}))
	if h.options.Promiscuous {
		must(h.stack.SetPromiscuousMode(i.id, true))
		must(h.stack.SetSpoofing(i.id, true))
	}
	// NDP asks again after 30 seconds, as everywhere (RFC 4861); ARP does not.
	must(h.stack.SetNUDConfigurations(i.id, ipv4.ProtocolNumber, h.neighbors.arpConfig()))
}

// Interfaces implements network.Inspector.
func (h *Host) Interfaces() []network.Interface {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var all []network.Interface
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
	i, err := h.owned("set addresses of", ifname)
	if err != nil {
		return err
	}
	if i.port == nil {
		return h.setLoopbackAddrs(i, addrs)
	}
	if err := h.setAddrs(i, addrs); err != nil {
		return fmt.Errorf("set addresses of %s: %w", ifname, err)
	}
	return nil
}

// setAddrs is called with mu held. On an error some addresses may be set.
func (h *Host) setAddrs(i *iface, addrs []netip.Prefix) error {
	defer h.applyRoutes()
	defer h.spread()
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
		h.dropExtra(i, p.Addr())
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
		if s != nil && (s.backlog > 0 || info.TransProto == udp.ProtocolNumber) {
			s.end()
			continue
		}
		// Not by Close: whoever reads learns ECONNABORTED.
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
	if i.name == loopbackName {
		return network.Counters{}, nil // what it has to do with passes other interfaces
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

// Port is the interface's port, whose cable can be impaired while it runs; nil
// for lo0 and for names that no interface has.
func (h *Host) Port(ifname string) *ether.Port {
	if i := h.iface(ifname); i != nil {
		return i.port
	}
	return nil
}
