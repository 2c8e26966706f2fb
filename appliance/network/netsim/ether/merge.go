package ether

import (
	"bytes"
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
)

// A merger joins consecutive TCP segments of one flow to a stack into one packet, as a
// network card does (generic receive offload). The stack then does its work once for all of
// them. Taps have been shown each segment separately. A merger is used on the pump only.
//
// gVisor's own gro.GRO is not used: it verifies checksums at the wrong offset if a packet
// has a link header, and its Flush leaves packets behind.
type merger struct {
	port    *Port // whose stack gets the run of segments; nil: the merger is empty
	first   *buffer.View
	rest    []*buffer.View // payloads of the segments after the first
	seg     tcpSegment     // the first, as it will be delivered
	nextSeq uint32         // sequence number that continues the run
	size    int            // of the whole packet, without Ethernet header
	sum     uint32         // of all payloads
}

// A tcpSegment is a frame with TCP data and the offsets of its parts.
type tcpSegment struct {
	frame     []byte
	tcp, data int // offsets
}

const (
	v4Len, v6Len, tcpLen = 20, 40, 20
	flagFIN, flagSYN     = 0x01, 0x02
	flagPSH, flagACK     = 0x08, 0x10
	maxPacket            = 65535
)

// parseTCPSegment finds the parts of a frame that carries plain TCP data: not a fragment,
// without IPv4 options or IPv6 extension headers, with no flags except ACK and PSH. It
// reports whether f is such a frame.
func parseTCPSegment(f []byte) (tcpSegment, bool) {
	s := tcpSegment{frame: f}
	switch {
	case len(f) >= headerLen+v4Len+tcpLen && f[12] == 0x08 && f[13] == 0x00:
		ip := f[headerLen:]
		if ip[0] != 0x45 || ip[9] != 6 || ip[6]&0x3f != 0 || ip[7] != 0 ||
			int(binary.BigEndian.Uint16(ip[2:])) != len(ip) {
			return s, false
		}
		s.tcp = headerLen + v4Len
	case len(f) >= headerLen+v6Len+tcpLen && f[12] == 0x86 && f[13] == 0xdd:
		ip := f[headerLen:]
		if ip[0]>>4 != 6 || ip[6] != 6 || v6Len+int(binary.BigEndian.Uint16(ip[4:])) != len(ip) {
			return s, false
		}
		s.tcp = headerLen + v6Len
	default:
		return s, false
	}
	s.data = s.tcp + int(f[s.tcp+12]>>4)*4
	flags := f[s.tcp+13]
	return s, s.data >= s.tcp+tcpLen && s.data < len(f) && flags&^flagPSH == flagACK
}

func (s tcpSegment) v4() bool    { return s.tcp == headerLen+v4Len }
func (s tcpSegment) seq() uint32 { return binary.BigEndian.Uint32(s.frame[s.tcp+4:]) }
func (s tcpSegment) push() bool  { return s.frame[s.tcp+13]&flagPSH != 0 }
func (s tcpSegment) len() int    { return len(s.frame) - s.data }

// canAppend reports whether the data of t can be appended to that of s: everything except
// sequence number, lengths, checksums and IP identification must be the same.
func (s tcpSegment) canAppend(t tcpSegment) bool {
	a, b := s.frame, t.frame
	if s.tcp != t.tcp || s.data != t.data {
		return false
	}
	if s.v4() {
		// version to TOS; flags and TTL; addresses
		if !bytes.Equal(a[14:16], b[14:16]) || !bytes.Equal(a[20:23], b[20:23]) ||
			!bytes.Equal(a[26:34], b[26:34]) {
			return false
		}
	} else if !bytes.Equal(a[14:18], b[14:18]) || !bytes.Equal(a[21:54], b[21:54]) {
		// version to flow label; hop limit and addresses
		return false
	}
	a, b = a[s.tcp:s.data], b[t.tcp:t.data]
	return bytes.Equal(a[:4], b[:4]) && // ports
		bytes.Equal(a[8:13], b[8:13]) && // acknowledgement, header length
		a[13]|flagPSH == b[13]|flagPSH && bytes.Equal(a[14:16], b[14:16]) && // flags, window
		bytes.Equal(a[18:], b[18:]) // urgent pointer, options
}

