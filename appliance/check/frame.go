package check

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// A Frame is a frame of a capture.
type Frame struct {
	Number    int // in the file, from 1
	Time      time.Time
	Data      []byte
	WireLen   int    // bytes on the wire; Data may be shorter
	Interface string // that a pcapng file names; "": none
	raw       bool   // an IP packet without Ethernet header

	kind     kind
	src, dst netip.AddrPort // ports of TCP and UDP
	vlan     int            // 0: no tag
	tcp      tcpHeader
	payload  []byte // of TCP and UDP; header and body of ICMP; the message of ARP
	length   int    // of the payload on the wire
	fragment bool   // not the first fragment of an IP packet
	partial  bool   // the first fragment: the payload is not whole
}

// A kind is the protocol of a frame.
type kind int

const (
	kindOther kind = iota
	kindARP
	kindTCP
	kindUDP
	kindICMP // ICMP and ICMPv6
	kindOtherIP
)

// A tcpHeader is what is needed of a TCP header.
type tcpHeader struct {
	seq, ack uint32
	flags    byte
}

// Flags of TCP.
const (
	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

// decode reads the headers.
func (f *Frame) decode() {
	b := f.Data
	etherType := uint16(0)
	if f.raw {
		switch {
		case len(b) > 0 && b[0]>>4 == 4:
			etherType = 0x0800
		case len(b) > 0 && b[0]>>4 == 6:
			etherType = 0x86dd
		}
	} else {
		if len(b) < 14 {
			return
		}
		etherType, b = binary.BigEndian.Uint16(b[12:]), b[14:]
		for (etherType == 0x8100 || etherType == 0x88a8) && len(b) >= 4 {
			f.vlan = int(binary.BigEndian.Uint16(b) & 0xfff)
			etherType, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		}
	}
	switch {
	case etherType == 0x0806 && len(b) >= 28:
		f.kind, f.payload = kindARP, b[:28]
	case etherType == 0x0800:
		f.decodeIPv4(b)
	case etherType == 0x86dd:
		f.decodeIPv6(b)
	}
}

func (f *Frame) decodeIPv4(b []byte) {
	if len(b) < 20 || int(b[0]&15)*4 < 20 || len(b) < int(b[0]&15)*4 {
		return
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	f.kind = kindOtherIP
	f.src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:])), 0)
	f.dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:])), 0)
	place := binary.BigEndian.Uint16(b[6:])
	f.fragment, f.partial = place&0x1fff != 0, place&0x2000 != 0
	if total < head {
		return
	}
	f.decodeTransport(b[9], b[head:min(len(b), total)], total-head)
}

func (f *Frame) decodeIPv6(b []byte) {
	if len(b) < 40 {
		return
	}
	f.kind = kindOtherIP
	f.src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:])), 0)
	f.dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:])), 0)
	next, length := b[6], int(binary.BigEndian.Uint16(b[4:]))
	b = b[40:]
	b = b[:min(len(b), length)]
	for range 8 { // extension headers
		switch {
		case next == 44 && len(b) >= 8:
			place := binary.BigEndian.Uint16(b[2:])
			f.fragment, f.partial = place>>3 != 0, place&1 != 0
			next, b, length = b[0], b[8:], length-8
		case (next == 0 || next == 43 || next == 60) && len(b) >= 8 && len(b) >= int(b[1])*8+8:
			n := int(b[1])*8 + 8
			next, b, length = b[0], b[n:], length-n
		default:
			f.decodeTransport(next, b, length)
			return
		}
	}
}

// decodeTransport reads the header after that of IP. length is that of the rest of the packet.
func (f *Frame) decodeTransport(protocol byte, b []byte, length int) {
	if f.fragment {
		return
	}
	ports := func() {
		f.src = netip.AddrPortFrom(f.src.Addr(), binary.BigEndian.Uint16(b))
		f.dst = netip.AddrPortFrom(f.dst.Addr(), binary.BigEndian.Uint16(b[2:]))
	}
	switch {
	case protocol == 6 && len(b) >= 20:
		head := int(b[12]>>4) * 4
		if head < 20 || head > length {
			return
		}
		f.kind = kindTCP
		ports()
		f.tcp = tcpHeader{binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), b[13]}
		f.payload, f.length = b[min(head, len(b)):], length-head
	case protocol == 17 && len(b) >= 8:
		f.kind = kindUDP
		ports()
		f.payload, f.length = b[8:], length-8
	case (protocol == 1 || protocol == 58) && len(b) >= 8:
		f.kind = kindICMP
		f.payload, f.length = b, length
	}
}

// String describes the frame in a few words.
func (f *Frame) String() string {
	switch f.kind {
	case kindARP:
		p := f.payload
		if p[7] == 1 {
			return fmt.Sprintf("ARP who has %v, tell %v", addr4(p[24:]), addr4(p[14:]))
		}
		return fmt.Sprintf("ARP %v is at %v", addr4(p[14:]), net.HardwareAddr(p[8:14]))
	case kindTCP:
		return fmt.Sprintf("TCP %v > %v %s seq %d, %d bytes", f.src, f.dst, f.tcp, f.tcp.seq, f.length)
	case kindUDP:
		return fmt.Sprintf("UDP %v > %v, %d bytes", f.src, f.dst, f.length)
	case kindICMP:
		return fmt.Sprintf("ICMP %v > %v type %d code %d", f.src.Addr(), f.dst.Addr(), f.payload[0], f.payload[1])
	case kindOtherIP:
		return fmt.Sprintf("IP %v > %v", f.src.Addr(), f.dst.Addr())
	}
	return fmt.Sprintf("%d bytes that are neither ARP nor IP", len(f.Data))
}

// String returns the flags as tcpdump shows them.
func (t tcpHeader) String() string {
	out := "["
	for _, x := range []struct {
		flag byte
		name string
	}{{flagSYN, "S"}, {flagFIN, "F"}, {flagRST, "R"}, {8, "P"}, {flagACK, "."}} {
		if t.flags&x.flag != 0 {
			out += x.name
		}
	}
	return out + "]"
}

// addr4 returns the IPv4 address at the beginning of b.
func addr4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }
