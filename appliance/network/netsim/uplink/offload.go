package uplink

import (
	"encoding/binary"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// The kernel leaves work to network cards: checksums, and the splitting of data into segments. A
// socket for packets sees frames before that, or after received segments were joined. A header in
// front of each frame says what is missing (struct virtio_net_hdr, in the machine's byte order).
const (
	offloadLen = 10

	needsChecksum = 0x01 // flag

	gsoNone  = 0
	gsoTCPv4 = 1
	gsoTCPv6 = 4
	gsoUDP   = 5
	gsoECN   = 0x80 // added to the type
)

// An offload says what is missing in a frame.
type offload struct {
	flags, kind                 byte
	size, sumStart, sumDistance int // of a segment's data; of the checksum
}

// count returns the number of frames that a card makes of a frame that leaves.
func (f frame) count() uint64 {
	o := f.offload
	switch {
	case f.train != nil:
		return uint64(f.train.FrameCount())
	case o.kind == gsoNone || o.size <= 0:
		return 1
	}
	headers := o.sumStart + 4*int(f.bytes[o.sumStart+lengthAt]>>4)
	return uint64((len(f.bytes) - headers + o.size - 1) / o.size)
}

// put writes the header to b.
func (o offload) put(b []byte) {
	b[0], b[1], b[2], b[3] = o.flags, o.kind, 0, 0
	for i, n := range []int{o.size, o.sumStart, o.sumDistance} {
		binary.NativeEndian.PutUint16(b[4+2*i:], uint16(n))
	}
}

func parseOffload(b []byte) offload {
	at := func(i int) int { return int(binary.NativeEndian.Uint16(b[i:])) }
	return offload{flags: b[0], kind: b[1] &^ gsoECN, size: at(4), sumStart: at(6), sumDistance: at(8)}
}

// finish calls emit with the frames that a card would have sent. They are valid during the call. It
// returns false if the frame is not what its header says.
func (o offload) finish(frame []byte, emit func([]byte)) bool {
	if o.kind == gsoNone {
		if o.flags&needsChecksum != 0 && !o.setChecksum(frame) {
			return false
		}
		emit(frame)
		return true
	}
	s, ok := o.segments(frame)
	if ok {
		s.split(o.size, emit)
	}
	return ok
}

// setChecksum completes a checksum: the field has the sum of the pseudo header.
func (o offload) setChecksum(frame []byte) bool {
	at := o.sumStart + o.sumDistance
	if o.sumStart < headerLen || at+2 > len(frame) {
		return false
	}
	sum := ^fold(sum16(0, frame[o.sumStart:]))
	if sum == 0 {
		sum = 0xffff // as UDP demands; TCP's checksum has no zero either if the sum has a one
	}
	binary.BigEndian.PutUint16(frame[at:], sum)
	return true
}

// A superframe is a frame with the data of several segments.
type superframe struct {
	frame           []byte
	transport, data int // offsets
	sumAt           int // of the checksum
	v4              bool
	udp             bool
}

// segments finds the headers of a frame whose data is to be split.
func (o offload) segments(f []byte) (s superframe, ok bool) {
	s = superframe{frame: f}
	if len(f) < headerLen+ipv4Len || o.size <= 0 {
		return s, false
	}
	var proto byte
	switch binary.BigEndian.Uint16(f[12:]) {
	case typeIPv4:
		s.v4, s.transport = true, headerLen+int(f[headerLen]&0x0f)*4
		proto = f[headerLen+9]
	case typeIPv6:
		if len(f) < headerLen+ipv6Len {
			return s, false
		}
		s.transport, proto = headerLen+ipv6Len, f[headerLen+6]
	}
	switch {
	case proto == protoTCP && (o.kind == gsoTCPv4 && s.v4 || o.kind == gsoTCPv6 && !s.v4):
		if len(f) < s.transport+tcpLen {
			return s, false
		}
		s.data, s.sumAt = s.transport+int(f[s.transport+lengthAt]>>4)*4, s.transport+16
		if s.data < s.transport+tcpLen {
			return s, false
		}
	case proto == protoUDP && o.kind == gsoUDP:
		s.data, s.sumAt, s.udp = s.transport+udpLen, s.transport+6, true
	default:
		return s, false
	}
	return s, s.transport >= headerLen+ipv4Len && s.data >= s.transport+udpLen && s.data <= len(f)
}

const (
	protoTCP, protoUDP = 6, 17
	tcpLen, udpLen     = 20, 8
	lengthAt           = 12 // in a header of TCP
	flagsAt            = 13
	flagsOfLast        = 0x01 | 0x08
	flagCWR            = 0x80
)

// split calls emit for each segment.
func (s superframe) split(size int, emit func([]byte)) {
	var out []byte
	be := binary.BigEndian
	headers, data := s.frame[:s.data], s.frame[s.data:]
	for at, n := 0, 0; at < len(data) || at == 0; at, n = at+size, n+1 {
		chunk := data[at:min(at+size, len(data))]
		out = append(append(out[:0], headers...), chunk...)
		ip, t := out[headerLen:s.transport], out[s.transport:]
		if s.v4 {
			be.PutUint16(ip[2:], uint16(len(out)-headerLen))
			be.PutUint16(ip[4:], be.Uint16(ip[4:])+uint16(n))
			be.PutUint16(ip[10:], 0)
			be.PutUint16(ip[10:], ^fold(sum16(0, ip)))
		} else {
			be.PutUint16(ip[4:], uint16(len(t)))
		}
		if s.udp {
			be.PutUint16(t[4:], uint16(len(t)))
		} else {
			be.PutUint32(t[4:], be.Uint32(t[4:])+uint32(at))
			if at+size < len(data) {
				t[flagsAt] &^= flagsOfLast
			}
			if at > 0 {
				t[flagsAt] &^= flagCWR
			}
		}
		s.setChecksum(out)
		emit(out)
	}
}

// setChecksum sets the checksum of a segment.
func (s superframe) setChecksum(out []byte) {
	be := binary.BigEndian
	be.PutUint16(out[s.sumAt:], 0)
	addrs, proto := out[headerLen+8:headerLen+ipv6Len], uint32(protoTCP)
	if s.v4 {
		addrs = out[headerLen+12 : headerLen+ipv4Len]
	}
	if s.udp {
		proto = protoUDP
	}
	sum := ^fold(sum16(sum16(proto+uint32(len(out)-s.transport), addrs), out[s.transport:]))
	if sum == 0 && s.udp {
		sum = 0xffff
	}
	be.PutUint16(out[s.sumAt:], sum)
}

// sum16 adds the 16-bit words of b to sum, of which no more than a megabyte must be added.
func sum16(sum uint32, b []byte) uint32 {
	wide := uint64(sum)
	for ; len(b) >= 4; b = b[4:] {
		wide += uint64(binary.BigEndian.Uint32(b))
	}
	if len(b) >= 2 {
		wide += uint64(b[0])<<8 | uint64(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		wide += uint64(b[0]) << 8
	}
	for wide>>32 != 0 {
		wide = wide&0xffffffff + wide>>32
	}
	return uint32(fold(uint32(wide>>16) + uint32(wide&0xffff)))
}

// fold adds the carries of a sum of 16-bit words to it.
func fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// appendTagged appends a frame with the tag of a VLAN, which the kernel hands over beside it.
func appendTagged(b, frame []byte, kind, tag uint16) []byte {
	b = append(b, frame[:2*len(ether.MAC{})]...)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, tag)
	return append(b, frame[2*len(ether.MAC{}):]...)
}
