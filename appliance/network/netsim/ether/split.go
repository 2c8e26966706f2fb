package ether

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// maxSplit is how long a packet a link takes for splitting. A view of that
// length still comes from a pool.
const maxSplit = 1<<16 - 256

// GSOMaxSize and SupportedGSO make a link a stack.GSOEndpoint: the stack hands
// over the TCP data of several segments as one packet and the link splits it, as
// a network card does (TCP segmentation offload). It also completes their checksums.
// Everything behind it, taps first, sees frames that fit the MTU.
func (l *link) GSOMaxSize() uint32 { return maxSplit }

// SupportedGSO implements stack.GSOEndpoint.
func (l *link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

var _ stack.GSOEndpoint = (*link)(nil)

// split sends a packet of the stack's with offloaded TCP as one frame or more.
func (l *link) split(pkt *stack.PacketBuffer) {
	var headers [headerLen + v6Len + header.TCPHeaderMaximumSize]byte
	n := copy(headers[:], pkt.LinkHeader().Slice())
	n += copy(headers[n:], pkt.NetworkHeader().Slice())
	tcp := n
	n += copy(headers[n:], pkt.TransportHeader().Slice())

	data := pkt.Data().ToBuffer()
	defer data.Release()
	left := int(data.Size())
	size := min(int(pkt.GSOOptions.MSS), l.port.MTU()+headerLen-n)
	if size <= 0 {
		size = left // the port counts it as too long
	}
	r := data.AsBufferReader()
	for first := true; first || left > 0; first = false {
		k := min(size, left)
		left -= k
		v := buffer.NewViewSize(n + k)
		frame := v.AsSlice()
		copy(frame, headers[:n])
		if k > 0 {
			_, _ = r.Read(frame[n:]) // from memory: it is all there
		}
		s := segment{frame: frame, tcp: tcp, data: n}
		s.complete(left == 0)
		next := s.seq() + uint32(k)
		l.port.send(v) // the frame is no longer ours
		binary.BigEndian.PutUint32(headers[tcp+4:], next)
		if id := binary.BigEndian.Uint16(headers[headerLen+4:]); tcp == headerLen+v4Len && id != 0 {
			binary.BigEndian.PutUint16(headers[headerLen+4:], id+1)
		}
	}
}

// complete sets lengths, flags and checksums of one part of a split packet.
func (s segment) complete(last bool) {
	ip := s.frame[headerLen:s.tcp]
	if s.v4() {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(s.frame)-headerLen))
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^fold(add16(ip)))
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(s.frame)-s.tcp))
	}
	if !last {
		s.frame[s.tcp+13] &^= flagPSH | flagFIN
	}
	sum := checksum.Checksum(s.frame[s.data:], 0)
	binary.BigEndian.PutUint16(s.frame[s.tcp+16:], ^fold(s.headerSum(s.len())+uint32(sum)))
}
