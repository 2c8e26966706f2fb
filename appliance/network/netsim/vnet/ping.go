package vnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/network"
)

// maxEcho is the number of bytes of data that fit an IPv4 packet with an echo header.
const maxEcho = 65535 - header.IPv4MinimumSize - header.ICMPv4MinimumSize

// pingSockets are the endpoints that send echo requests. Unlike raw endpoints they fragment
// packets. There can be only one endpoint with an identifier, so requests with the same
// identifier share it.
type pingSockets struct {
	mu   sync.Mutex
	open map[pingKey]*pingSocket
}

// A pingKey identifies a pingSocket.
type pingKey struct {
	src   netip.Addr
	v6    bool
	ident uint16
	nic   tcpip.NICID
}

// A pingSocket is an endpoint that sends echo requests with one identifier.
type pingSocket struct {
	ep    tcpip.Endpoint
	queue waiter.Queue
	ident uint16
	users int // guarded by pingSockets.mu

	mu      sync.Mutex
	pending []*pendingReply
}

// A pendingReply is the reply that a request expects.
type pendingReply struct {
	seq     uint16
	message icmpMessage
	arrived chan struct{} // has a token when message has been set
}

// receiveReplies makes the socket receive replies of IPv6. All other messages are received by
// gVisor's raw endpoints, but these do not get IPv6 packets that arrived in fragments.
func (s *pingSocket) receiveReplies() {
	s.ep.SocketOptions().SetReceiveHopLimit(true)
	entry := waiter.NewFunctionEntry(waiter.ReadableEvents, func(waiter.EventMask) {
		for {
			m, err := readICMP6(s.ep)
			if err != nil {
				return
			}
			s.handleReply(m)
		}
	})
	s.queue.EventRegister(&entry)
}

// handleReply hands a reply to the request that expects it.
func (s *pingSocket) handleReply(m icmpMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.pending {
		if len(m.data) >= icmpHeaderLen && a.seq == m.seq() && len(a.arrived) == 0 {
			a.message = m
			a.arrived <- struct{}{} // does not block: nothing else sends to the channel
		}
	}
}

// expect registers a request whose reply is expected.
func (s *pingSocket) expect(seq uint16) *pendingReply {
	a := &pendingReply{seq: seq, arrived: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, a)
	return a
}

// unexpect removes a request that expect has registered.
func (s *pingSocket) unexpect(a *pendingReply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = slices.DeleteFunc(s.pending, func(b *pendingReply) bool { return a == b })
}

// acquire returns the open socket for k, and counts its user. If k.ident is 0, the socket gets
// a free identifier and is not shared.
func (p *pingSockets) acquire(h *Host, k pingKey) (*pingSocket, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.open[k]; s != nil && k.ident != 0 {
		s.users++
		return s, nil
	}
	s := &pingSocket{users: 1}
	transport, proto := icmp.ProtocolNumber4, protocolOf(netip.IPv4Unspecified())
	if k.v6 {
		transport, proto = icmp.ProtocolNumber6, protocolOf(netip.IPv6Unspecified())
	}
	ep, err := h.stack.NewEndpoint(transport, proto, &s.queue)
	if err != nil {
		return nil, errno(err)
	}
	if k.nic != 0 {
		err = ep.SocketOptions().SetBindToDevice(int32(k.nic))
	}
	if err == nil {
		err = ep.Bind(h.fullAddress(netip.AddrPortFrom(k.src, k.ident), k.nic))
	}
	if err != nil {
		ep.Close()
		return nil, errno(err)
	}
	local, err := ep.GetLocalAddress()
	if err != nil {
		ep.Close()
		return nil, errno(err)
	}
	s.ep, s.ident = ep, local.Port
	if k.v6 {
		s.receiveReplies()
	}
	if k.ident != 0 {
		if p.open == nil {
			p.open = make(map[pingKey]*pingSocket)
		}
		p.open[k] = s
	}
	return s, nil
}

// release closes a socket that has no more users.
func (p *pingSockets) release(k pingKey, s *pingSocket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	if p.open[k] == s {
		delete(p.open, k)
	}
	s.ep.Close()
}

// Ping implements network.Prober. Times are measured by the stack when it sends and receives.
func (h *Host) Ping(ctx context.Context, r network.PingRequest) (network.Reply, error) {
	reply, err := h.echo(ctx, r)
	if err != nil {
		return network.Reply{}, h.probeError("ping", r.Dst, err)
	}
	return reply, nil
}

