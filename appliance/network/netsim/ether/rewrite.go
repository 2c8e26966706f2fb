package ether

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
)

// A SegmentRewriter changes the headers of the TCP segments between a stack and its port, so
// that the stack looks like another system's. Each frame of a train gets the headers of the
// train.
type SegmentRewriter interface {
	// Transmitted returns the headers, Ethernet to TCP, of a segment that the stack transmits.
	// They may have another length than h, which it may change. The TCP header begins at tcp. If the
	// segment has no data, the result may be nil: then it is not transmitted.
	Transmitted(h []byte, tcp int) []byte
	// Received is called for a SYN or FIN, whose headers are h, before the stack gets it. It may
	// change the options of a SYN.
	Received(h []byte, tcp int)
}

// SetSegmentRewriter sets what changes the segments of the port's stack. It must be called
// before anything is transmitted.
func (p *Port) SetSegmentRewriter(r SegmentRewriter) { p.link.rewriter = r }

// findTCP finds the TCP header of a frame and the end of it. It reports whether f is a TCP
// segment, not a fragment and without IP options or extension headers.
func findTCP(f []byte) (tcp, data int, ok bool) {
	switch {
	case len(f) >= headerLen+v4Len+tcpLen && f[12] == 0x08 && f[13] == 0x00:
		if ip := f[headerLen:]; ip[0] != 0x45 || ip[9] != 6 || ip[6]&0x3f != 0 || ip[7] != 0 {
			return 0, 0, false
		}
		tcp = headerLen + v4Len
	case len(f) >= headerLen+v6Len+tcpLen && f[12] == 0x86 && f[13] == 0xdd:
		if f[headerLen+6] != 6 {
			return 0, 0, false
		}
		tcp = headerLen + v6Len
	default:
		return 0, 0, false
	}
	data = tcp + int(f[tcp+12]>>4)*4
	return tcp, data, data >= tcp+tcpLen && data <= len(f)
}

// rewriteTransmitted returns a frame of the stack with its headers rewritten, or nil if it must not
// be transmitted. It owns v.
func (l *link) rewriteTransmitted(v *buffer.View) *buffer.View {
	frame := v.AsSlice()
	tcp, data, ok := findTCP(frame)
	if !ok {
		return v
	}
	h := l.rewriter.Transmitted(frame[:data:data], tcp)
	if h == nil {
		v.Release()
		return nil
	}
	if len(h) != data {
		w := buffer.NewViewSize(len(h) + len(frame) - data)
		copy(w.AsSlice(), h)
		copy(w.AsSlice()[len(h):], frame[data:])
		v.Release()
		v = w
	}
	tcpSegment{frame: v.AsSlice(), tcp: tcp, data: len(h)}.complete(true)
	return v
}

// rewriteReceived tells the rewriter of a SYN or FIN, and lets it change the options of a SYN, in
// place.
func (l *link) rewriteReceived(frame []byte) {
	tcp, data, ok := findTCP(frame)
	if !ok || frame[tcp+13]&(flagSYN|flagFIN) == 0 {
		return
	}
	options := frame[tcp+tcpLen : data]
	before := fold(add16(options))
	l.rewriter.Received(frame[:data:data], tcp)
	// The difference is applied, so that a damaged segment stays damaged.
	sum := uint32(^binary.BigEndian.Uint16(frame[tcp+16:])) + uint32(^before) + add16(options)
	binary.BigEndian.PutUint16(frame[tcp+16:], ^fold(sum))
}

// TransmitSegment transmits a TCP segment without data, whose headers are h, for the port's
// stack. It sets their checksums.
func (p *Port) TransmitSegment(h []byte) {
	v := buffer.NewViewWithData(h)
	tcp, data, ok := findTCP(v.AsSlice())
	if !ok || data != len(h) {
		panic("ether: not the headers of a TCP segment")
	}
	tcpSegment{frame: v.AsSlice(), tcp: tcp, data: data}.complete(true)
	p.transmit(v)
}
