package vnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/network"
)

// An icmpListener receives every ICMP message that arrives at the host. It uses a raw
// endpoint, because others do not receive errors about packets of other endpoints.
type icmpListener struct {
	host    *Host
	ep      tcpip.Endpoint
	queue   waiter.Queue
	entry   waiter.Entry
	wakeups chan struct{}
	v6      bool

	nextHop     tcpip.Address // the neighbor to which packets are sent
	unreachable atomic.Bool   // nextHop has not answered ARP or NDP
}

// An icmpMessage is an ICMP message that has arrived.
type icmpMessage struct {
	from netip.Addr
	ttl  int
	at   time.Time // by the stack's clock
	data []byte    // ICMP header and body
}

// listenICMP returns a listener for answers to packets that the caller will send to dst.
func (h *Host) listenICMP(nic tcpip.NICID, src, dst netip.Addr) (*icmpListener, error) {
	v6 := dst.Is6()
	l := &icmpListener{host: h, v6: v6}
	if l.nextHop = toAddress(dst); dst.Zone() == "" {
		route, err := h.stack.FindRoute(nic, toAddress(src), l.nextHop, protocolOf(dst), false)
		if err != nil {
			return nil, errno(err)
		}
		if hop := route.NextHop(); hop.BitLen() != 0 {
			l.nextHop = hop
		}
		route.Release()
	}
	transport, net := icmp.ProtocolNumber4, tcpip.NetworkProtocolNumber(ipv4.ProtocolNumber)
	if v6 {
		transport, net = icmp.ProtocolNumber6, ipv6.ProtocolNumber
	}
	ep, err := h.stack.NewRawEndpoint(transport, net, &l.queue, true)
	if err != nil {
		return nil, errno(err)
	}
	ep.SocketOptions().SetReceiveHopLimit(true) // for IPv6; for IPv4 the header is received
	l.ep = ep
	events := waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp
	l.entry, l.wakeups = waiter.NewChannelEntry(events)
	l.queue.EventRegister(&l.entry)
	h.neighbors.addListener(l)
	return l, nil
}

func (l *icmpListener) close() {
	l.host.neighbors.removeListener(l)
	l.ep.Close()
}

// reportUnreachable tells the listener that the neighbor hop does not answer.
func (l *icmpListener) reportUnreachable(hop tcpip.Address) {
	if hop != l.nextHop {
		return
	}
	l.unreachable.Store(true)
	select {
	case l.wakeups <- struct{}{}:
	default:
	}
}

// next blocks until a message arrives or a token can be received from also, which may be nil.
// ok reports whether it was a message. next returns an error if ctx is done, the host is
// closed, or the next hop does not answer.
func (l *icmpListener) next(
	ctx context.Context, also <-chan struct{},
) (m icmpMessage, ok bool, err error) {
	for {
		m, err := l.read()
		switch {
		case err == nil && len(m.data) >= icmpHeaderLen:
			return m, true, nil
		case err == nil:
			continue
		case !wouldBlock(err):
			return m, false, errno(err)
		case l.unreachable.Load():
			return m, false, syscall.EHOSTUNREACH
		}
		select {
		case <-l.wakeups:
		case <-also:
			return m, false, nil
		case <-ctx.Done():
			return m, false, context.Cause(ctx)
		case <-l.host.ctx.Done():
			return m, false, context.Cause(l.host.ctx)
		}
	}
}

const icmpHeaderLen = 8

func (l *icmpListener) read() (icmpMessage, tcpip.Error) {
	if l.v6 {
		return readICMP6(l.ep)
	}
	var b bytes.Buffer
	res, err := l.ep.Read(&b, tcpip.ReadOptions{NeedRemoteAddr: true})
	if err != nil {
		return icmpMessage{}, err
	}
	m := icmpMessage{at: res.ControlMessages.Timestamp, data: b.Bytes()}
	m.from = fromAddress(res.RemoteAddr.Addr, ipv4.ProtocolNumber)
	ip := header.IPv4(m.data)
	if len(ip) < header.IPv4MinimumSize || len(ip) < int(ip.HeaderLength()) {
		m.data = nil
		return m, nil
	}
	m.ttl = int(ip.TTL())
	m.data = m.data[ip.HeaderLength():]
	return m, nil
}

