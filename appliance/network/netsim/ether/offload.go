package ether

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// maxOffload is the most data that the stack may hand over in one packet. With its headers
// the packet is not longer than an IP packet can be.
const maxOffload = 1<<16 - 256

// GSOMaxSize and SupportedGSO make a link a stack.GSOEndpoint: the stack hands over the TCP
// data of several segments as one packet, and the link splits it and computes the
// checksums, as a network card does (TCP segmentation offload). Everything behind the link,
// taps included, sees frames that fit the MTU.
func (l *link) GSOMaxSize() uint32 { return maxOffload }

// SupportedGSO implements stack.GSOEndpoint.
func (l *link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

var _ stack.GSOEndpoint = (*link)(nil)

// transmitOffloaded transmits a packet with offloaded TCP data as one frame or, if it needs
// several, as a train.
func (l *link) transmitOffloaded(pkt *stack.PacketBuffer) {
	tcp := headerLen + len(pkt.NetworkHeader().Slice())
	n := tcp + len(pkt.TransportHeader().Slice())
	left := pkt.Data().Size()
	size := min(int(pkt.GSOOptions.MSS), l.port.MTU()+headerLen-n)
	if size > 0 && left > size {
		t := &Train{headers: make([]byte, n), tcp: tcp, size: size, data: pkt.Data().ToBuffer()}
		copyHeaders(t.headers, pkt)
		if l.rewriter != nil {
			t.headers = l.rewriter.Transmitted(t.headers, tcp)
		}
		l.port.TransmitTrainAfter(0, t)
		return
	}
	v := buffer.NewViewSize(n + left)
	s := tcpSegment{frame: v.AsSlice(), tcp: tcp, data: n}
	at := copyHeaders(s.frame, pkt)
	if left > 0 {
		data := pkt.Data().ToBuffer()
		_, _ = data.ReadAt(s.frame[at:], 0) // does not fail: the data is in memory
		data.Release()
	}
	if l.rewriter != nil {
		if v = l.rewriteTransmitted(v); v != nil { // which completes the segment
			l.port.transmit(v)
		}
		return
	}
	s.complete(true)
	l.port.transmit(v) // the port counts a frame that is too long as an error
}

// copyHeaders copies the headers of a packet to b and returns their length.
func copyHeaders(b []byte, pkt *stack.PacketBuffer) int {
	n := copy(b, pkt.LinkHeader().Slice())
	n += copy(b[n:], pkt.NetworkHeader().Slice())
	return n + copy(b[n:], pkt.TransportHeader().Slice())
}
