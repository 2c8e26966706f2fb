package vnet

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// insertIface inserts an interface into the list, in the order in which interfaces are
// shown: cards, VLANs, lo1, lo0. It is called with mu held.
func (h *Host) insertIface(i *iface) {
	at, _ := slices.BinarySearchFunc(h.ifaces, i.listOrder()+1, func(x *iface, rank int) int {
		return cmp.Compare(x.listOrder(), rank)
	})
	// A new slice, because other goroutines may be iterating over the old one.
	h.ifaces = slices.Insert(slices.Clone(h.ifaces), at, i)
}

func (i *iface) listOrder() int {
	switch {
	case i.name == lo1Name:
		return 2
	case i.port == nil:
		return 3
	case i.vlan != 0:
		return 1
	}
	return 0
}

// removeIface removes an interface from the list. It is called with mu held.
func (h *Host) removeIface(i *iface) {
	h.ifaces = slices.DeleteFunc(slices.Clone(h.ifaces), func(x *iface) bool { return x == i })
}

// linkNumber returns the N of link#N for an interface that is added while the host runs: the
// same number as the last time, or else the number after the highest in use. It is called
// with mu held.
func (h *Host) linkNumber(name string) tcpip.NICID {
	if id, ok := h.linkNumbers[name]; ok {
		return id
	}
	id := tcpip.NICID(h.options.LoopbackIndex)
	for _, i := range h.ifaces {
		id = max(id, i.id)
	}
	for _, used := range h.linkNumbers {
		id = max(id, used)
	}
	if h.linkNumbers == nil {
		h.linkNumbers = make(map[string]tcpip.NICID)
	}
	h.linkNumbers[name] = id + 1
	return id + 1
}

// isUp reports whether an interface and its parent are up. It is called with mu held.
func (i *iface) isUp() bool { return i.up && (i.parent == nil || i.parent.up) }

// SetUp switches an interface on or off; VLANs follow their parents. No configuration of the
// appliance does so, so SetUp is not part of network.Configurer.
func (h *Host) SetUp(ifname string, up bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, err := h.ethernetIface("switch", ifname)
	if err != nil || i.up == up {
		return err
	}
	i.up = up
	i.port.SetUp(up)
	for _, x := range h.ifaces {
		switch {
		case x != i && x.parent != i || !x.attached:
		case x.isUp():
			must(h.stack.EnableNIC(x.id))
		default:
			must(h.stack.DisableNIC(x.id))
		}
	}
	return nil
}

// SetMTU implements network.Configurer.
func (h *Host) SetMTU(ifname string, mtu int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, err := h.ethernetIface("set MTU of", ifname)
	if err != nil {
		return err
	}
	limit := maxMTU
	if i.parent != nil {
		limit = i.parent.port.MTU()
	}
	if mtu < minMTU || mtu > limit {
		return fmt.Errorf("set MTU of %s to %d: %w", ifname, mtu, syscall.EINVAL)
	}
	if i.parent != nil && mtu == limit {
		mtu = 0 // follow the parent
	}
	i.port.SetMTU(mtu)
	h.applyRoutes() // the MTU may have become too small for IPv6, or large enough
	return nil
}

// mediaRates are the rates of the media that ports support.
var mediaRates = []int64{0, 10_000_000, 100_000_000, 1_000_000_000}

// SetMedia implements network.Configurer.
func (h *Host) SetMedia(ifname string, m network.Media) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, err := h.ethernetIface("set media of", ifname)
	switch {
	case err != nil:
		return err
	case i.parent != nil:
		return fmt.Errorf("set media of %s: %w", ifname, syscall.ENXIO)
	case !slices.Contains(mediaRates, m.Rate) || m.Rate == 0 && m.HalfDuplex:
		return fmt.Errorf("set media of %s to %+v: %w", ifname, m, syscall.EINVAL)
	}
	i.media = m
	i.port.SetMedia(m)
	return nil
}

// AcceptMulticastARP implements network.Configurer.
func (h *Host) AcceptMulticastARP(accept bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acceptMulticastARP = accept
	for _, i := range h.ifaces {
		if i.port != nil {
			i.port.AcceptMulticastARP(accept)
		}
	}
	return nil
}