// payloadSum returns the checksum of the data, derived from the one in the header: if the
// segment is damaged, the stack finds the merged one damaged too.
func (s tcpSegment) payloadSum() uint32 {
	sum := s.headerSum(s.len())
	sum += uint32(binary.BigEndian.Uint16(s.frame[s.tcp+16:]))
	return uint32(^fold(sum))
}

// headerSum returns the sum over pseudo header and header, without the field of the
// checksum, of a segment with n bytes of data.
func (s tcpSegment) headerSum(n int) uint32 {
	h := s.frame[s.tcp:s.data]
	return s.pseudoSum(n) + add16(h[:16]) + add16(h[18:])
}

// pseudoSum returns the sum over the pseudo header of a segment with n bytes of data.
func (s tcpSegment) pseudoSum(n int) uint32 {
	addrs := s.frame[headerLen+8 : headerLen+v6Len]
	if s.v4() {
		addrs = s.frame[headerLen+12 : headerLen+v4Len]
	}
	return add16(addrs) + 6 + uint32(s.data-s.tcp+n)
}

// add16 returns the sum of the 16-bit words of b, whose length is even.
func add16(b []byte) (sum uint32) {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	return sum
}

// fold adds the carries of a sum of 16-bit words to it.
func fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// deliver delivers a frame to p's stack. It may hold the frame back until flush is called,
// to join it with frames that follow. It owns v.
func (m *merger) deliver(p *Port, v *buffer.View) {
	s, ok := parseTCPSegment(v.AsSlice())
	if ok && m.port == p && s.seq() == m.nextSeq && m.size+s.len() <= maxPacket &&
		m.seg.canAppend(s) {
		m.join(v, s)
		return
	}
	m.flush()
	if !ok || s.push() || s.len()%2 != 0 {
		p.link.deliver(v)
		return
	}
	m.port, m.first, m.seg = p, v, s
	m.nextSeq, m.size = s.seq()+uint32(s.len()), len(s.frame)-headerLen
	m.sum = 0 // computed when there is something to merge
}

// join appends a segment to the run. A segment of odd length or with PSH ends the run,
// which is then flushed.
func (m *merger) join(v *buffer.View, s tcpSegment) {
	if len(m.rest) == 0 {
		m.sum = m.seg.payloadSum()
	}
	m.sum = uint32(fold(m.sum + s.payloadSum()))
	m.nextSeq += uint32(s.len())
	m.size += s.len()
	last := s.push() || s.len()%2 != 0
	if s.push() {
		m.seg.frame[m.seg.tcp+13] |= flagPSH
	}
	v.TrimFront(s.data)
	m.rest = append(m.rest, v)
	if last {
		m.flush()
	}
}

// flush delivers the frames that have been held back.
func (m *merger) flush() {
	p := m.port
	if p == nil {
		return
	}
	m.port = nil
	if len(m.rest) == 0 {
		p.link.deliver(m.first)
		return
	}
	m.rewrite()
	p.link.deliver(m.first, m.rest...)
	clear(m.rest)
	m.rest = m.rest[:0]
	m.first, m.seg = nil, tcpSegment{}
}

// rewrite sets lengths and checksums in the first segment's headers to those of the whole
// run.
func (m *merger) rewrite() {
	s := m.seg
	ip := s.frame[headerLen:s.tcp]
	if s.v4() {
		binary.BigEndian.PutUint16(ip[2:], uint16(m.size))
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^fold(add16(ip)))
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(m.size-v6Len))
	}
	n := m.size - (s.data - headerLen)
	binary.BigEndian.PutUint16(s.frame[s.tcp+16:], ^fold(s.headerSum(n)+m.sum))
}
