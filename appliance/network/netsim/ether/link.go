package ether

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Endpoint is the port as package vnet attaches it to a stack.
func (p *Port) Endpoint() stack.LinkEndpoint { return &p.stack }

// A link makes a port a gVisor link endpoint.
type link struct {
	port       *Port
	dispatcher atomic.Pointer[stack.NetworkDispatcher]
	resolution atomic.Pointer[resolution]
	learn      atomic.Pointer[func(deliver func())] // see SetLearn
	arpMAC     MAC                                  // see SetARPAddress
}

var _ stack.LinkEndpoint = (*link)(nil)

// deliver hands a frame to the stack; more is data that follows it. It owns the
// views.
func (l *link) deliver(v *buffer.View, more ...*buffer.View) {
	frame := v.AsSlice()
	if !l.heeds(frame) {
		v.Release()
		return
	}
	learn := l.learn.Load()
	if learn != nil && !resolves(frame) {
		learn = nil
	}
	b := buffer.MakeWithView(v)
	for _, x := range more {
		_ = b.Append(x) // fails for nil only
	}
	if learn != nil {
		(*learn)(func() { l.dispatch(b, 1+len(more)) })
		return
	}
	l.dispatch(b, 1+len(more))
}

// deliverTrain hands a train to the stack.
func (l *link) deliverTrain(t *Train) {
	t.whole()
	n := t.frames()
	b := buffer.MakeWithData(t.head)
	b.Merge(&t.data)
	l.dispatch(b, n)
}

// dispatch hands a packet that was so many frames to the stack. It owns b.
func (l *link) dispatch(b buffer.Buffer, frames int) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: b})
	defer pkt.DecRef()
	h, _ := pkt.LinkHeader().Consume(headerLen) // shorter frames cannot be sent
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
	(*d).DeliverNetworkPacket(eth.Type(), pkt)
}

// WritePackets never blocks and never fails: the sender does not learn of a
// pulled cable.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		if pkt.GSOOptions.Type != stack.GSONone {
			l.split(pkt)
			continue
		}
		v := pkt.ToView()
		l.disguise(v)
		l.port.transmit(v)
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

// Capabilities leaves checksums to the stack, so that captures hold true ones,
// but for TCP's, which go with the splitting.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired
}

func (l *link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.dispatcher.Store(nil)
		return
	}
	l.dispatcher.Store(&d)
}

func (l *link) MTU() uint32                             { return uint32(l.port.MTU()) }
func (l *link) SetMTU(mtu uint32)                       { l.port.SetMTU(int(mtu)) }
func (l *link) MaxHeaderLength() uint16                 { return headerLen }
func (l *link) LinkAddress() tcpip.LinkAddress          { return tcpip.LinkAddress(l.port.mac[:]) }
func (l *link) IsAttached() bool                        { return l.dispatcher.Load() != nil }
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// SetLinkAddress does nothing: a port keeps its address.
func (l *link) SetLinkAddress(tcpip.LinkAddress) {}

// Wait and Close do nothing: the port's owner closes it.
func (l *link) Wait()                   {}
func (l *link) Close()                  {}
func (l *link) SetOnCloseAction(func()) {}
