package wan

import (
	"encoding/binary"
	"net/netip"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// Numbers that the protocols define, and the TTL of packets that routers send.
const (
	etherLen    = 14
	typeIPv4    = 0x0800
	typeARP     = 0x0806
	typeVLAN    = 0x8100
	typeIPv6    = 0x86dd
	ipv4Len     = 20
	ipv6Len     = 40
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	ourTTL      = 64

	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

var be = binary.BigEndian

// A packet is a parsed IP packet. Its slices are parts of the frame.
type packet struct {
	frame         []byte // without padding after the packet
	headersOnly   bool   // the frame ends with the TCP header, although the packet does not
	ip            []byte // header and payload
	body          []byte // the payload: everything after the IP headers
	src, dst      netip.Addr
	v6            bool
	ttl           uint8
	proto         uint8 // of body
	laterFragment bool  // a fragment other than the first: body has no header
	sport         uint16
	dport         uint16
}

// parse parses a frame whose Ethernet type is IPv4 or IPv6. ok is false if the packet is
// malformed.
func parse(frame []byte) (p packet, ok bool) {
	ok = p.parse(frame)
	return p, ok
}

// parseHeaders is parse for a frame that ends with the TCP header, although the packet does
// not.
func parseHeaders(frame []byte) (p packet, ok bool) {
	p.headersOnly = true
	ok = p.parse(frame)
	return p, ok
}

func (p *packet) parse(frame []byte) (ok bool) {
	if be.Uint16(frame[12:]) == typeIPv4 {
		ok = p.parse4(frame)
	} else {
		ok = p.parse6(frame)
	}
	if ok && !p.laterFragment && (p.proto == protoTCP || p.proto == protoUDP) && len(p.body) >= 8 {
		p.sport, p.dport = be.Uint16(p.body), be.Uint16(p.body[2:])
	}
	return ok
}

func (p *packet) parse4(frame []byte) bool {
	ip := frame[etherLen:]
	if len(ip) < ipv4Len || ip[0]>>4 != 4 {
		return false
	}
	header, total := int(ip[0]&15)*4, int(be.Uint16(ip[2:]))
	if p.headersOnly {
		total = min(total, len(ip))
	}
	if header < ipv4Len || total < header || total > len(ip) || checksum(0, ip[:header]) != 0 {
		return false
	}
	p.frame, p.ip, p.body = frame[:etherLen+total], ip[:total], ip[header:total]
	p.src, p.dst = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
	p.ttl, p.proto = ip[8], ip[9]
	p.laterFragment = be.Uint16(ip[6:])&0x1fff != 0
	return true
}

func (p *packet) parse6(frame []byte) bool {
	ip := frame[etherLen:]
	if len(ip) < ipv6Len || ip[0]>>4 != 6 {
		return false
	}
	total := ipv6Len + int(be.Uint16(ip[4:]))
	if p.headersOnly {
		total = min(total, len(ip))
	}
	if total > len(ip) {
		return false
	}
	p.v6, p.frame, p.ip, p.body = true, frame[:etherLen+total], ip[:total], ip[ipv6Len:total]
	p.src, p.dst = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
	p.ttl, p.proto = ip[7], ip[6]
	for {
		var length int
		switch p.proto {
		case 0, 43, 60: // hop-by-hop options, routing, destination options
			if len(p.body) < 8 {
				return false
			}
			length = 8 + int(p.body[1])*8
		case 44: // fragment
			if len(p.body) < 8 {
				return false
			}
			length, p.laterFragment = 8, be.Uint16(p.body[2:])&^7 != 0
		default:
			return true
		}
		if length > len(p.body) {
			return false
		}
		p.proto, p.body = p.body[0], p.body[length:]
		if p.laterFragment {
			return true
		}
	}
}

// tcp returns the packet's TCP segment, and reports whether it has a complete one.
func (p *packet) tcp() (segment, bool) {
	if p.proto != protoTCP || p.laterFragment || len(p.body) < 20 {
		return nil, false
	}
	if header := int(p.body[12]>>4) * 4; header < 20 || header > len(p.body) {
		return nil, false
	}
	return segment(p.body), true
}

// data returns the payload of TCP or UDP.
func (p *packet) data() []byte {
	if s, ok := p.tcp(); ok {
		return s.data()
	}
	if p.proto == protoUDP && !p.laterFragment && len(p.body) >= 8 {
		return p.body[8:]
	}
	return nil
}

// dontFragment reports whether routers must not split the packet.
func (p *packet) dontFragment() bool { return p.v6 || p.ip[6]&0x40 != 0 }

// decrementTTL subtracts the number of routers from the packet's TTL.
func (p *packet) decrementTTL(routers int) {
	if p.v6 {
		p.ip[7] -= uint8(routers)
		return
	}
	p.ip[8] -= uint8(routers)
	setIPv4Checksum(p.ip)
}

// A segment is a TCP header with its data.
type segment []byte

func (s segment) seq() uint32    { return be.Uint32(s[4:]) }
func (s segment) ack() uint32    { return be.Uint32(s[8:]) }
func (s segment) window() uint16 { return be.Uint16(s[14:]) }
func (s segment) data() []byte   { return s[int(s[12]>>4)*4:] }
func (s segment) has(flag uint8) bool {
	return s[13]&flag != 0
}

// next returns the sequence number that follows the segment.
func (s segment) next() uint32 {
	n := s.seq() + uint32(len(s.data()))
	if s.has(flagSYN) {
		n++
	}
	if s.has(flagFIN) {
		n++
	}
	return n
}

// checksum returns the Internet checksum (RFC 1071) of b, continued from sum.
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// pseudoHeaderSum returns the sum of the pseudo header of a transport protocol over IP.
func pseudoHeaderSum(src, dst netip.Addr, proto uint8, length int) uint32 {
	sum := uint32(proto) + uint32(length)
	for _, a := range [2]netip.Addr{src, dst} {
		b := a.AsSlice()
		for i := 0; i < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
	}
	return sum
}

// setIPv4Checksum sets the checksum of an IPv4 header.
func setIPv4Checksum(ip []byte) {
	ip[10], ip[11] = 0, 0
	be.PutUint16(ip[10:], checksum(0, ip[:int(ip[0]&15)*4]))
}

// newIPFrame returns a frame with the IP header of a packet that a router sends, and its body
// of length bytes, which the caller fills. The Ethernet addresses are set when it is sent.
func (w *WAN) newIPFrame(src, dst netip.Addr, proto, ttl uint8, length int) (frame, body []byte) {
	if src.Is6() {
		frame = make([]byte, etherLen+ipv6Len+length)
		be.PutUint16(frame[12:], typeIPv6)
		ip := frame[etherLen:]
		ip[0] = 0x60
		be.PutUint16(ip[4:], uint16(length))
		ip[6], ip[7] = proto, ttl
		copy(ip[8:], src.AsSlice())
		copy(ip[24:], dst.AsSlice())
		return frame, ip[ipv6Len:]
	}
	frame = make([]byte, etherLen+ipv4Len+length)
	be.PutUint16(frame[12:], typeIPv4)
	ip := frame[etherLen:]
	ip[0] = 0x45
	be.PutUint16(ip[2:], uint16(ipv4Len+length))
	w.lastIPID++
	be.PutUint16(ip[4:], w.lastIPID)
	ip[8], ip[9] = ttl, proto
	copy(ip[12:], src.AsSlice())
	copy(ip[16:], dst.AsSlice())
	setIPv4Checksum(ip)
	return frame, ip[ipv4Len:]
}

// setMACs sets a frame's Ethernet addresses.
func setMACs(frame []byte, to, from ether.MAC) {
	copy(frame, to[:])
	copy(frame[6:], from[:])
}