// readICMP6 reads a message from an IPv6 endpoint, which may be raw.
func readICMP6(ep tcpip.Endpoint) (icmpMessage, tcpip.Error) {
	var b bytes.Buffer
	res, err := ep.Read(&b, tcpip.ReadOptions{NeedRemoteAddr: true})
	if err != nil {
		return icmpMessage{}, err
	}
	return icmpMessage{
		from: fromAddress(res.RemoteAddr.Addr, ipv6.ProtocolNumber),
		ttl:  int(res.ControlMessages.HopLimit),
		at:   res.ControlMessages.Timestamp,
		data: b.Bytes(),
	}, nil
}

func (m icmpMessage) typ() uint8    { return m.data[0] }
func (m icmpMessage) code() uint8   { return m.data[1] }
func (m icmpMessage) ident() uint16 { return binary.BigEndian.Uint16(m.data[4:]) }
func (m icmpMessage) seq() uint16   { return binary.BigEndian.Uint16(m.data[6:]) }

// A quote is the beginning of the packet that an ICMP error is about.
type quote struct {
	dst      netip.Addr
	protocol uint8
	payload  []byte // at least eight bytes
}

// quoted returns the packet that an ICMP error is about. It returns false for other messages
// and for errors that quote too little.
func (m icmpMessage) quoted(v6 bool) (quote, bool) {
	kind, isError := m.kind(v6)
	if !isError || kind == network.EchoReply {
		return quote{}, false
	}
	b := m.data[icmpHeaderLen:]
	if v6 {
		if len(b) < header.IPv6MinimumSize+8 {
			return quote{}, false
		}
		dst, _ := netip.AddrFromSlice(b[24:40])
		return quote{dst, b[6], b[header.IPv6MinimumSize:]}, true
	}
	if len(b) < header.IPv4MinimumSize || len(b) < int(header.IPv4(b).HeaderLength())+8 {
		return quote{}, false
	}
	dst, _ := netip.AddrFromSlice(b[16:20])
	return quote{dst, b[9], b[header.IPv4(b).HeaderLength():]}, true
}

type typeCode struct{ typ, code uint8 }

var kinds4 = map[typeCode]network.ReplyKind{
	{3, 0}: network.NetUnreachable, {3, 1}: network.HostUnreachable,
	{3, 2}: network.ProtocolUnreachable, {3, 3}: network.PortUnreachable,
	{3, 4}: network.FragmentationNeeded, {3, 9}: network.Prohibited,
	{3, 10}: network.Prohibited, {3, 13}: network.Prohibited,
	{11, 0}: network.TimeExceeded,
}

var kinds6 = map[typeCode]network.ReplyKind{
	{1, 0}: network.NetUnreachable, {1, 1}: network.Prohibited,
	{1, 3}: network.HostUnreachable, {1, 4}: network.PortUnreachable,
	{1, 5}: network.Prohibited, {2, 0}: network.FragmentationNeeded,
	{3, 0}: network.TimeExceeded, {4, 1}: network.ProtocolUnreachable,
}

// kind classifies a message. It returns false for a message that is no answer to a packet.
func (m icmpMessage) kind(v6 bool) (network.ReplyKind, bool) {
	kinds, reply := kinds4, uint8(header.ICMPv4EchoReply)
	isError := m.typ() == 3 || m.typ() == 11 || m.typ() == 12
	if v6 {
		kinds, reply = kinds6, uint8(header.ICMPv6EchoReply)
		isError = m.typ() >= 1 && m.typ() <= 4
	}
	if m.typ() == reply {
		return network.EchoReply, true
	}
	if k, ok := kinds[typeCode{m.typ(), m.code()}]; ok {
		return k, true
	}
	return network.OtherError, isError
}

// reply returns the message as the Reply to a packet that was sent at start.
func (m icmpMessage) reply(v6 bool, start time.Time) network.Reply {
	kind, _ := m.kind(v6)
	r := network.Reply{
		Kind: kind, From: m.from, TTL: m.ttl, Bytes: len(m.data),
		RTT: m.at.Sub(start), Type: m.typ(), Code: m.code(),
	}
	if kind != network.EchoReply {
		r.Quoted = bytes.Clone(m.data[icmpHeaderLen:])
	}
	if kind == network.FragmentationNeeded {
		r.MTU = int(m.seq())
		if v6 {
			r.MTU = int(binary.BigEndian.Uint32(m.data[4:]))
		}
	}
	return r
}
