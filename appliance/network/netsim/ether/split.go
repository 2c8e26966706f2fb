package ether

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// maxSplit is how long a packet a link takes for splitting. With its headers it
// is no longer than an IP packet can be.
const maxSplit = 1<<16 - 256

// GSOMaxSize and SupportedGSO make a link a stack.GSOEndpoint: the stack hands
// over the TCP data of several segments as one packet and the link splits it, as
// a network card does (TCP segmentation offload). It also completes their checksums.
// Everything behind it that looks, taps first, sees frames that fit the MTU.
func (l *link) GSOMaxSize() uint32 { return maxSplit }

// SupportedGSO implements stack.GSOEndpoint.
func (l *link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

var _ stack.GSOEndpoint = (*link)(nil)

// split sends a packet of the stack's with offloaded TCP as one frame or as a
// train of several.
func (l *link) split(pkt *stack.PacketBuffer) {
	tcp := headerLen + len(pkt.NetworkHeader().Slice())
	n := tcp + len(pkt.TransportHeader().Slice())
	left := pkt.Data().Size()
	size := min(int(pkt.GSOOptions.MSS), l.port.MTU()+headerLen-n)
	if size > 0 && left > size {
		t := &Train{head: make([]byte, n), tcp: tcp, size: size, data: pkt.Data().ToBuffer()}
		headers(t.head, pkt)
		l.port.TransmitTrainAfter(0, t)
		return
	}
	v := buffer.NewViewSize(n + left)
	s := segment{frame: v.AsSlice(), tcp: tcp, data: n}
	at := headers(s.frame, pkt)
	if left > 0 {
		data := pkt.Data().ToBuffer()
		_, _ = data.ReadAt(s.frame[at:], 0) // from memory: it is all there
		data.Release()
	}
	s.complete(true)
	l.port.transmit(v) // too long a one the port counts as an error
}

// headers copies those of a packet and returns their length.
func headers(b []byte, pkt *stack.PacketBuffer) int {
	n := copy(b, pkt.LinkHeader().Slice())
	n += copy(b[n:], pkt.NetworkHeader().Slice())
	return n + copy(b[n:], pkt.TransportHeader().Slice())
}
