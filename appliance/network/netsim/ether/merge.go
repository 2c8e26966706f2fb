package ether

import (
	"bytes"
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
)

// A merger joins TCP segments of one flow that arrive at one stack in a row, as
// a network card does (generic receive offload): the stack then works once for
// all of them. Taps have seen each by itself. It is used on the pump only.
//
// gVisor's own gro.GRO is not used: it checks checksums at the wrong offset when
// a packet has a link header, and its Flush leaves packets behind.
type merger struct {
	port *Port // nil: the merger is empty
	head *buffer.View
	rest []*buffer.View // payloads of the segments after the first
	seg  segment        // the first, as it will be delivered
	next uint32         // sequence number that continues the run
	size int            // of the whole packet, without Ethernet header
	sum  uint32         // of all payloads
}

// A segment says where the parts of a frame with TCP data are.
type segment struct {
	frame     []byte
	tcp, data int // offsets
}

const (
	v4Len, v6Len, tcpLen = 20, 40, 20
	flagFIN              = 0x01
	flagPSH, flagACK     = 0x08, 0x10
	maxPacket            = 65535
)

// parseSegment finds plain TCP data: no fragment, no options of IPv4 or headers
// of IPv6, no flags but ACK and PSH.
func parseSegment(f []byte) (segment, bool) {
	s := segment{frame: f}
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

func (s segment) v4() bool    { return s.tcp == headerLen+v4Len }
func (s segment) seq() uint32 { return binary.BigEndian.Uint32(s.frame[s.tcp+4:]) }
func (s segment) push() bool  { return s.frame[s.tcp+13]&flagPSH != 0 }
func (s segment) len() int    { return len(s.frame) - s.data }

// continues reports whether t can be appended to s: all but sequence number,
// lengths, checksums and IP identification must be the same.
func (s segment) continues(t segment) bool {
	a, b := s.frame, t.frame
	if s.tcp != t.tcp || s.data != t.data {
		return false
	}
	if s.v4() {
		// version to TOS; flags and TTL; addresses
		if !bytes.Equal(a[14:16], b[14:16]) || !bytes.Equal(a[20:23], b[20:23]) || !bytes.Equal(a[26:34], b[26:34]) {
			return false
		}
	} else if !bytes.Equal(a[14:18], b[14:18]) || !bytes.Equal(a[21:54], b[21:54]) {
		// version to flow label; hop limit and addresses
		return false
	}
	a, b = a[s.tcp:s.data], b[t.tcp:t.data]
	return bytes.Equal(a[:4], b[:4]) && bytes.Equal(a[8:13], b[8:13]) && // ports; acknowledgement, header length
		a[13]|flagPSH == b[13]|flagPSH && bytes.Equal(a[14:16], b[14:16]) && // flags, window
		bytes.Equal(a[18:], b[18:]) // urgent pointer, options
}

// payloadSum is the checksum of the data, computed from that in the header: if
// the segment is damaged the merged one will be found damaged.
func (s segment) payloadSum() uint32 {
	sum := s.headerSum(s.len())
	sum += uint32(binary.BigEndian.Uint16(s.frame[s.tcp+16:]))
	return uint32(^fold(sum))
}

// headerSum is the checksum over pseudo header and header, without the checksum's
// own field, for n bytes of data.
func (s segment) headerSum(n int) uint32 {
	addrs := s.frame[headerLen+8 : headerLen+v6Len]
	if s.v4() {
		addrs = s.frame[headerLen+12 : headerLen+v4Len]
	}
	h := s.frame[s.tcp:s.data]
	return add16(addrs) + 6 + uint32(len(h)+n) + add16(h[:16]) + add16(h[18:])
}

// add16 adds up b, whose length is even.
func add16(b []byte) (sum uint32) {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// deliver takes a frame for p's stack; it may keep it until flush. It owns v.
func (m *merger) deliver(p *Port, v *buffer.View) {
	s, ok := parseSegment(v.AsSlice())
	if ok && m.port == p && s.seq() == m.next && m.size+s.len() <= maxPacket && m.seg.continues(s) {
		m.add(v, s)
		return
	}
	m.flush()
	if !ok || s.push() || s.len()%2 != 0 {
		p.stack.deliver(v)
		return
	}
	m.port, m.head, m.seg = p, v, s
	m.next, m.size = s.seq()+uint32(s.len()), len(s.frame)-headerLen
	m.sum = 0 // computed when there is something to merge
}

// add appends a segment to the run. An odd length or a PSH ends it.
func (m *merger) add(v *buffer.View, s segment) {
	if len(m.rest) == 0 {
		m.sum = m.seg.payloadSum()
	}
	m.sum = uint32(fold(m.sum + s.payloadSum()))
	m.next += uint32(s.len())
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

// flush hands on what is held.
func (m *merger) flush() {
	p := m.port
	if p == nil {
		return
	}
	m.port = nil
	if len(m.rest) == 0 {
		p.stack.deliver(m.head)
		return
	}
	m.rewrite()
	p.stack.deliver(m.head, m.rest...)
	clear(m.rest)
	m.rest = m.rest[:0]
	m.head, m.seg = nil, segment{}
}

// rewrite makes lengths and checksums in the first segment's headers those of
// the whole run.
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
