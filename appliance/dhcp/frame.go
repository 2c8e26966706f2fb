package dhcp

import (
	"encoding/binary"
	"net/netip"
)

// A Datagram is a UDP datagram over IPv4 in an Ethernet frame.
type Datagram struct {
	From, To       MAC
	Source, Target netip.AddrPort
	Data           []byte
}

// BroadcastMAC is the Ethernet address of all machines of a segment.
func BroadcastMAC() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// BroadcastAddr is the IPv4 address of all machines of a segment.
func BroadcastAddr() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

const (
	etherLen, ipLen, udpLen = 14, 20, 8

	typeIPv4, typeARP = 0x0800, 0x0806
	protocolUDP       = 17
	ttl, tos          = 128, 0x10 // those of dhclient, and of most servers
	fragmented        = 0x3fff    // more fragments, or an offset
)

// Frame returns the frame of the datagram. Source and target must be IPv4.
func (d *Datagram) Frame() []byte {
	f := make([]byte, etherLen+ipLen+udpLen, etherLen+ipLen+udpLen+len(d.Data))
	copy(f, d.To[:])
	copy(f[6:], d.From[:])
	binary.BigEndian.PutUint16(f[12:], typeIPv4)
	f = append(f, d.Data...)
	ip := f[etherLen:]
	ip[0], ip[1], ip[8], ip[9] = 0x45, tos, ttl, protocolUDP
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], d.Source.Addr().AsSlice())
	copy(ip[16:], d.Target.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip[:ipLen]))
	udp := ip[ipLen:]
	binary.BigEndian.PutUint16(udp, d.Source.Port())
	binary.BigEndian.PutUint16(udp[2:], d.Target.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	check := ^sum(pseudoHeader(ip, len(udp)), udp)
	if check == 0 {
		check = 0xffff // 0 says that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return f
}

// ParseFrame returns the datagram in a frame. ok is false if the frame holds none, only a fragment of
// one, or a wrong checksum. Data is a part of the frame.
func ParseFrame(frame []byte) (d Datagram, ok bool) {
	if len(frame) < etherLen+ipLen+udpLen || binary.BigEndian.Uint16(frame[12:]) != typeIPv4 {
		return d, false
	}
	ip := frame[etherLen:]
	header, total := int(ip[0]&0x0f)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0]>>4 != 4 || header < ipLen || total < header+udpLen || total > len(ip) ||
		ip[9] != protocolUDP || binary.BigEndian.Uint16(ip[6:])&fragmented != 0 ||
		sum(0, ip[:header]) != 0xffff {
		return d, false
	}
	udp := ip[header:total]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if length < udpLen || length > len(udp) {
		return d, false
	}
	udp = udp[:length]
	if binary.BigEndian.Uint16(udp[6:]) != 0 && sum(pseudoHeader(ip, length), udp) != 0xffff {
		return d, false
	}
	address := func(at, port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[at:at+4])), binary.BigEndian.Uint16(udp[port:]))
	}
	return Datagram{
		To: MAC(frame[:6]), From: MAC(frame[6:12]),
		Source: address(12, 0), Target: address(16, 2), Data: udp[udpLen:],
	}, true
}

// pseudoHeader returns the sum of what the checksum of UDP covers besides the datagram.
func pseudoHeader(ip []byte, length int) uint32 {
	return uint32(sum(protocolUDP+uint32(length), ip[12:20]))
}

// sum adds b to the sum of a checksum, in ones' complement.
func sum(s uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

const (
	arpLen               = 28
	arpOfIPv4            = 0x00010800 // Ethernet and IPv4
	arpRequest, arpReply = 1, 2
)

// arpFrame returns a broadcast ARP request for target: a probe if sender is invalid, and an
// announcement if sender is target (RFC 5227).
func arpFrame(from MAC, sender, target netip.Addr) []byte {
	f := make([]byte, etherLen+arpLen)
	to := BroadcastMAC()
	copy(f, to[:])
	copy(f[6:], from[:])
	binary.BigEndian.PutUint16(f[12:], typeARP)
	m := f[etherLen:]
	binary.BigEndian.PutUint32(m, arpOfIPv4)
	m[4], m[5], m[7] = 6, 4, arpRequest
	copy(m[8:], from[:])
	if sender.IsValid() {
		copy(m[14:], sender.AsSlice())
	}
	copy(m[24:], target.AsSlice())
	return f
}

// claims reports whether a frame is an ARP message whose sender, a machine other than own, has the
// address a, or probes it to take it.
func claims(frame []byte, own MAC, a netip.Addr) (by MAC, yes bool) {
	if len(frame) < etherLen+arpLen || binary.BigEndian.Uint16(frame[12:]) != typeARP {
		return by, false
	}
	m := frame[etherLen:]
	by = MAC(m[8:14])
	if binary.BigEndian.Uint32(m) != arpOfIPv4 || m[4] != 6 || m[5] != 4 || by == own {
		return by, false
	}
	sender, target := netip.AddrFrom4([4]byte(m[14:18])), netip.AddrFrom4([4]byte(m[24:28]))
	return by, sender == a || sender.IsUnspecified() && target == a && m[7] == arpRequest
}
