package ether

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Endpoint returns the port as the link endpoint that package vnet attaches to a stack.
func (p *Port) Endpoint() stack.LinkEndpoint { return &p.link }

// A link makes a port a gVisor link endpoint.
type link struct {
	port           *Port
	dispatcher     atomic.Pointer[stack.NetworkDispatcher]
	resolution     atomic.Pointer[resolution]
	wrapResolution atomic.Pointer[func(deliver func())] // see WrapResolution
	firstFrame     atomic.Pointer[firstFrame]           // nil: none is awaited
	arpMAC         MAC                                  // see SetARPMAC
	receiver       SegmentReceiver                      // nil: none
	rewriter       SegmentRewriter                      // nil: none
	intact         atomic.Bool                          // a train is being delivered
}

var _ stack.LinkEndpoint = (*link)(nil)

// deliver hands a packet to the stack: the frame v, to whose data the views of more are
// appended. It owns the views.
func (l *link) deliver(v *buffer.View, more ...*buffer.View) {
	frame := v.AsSlice()
	if !l.accepts(frame) || !l.awake(frame) {
		v.Release()
		return
	}
	if l.rewriter != nil {
		l.rewriteReceived(frame)
	}
	wrap := l.wrapResolution.Load()
	if wrap != nil && !isResolution(frame) {
		wrap = nil
	}
	if wrap != nil {
		(*wrap)(func() { l.dispatch(buffer.MakeWithView(v), 1, false) })
		return
	}
	b := buffer.MakeWithView(v)
	for _, x := range more {
		_ = b.Append(x) // fails for nil only
	}
	if len(more) == 0 {
		defer l.lockConnection(frame).unlock()
	}
	l.dispatch(b, 1+len(more), false)
}

// deliverTrain hands a train to the stack as one packet. It owns t. The data has not left this
// process, so the stack does not check it.
func (l *link) deliverTrain(t *Train) {
	l.awake(nil)
	n := t.frameCount()
	b := buffer.MakeWithData(t.headers)
	b.Merge(&t.data)
	l.dispatch(b, n, true)
}

// dispatch hands a packet that arrived as the given number of frames to the stack. It owns
// b. If intact is set, the packet's checksums are not valid, and the stack does not check them.
func (l *link) dispatch(b buffer.Buffer, frames int, intact bool) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: b})
	defer pkt.DecRef()
	h, _ := pkt.LinkHeader().Consume(headerLen) // shorter frames are not transmitted
	eth := header.Ethernet(h)
	switch dst := eth.DestinationAddress(); {
	case dst == header.EthernetBroadcastAddress:
		pkt.PktType = tcpip.PacketBroadcast
	case header.IsMulticastEthernetAddress(dst):
		pkt.PktType = tcpip.PacketMulticast
	default:
		pkt.PktType = tcpip.PacketHost
	}
	l.port.receiving.Lock()
	defer l.port.receiving.Unlock()
	d := l.dispatcher.Load()
	if d == nil || l.port.closed {
		l.port.counters.rxDropped.Add(uint64(frames))
		return
	}
	if intact {
		l.intact.Store(true)
		defer l.intact.Store(false)
	}
	(*d).DeliverNetworkPacket(eth.Type(), pkt)
}

// DeliverAgain hands a packet of a transport protocol to the port's stack again, which has just
// found no socket for it. It is called while the packet is delivered, and reports whether the stack
// has taken it.
func (p *Port) DeliverAgain(protocol tcpip.TransportProtocolNumber, pkt *stack.PacketBuffer) bool {
	d := p.link.dispatcher.Load()
	if d == nil {
		return false
	}
	to, ok := (*d).(stack.TransportDispatcher)
	return ok && to.DeliverTransportPacket(protocol, pkt) == stack.TransportPacketHandled
}

// WritePackets transmits packets of the stack. It never blocks and never fails: a sender
// does not notice an unplugged cable.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		if pkt.GSOOptions.Type != stack.GSONone {
			l.transmitOffloaded(pkt)
			continue
		}
		v := pkt.ToView()
		l.rewriteARPSender(v)
		if l.rewriter != nil {
			v = l.rewriteTransmitted(v)
		}
		if v != nil {
			l.port.transmit(v)
		}
	}
	return pkts.Len(), nil
}

func (l *link) AddHeader(pkt *stack.PacketBuffer) {
	eth := header.Ethernet(pkt.LinkHeader().Push(headerLen))
	eth.Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

func (l *link) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(headerLen)
	return ok
}

// Capabilities leaves checksums to the stack, so that captures contain true ones. The exception is
// TCP's, which are computed when a packet is split, see offload.go. The stack calls it again for each
// packet that the link delivers, to know whether it must check the checksum. Before it attaches the
// link, gVisor asks whether it has to make neighbor caches: the answer is no, because Attach adds
// smaller ones.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	switch {
	case !l.IsAttached() && nicType() != nil:
		return stack.CapabilityNone
	case l.intact.Load():
		return stack.CapabilityResolutionRequired | stack.CapabilityRXChecksumOffload
	}
	return stack.CapabilityResolutionRequired
}

func (l *link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.dispatcher.Store(nil)
		return
	}
	addNeighborCaches(d)
	l.dispatcher.Store(&d)
}

func (l *link) MTU() uint32                             { return uint32(l.port.MTU()) }
func (l *link) SetMTU(mtu uint32)                       { l.port.SetMTU(int(mtu)) }
func (l *link) MaxHeaderLength() uint16                 { return headerLen }
func (l *link) LinkAddress() tcpip.LinkAddress          { return tcpip.LinkAddress(l.port.mac[:]) }
func (l *link) IsAttached() bool                        { return l.dispatcher.Load() != nil }
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// SetLinkAddress does nothing, because the address of a port does not change.
func (l *link) SetLinkAddress(tcpip.LinkAddress) {}

// Wait and Close do nothing, because the host closes the port.
func (l *link) Wait()                   {}
func (l *link) Close()                  {}
func (l *link) SetOnCloseAction(func()) {}
