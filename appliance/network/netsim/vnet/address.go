package vnet

import (
	"net"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
)

// toAddress is the zero Address for an address that is not valid or unspecified.
func toAddress(a netip.Addr) tcpip.Address {
	if !a.IsValid() || a.IsUnspecified() {
		return tcpip.Address{}
	}
	return tcpip.AddrFromSlice(a.WithZone("").AsSlice())
}

// fromAddress is the unspecified address of the protocol for the zero Address.
func fromAddress(a tcpip.Address, proto tcpip.NetworkProtocolNumber) netip.Addr {
	if addr, ok := netip.AddrFromSlice(a.AsSlice()); ok {
		return addr
	}
	if proto == ipv6.ProtocolNumber {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is6() {
		return ipv6.ProtocolNumber
	}
	return ipv4.ProtocolNumber
}

func withPrefix(p netip.Prefix) tcpip.AddressWithPrefix {
	return tcpip.AddressWithPrefix{
		Address:   tcpip.AddrFromSlice(p.Addr().AsSlice()),
		PrefixLen: p.Bits(),
	}
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// full is ap as the stack wants it; a zone names the interface.
func (h *Host) full(ap netip.AddrPort, nic tcpip.NICID) tcpip.FullAddress {
	if zone := ap.Addr().Zone(); zone != "" {
		if i := h.iface(zone); i != nil {
			nic = i.id
		}
	}
	return tcpip.FullAddress{NIC: nic, Addr: toAddress(ap.Addr()), Port: ap.Port()}
}

// leave is the NIC by which packets from src to dst leave, where a caller has not
// chosen one but has chosen src; 0 leaves it to the stack. The stack takes any NIC that has
// src for that, if a socket is bound to it, also lo0, which has any address for a moment
// while the host speaks to itself.
func (h *Host) leave(nic tcpip.NICID, src, dst netip.Addr) tcpip.NICID {
	if nic != 0 || !src.IsValid() || src.IsUnspecified() || !dst.IsValid() || dst.Zone() != "" {
		return nic
	}
	if h.owner(dst) != nil || dst.IsLoopback() {
		switch i := h.owner(src); {
		case i == nil:
			return 0
		case i.name == loopbackName:
			return tcpip.NICID(h.options.Loopback)
		default:
			return i.id
		}
	}
	route, err := h.stack.FindRoute(0, toAddress(src), toAddress(dst), protocolOf(dst), false)
	if err != nil {
		return 0
	}
	defer route.Release()
	return route.NICID()
}

// owner is the interface that has an address; nil: none has.
func (h *Host) owner(a netip.Addr) *iface {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, i := range h.ifaces {
		if slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return i
		}
	}
	return nil
}

func fromFull(f tcpip.FullAddress, proto tcpip.NetworkProtocolNumber) netip.AddrPort {
	return netip.AddrPortFrom(fromAddress(f.Addr, proto), f.Port)
}

// addrPortOf reads a net.Addr given by a caller.
func addrPortOf(a net.Addr) (netip.AddrPort, bool) {
	switch a := a.(type) {
	case *net.UDPAddr:
		return unmap(a.AddrPort()), true
	case *net.TCPAddr:
		return unmap(a.AddrPort()), true
	}
	return netip.AddrPort{}, false
}