// VLAN IDs that IEEE 802.1Q leaves to users.
const minVLAN, maxVLAN = 1, 4094

// SetVLANs implements network.Configurer.
func (h *Host) SetVLANs(vlans []network.VLAN) error {
	gone, err := h.replaceVLANs(vlans)
	for _, p := range gone {
		p.Close() // waits for a delivery in progress, so mu is not held
	}
	return err
}

func (h *Host) replaceVLANs(vlans []network.VLAN) (gone []*ether.Port, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("set VLANs: %w", net.ErrClosed)
	}
	parents := make(map[int]*iface)
	for _, v := range vlans {
		parent, err := h.ethernetIface("set VLANs on", v.Parent)
		switch {
		case err != nil:
			return nil, err
		case parent.parent != nil:
			return nil, fmt.Errorf("set VLANs on %s: %w", v.Parent, syscall.ENXIO)
		case v.ID < minVLAN || v.ID > maxVLAN || parents[v.ID] != nil:
			return nil, fmt.Errorf("set VLAN %d on %s: %w", v.ID, v.Parent, syscall.EINVAL)
		}
		parents[v.ID] = parent
	}
	kept := make(map[int]*iface)
	for _, i := range h.ifaces {
		switch {
		case i.vlan == 0:
		case parents[i.vlan] == i.parent:
			kept[i.vlan] = i
			h.removeIface(i) // inserted again in the new order
		default:
			h.removeVLAN(i)
			gone = append(gone, i.port)
		}
	}
	for _, v := range vlans {
		i := kept[v.ID]
		if i == nil {
			i = h.newVLAN(v.ID, parents[v.ID])
		}
		h.insertIface(i)
	}
	h.applyRoutes()
	return gone, nil
}

// newVLAN returns a new interface for a VLAN of parent. It is called with mu held.
func (h *Host) newVLAN(id int, parent *iface) *iface {
	i := &iface{
		name: fmt.Sprintf("VLAN %d", id), device: fmt.Sprintf("vlan%d", id),
		vlan: id, parent: parent, up: true,
	}
	i.id = h.linkNumber(i.name)
	i.port = parent.port.NewVLANPort(h.options.Name+"/"+i.device, id)
	if h.personalities != nil {
		i.port.SetSegmentRewriter(portRewriter{h.personalities, i.port})
	}
	i.port.AcceptMulticastARP(h.acceptMulticastARP)
	return i
}

// removeVLAN removes the interface of a VLAN. The caller closes its port. It is called with
// mu held.
func (h *Host) removeVLAN(i *iface) {
	h.removeIface(i)
	i.addrs, i.lo1Addrs = nil, nil
	if i.attached {
		i.attached = false
		must(h.stack.RemoveNIC(i.id))
	}
}

// configurableIface returns an interface whose configuration may be changed: all except lo0.
// operation begins the text of an error. It is called with mu held.
func (h *Host) configurableIface(operation, ifname string) (*iface, error) {
	i := h.ifaceLocked(ifname)
	switch {
	case h.closed:
		return nil, fmt.Errorf("%s %s: %w", operation, ifname, net.ErrClosed)
	case i == nil || i.name == "lo0":
		return nil, fmt.Errorf("%s %s: %w", operation, ifname, syscall.ENXIO)
	}
	return i, nil
}

// ethernetIface is configurableIface for network cards and VLANs only. It is called with mu
// held.
func (h *Host) ethernetIface(operation, ifname string) (*iface, error) {
	i, err := h.configurableIface(operation, ifname)
	if err == nil && i.port == nil {
		return nil, fmt.Errorf("%s %s: %w", operation, ifname, syscall.ENXIO)
	}
	return i, err
}

// SetLoopback implements network.Configurer.
func (h *Host) SetLoopback(on bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return fmt.Errorf("set loopback: %w", net.ErrClosed)
	case h.options.LoopbackIndex == 0:
		return fmt.Errorf("set loopback: %w", errors.ErrUnsupported)
	}
	i := h.ifaceLocked(lo1Name)
	switch {
	case on && i == nil:
		h.insertIface(&iface{id: h.linkNumber(lo1Name), name: lo1Name, device: "lo1", up: true})
	case !on && i != nil:
		h.removeIface(i)
		h.distributeLo1Addrs()
	}
	return nil
}
