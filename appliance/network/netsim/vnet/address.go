package vnet

import (
	"net"
	"net/netip"

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