// probeError returns the error of a ping or probe. If the host is closed, that is the reason
// in any case.
func (h *Host) probeError(op string, dst netip.Addr, err error) error {
	if h.ctx.Err() != nil {
		err = context.Cause(h.ctx)
	}
	return opError(op, "sendto", "ip", nil, &net.IPAddr{IP: dst.AsSlice(), Zone: dst.Zone()}, err)
}

// echo sends an echo request and blocks until it is answered or ctx is done.
func (h *Host) echo(ctx context.Context, r network.PingRequest) (network.Reply, error) {
	if ctx.Err() != nil {
		return network.Reply{}, context.Cause(ctx)
	}
	r.Dst = r.Dst.Unmap()
	h.wakeFor(r.Src, r.Dst)
	v6 := r.Dst.Is6()
	if r.DataSize < 0 || r.DataSize > maxEcho {
		return network.Reply{}, syscall.EMSGSIZE
	}
	nic, err := h.nicID(r.Interface)
	if err != nil {
		return network.Reply{}, err
	}
	r.Src = r.Src.Unmap()
	if !r.Src.IsValid() && !v6 && h.ifaceByAddr(r.Dst) != nil {
		r.Src = r.Dst // otherwise the stack does not answer itself
	}
	listener, err := h.listenICMP(nic, r.Src, r.Dst)
	if err != nil {
		return network.Reply{}, err
	}
	defer listener.close()
	key := pingKey{r.Src, v6, r.ID, nic}
	s, err := h.pings.acquire(h, key)
	if err != nil {
		return network.Reply{}, err
	}
	defer h.pings.release(key, s)

	wait := s.expect(r.Seq)
	defer s.unexpect(wait)
	sent := h.publishProbe("icmp", netip.AddrPortFrom(r.Src, 0), netip.AddrPortFrom(r.Dst, 0), s.ident, r.Seq)
	reply, err := h.exchangeEcho(ctx, s, listener, wait, r, nic)
	h.publishProbeEnded(ctx, sent, reply, err)
	return reply, err
}

// exchangeEcho sends an echo request and blocks until it is answered or ctx is done.
func (h *Host) exchangeEcho(ctx context.Context, s *pingSocket, listener *icmpListener,
	wait *pendingReply, r network.PingRequest, nic tcpip.NICID,
) (network.Reply, error) {
	v6 := r.Dst.Is6()
	start := h.stack.Clock().Now()
	if err := s.send(h, r, h.outgoingNIC(nic, r.Src, r.Dst)); err != nil {
		return network.Reply{}, err
	}
	for {
		m, ok, err := listener.next(ctx, wait.arrived)
		if err != nil {
			return network.Reply{}, err
		}
		if !ok {
			m = wait.message // it was stored before the token was sent
		}
		if !m.answers(v6, s.ident, r.Seq) {
			continue
		}
		return m.reply(v6, start), nil
	}
}

// send sends one echo request. Its data is that of FreeBSD's ping: each byte is its own index.
func (s *pingSocket) send(h *Host, r network.PingRequest, nic tcpip.NICID) error {
	b := make([]byte, icmpHeaderLen+r.DataSize)
	to := h.fullAddress(netip.AddrPortFrom(r.Dst, 0), nic)
	o := tcpip.WriteOptions{To: &to}
	if r.Dst.Is6() {
		b[0] = byte(header.ICMPv6EchoRequest)
		o.ControlMessages.HasHopLimit, o.ControlMessages.HopLimit = r.TTL != 0, r.TTL
	} else {
		b[0] = byte(header.ICMPv4Echo)
		o.ControlMessages.HasTTL, o.ControlMessages.TTL = r.TTL != 0, r.TTL
	}
	binary.BigEndian.PutUint16(b[4:], s.ident)
	binary.BigEndian.PutUint16(b[6:], r.Seq)
	for i := range b[icmpHeaderLen:] {
		b[icmpHeaderLen+i] = byte(i)
	}
	_, err := s.ep.Write(bytes.NewReader(b), o)
	return errno(err)
}

// answers reports whether m is the reply to an echo request or an error about it.
func (m icmpMessage) answers(v6 bool, ident, seq uint16) bool {
	if kind, ok := m.kind(v6); ok && kind == network.EchoReply {
		return m.ident() == ident && m.seq() == seq
	}
	q, ok := m.quoted(v6)
	request, protocol := uint8(header.ICMPv4Echo), uint8(header.ICMPv4ProtocolNumber)
	if v6 {
		request, protocol = uint8(header.ICMPv6EchoRequest), uint8(header.ICMPv6ProtocolNumber)
	}
	return ok && q.protocol == protocol && q.payload[0] == request &&
		binary.BigEndian.Uint16(q.payload[4:]) == ident && binary.BigEndian.Uint16(q.payload[6:]) == seq
}
