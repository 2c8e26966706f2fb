package vnet

import (
	"net"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
)

// toAddress returns a as the stack represents it, the zero Address if a is invalid or
// unspecified.
func toAddress(a netip.Addr) tcpip.Address {
	if !a.IsValid() || a.IsUnspecified() {
		return tcpip.Address{}
	}
	return tcpip.AddrFromSlice(a.WithZone("").AsSlice())
}

// fromAddress is the inverse of toAddress. For the zero Address it returns the unspecified
// address of proto.
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

// fullAddress returns ap as the stack represents it. A zone in ap replaces nic by the
// interface of that name.
func (h *Host) fullAddress(ap netip.AddrPort, nic tcpip.NICID) tcpip.FullAddress {
	if zone := ap.Addr().Zone(); zone != "" {
		if i := h.iface(zone); i != nil {
			nic = i.id
		}
	}
	return tcpip.FullAddress{NIC: nic, Addr: toAddress(ap.Addr()), Port: ap.Port()}
}

// outgoingNIC returns the NIC for packets from src to dst if the caller has chosen src but no
// NIC; 0 leaves the choice to the stack. By itself the stack would use any NIC that has src
// for a socket that is bound to it. That can be lo0, which temporarily has any address while
// the host sends packets to itself.
func (h *Host) outgoingNIC(nic tcpip.NICID, src, dst netip.Addr) tcpip.NICID {
	if nic != 0 || !src.IsValid() || src.IsUnspecified() || !dst.IsValid() || dst.Zone() != "" {
		return nic
	}
	if h.ifaceByAddr(dst) != nil || dst.IsLoopback() {
		switch i := h.ifaceByAddr(src); {
		case i == nil:
			return 0
		case i.name == lo1Name:
			return tcpip.NICID(h.options.LoopbackIndex)
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

// ifaceByAddr returns the interface that has an address, nil if none has.
func (h *Host) ifaceByAddr(a netip.Addr) *iface {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, i := range h.ifaces {
		if slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return i
		}
	}
	return nil
}

// addrPort returns f as a netip.AddrPort.
func addrPort(f tcpip.FullAddress, proto tcpip.NetworkProtocolNumber) netip.AddrPort {
	return netip.AddrPortFrom(fromAddress(f.Addr, proto), f.Port)
}

// addrPortOf returns the address and port in a net.Addr, and reports whether it is one of
// TCP or UDP.
func addrPortOf(a net.Addr) (netip.AddrPort, bool) {
	switch a := a.(type) {
	case *net.UDPAddr:
		return unmap(a.AddrPort()), true
	case *net.TCPAddr:
		return unmap(a.AddrPort()), true
	}
	return netip.AddrPort{}, false
}
