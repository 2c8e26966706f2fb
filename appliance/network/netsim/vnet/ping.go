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

// maxEcho is the most data that fits an IPv4 packet with an echo header.
const maxEcho = 65535 - header.IPv4MinimumSize - header.ICMPv4MinimumSize

// pingSockets are the endpoints that echo requests leave by; unlike raw ones they
// fragment. An identifier can be open once only, so requests share it.
type pingSockets struct {
	mu   sync.Mutex
	open map[pingKey]*pingSocket
}

type pingKey struct {
	src   netip.Addr
	v6    bool
	ident uint16
	nic   tcpip.NICID
}

type pingSocket struct {
	ep    tcpip.Endpoint
	queue waiter.Queue
	ident uint16
	users int

	mu      sync.Mutex
	waiting []*await // for replies
}

// An await is one request's wait for its reply.
type await struct {
	seq   uint16
	reply icmpMessage
	come  chan struct{} // has a token when there is one
}

// hear takes replies of IPv6 from the socket: gVisor's raw endpoints, by which all
// else is heard, get no IPv6 packets that came in fragments.
func (s *pingSocket) hear() {
	s.ep.SocketOptions().SetReceiveHopLimit(true)
	entry := waiter.NewFunctionEntry(waiter.ReadableEvents, func(waiter.EventMask) {
		for {
			m, err := readICMP6(s.ep)
			if err != nil {
				return
			}
			s.replied(m)
		}
	})
	s.queue.EventRegister(&entry)
}

func (s *pingSocket) replied(m icmpMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.waiting {
		if len(m.data) >= icmpHeaderLen && a.seq == m.seq() && len(a.come) == 0 {
			a.reply = m
			a.come <- struct{}{} // only here, so there is room
		}
	}
}

// await begins to wait for the reply to a request.
func (s *pingSocket) await(seq uint16) *await {
	a := &await{seq: seq, come: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, a)
	return a
}

// forget ends the wait.
func (s *pingSocket) forget(a *await) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(b *await) bool { return a == b })
}

// acquire returns the socket for k, open. ident 0 takes a free one.
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
		err = ep.Bind(h.full(netip.AddrPortFrom(k.src, k.ident), k.nic))
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
		s.hear()
	}
	if k.ident != 0 {
		if p.open == nil {
			p.open = make(map[pingKey]*pingSocket)
		}
		p.open[k] = s
	}
	return s, nil
}

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

// Ping implements network.Prober. Its times are those at which the stack sends
// and receives.
func (h *Host) Ping(ctx context.Context, r network.PingRequest) (network.Reply, error) {
	reply, err := h.echo(ctx, r)
	if err != nil {
		return network.Reply{}, h.probeError("ping", r.Dst, err)
	}
	return reply, nil
}

// probeError is the error of a probe. On a closed host, whatever went wrong, it
// is that.
func (h *Host) probeError(op string, dst netip.Addr, err error) error {
	if h.ctx.Err() != nil {
		err = context.Cause(h.ctx)
	}
	return opError(op, "sendto", "ip", nil, &net.IPAddr{IP: dst.AsSlice(), Zone: dst.Zone()}, err)
}

func (h *Host) echo(ctx context.Context, r network.PingRequest) (network.Reply, error) {
	if ctx.Err() != nil {
		return network.Reply{}, context.Cause(ctx)
	}
	r.Dst = r.Dst.Unmap()
	v6 := r.Dst.Is6()
	if r.DataSize < 0 || r.DataSize > maxEcho {
		return network.Reply{}, syscall.EMSGSIZE
	}
	nic, err := h.nicOf(r.Interface)
	if err != nil {
		return network.Reply{}, err
	}
	r.Src = r.Src.Unmap()
	if !r.Src.IsValid() && !v6 && h.owner(r.Dst) != nil {
		r.Src = r.Dst // or the stack does not answer itself
	}
	ear, err := h.listenICMP(nic, r.Src, r.Dst)
	if err != nil {
		return network.Reply{}, err
	}
	defer ear.close()
	key := pingKey{r.Src, v6, r.ID, nic}
	s, err := h.pings.acquire(h, key)
	if err != nil {
		return network.Reply{}, err
	}
	defer h.pings.release(key, s)

	wait := s.await(r.Seq)
	defer s.forget(wait)
	start := h.stack.Clock().Now()
	if err := s.send(h, r, h.leave(nic, r.Src, r.Dst)); err != nil {
		return network.Reply{}, err
	}
	for {
		m, ok, err := ear.next(ctx, wait.come)
		if err != nil {
			return network.Reply{}, err
		}
		if !ok {
			m = wait.reply // written before the token
		}
		if !m.answers(v6, s.ident, r.Seq) {
			continue
		}
		return m.reply(v6, start), nil
	}
}

// send sends one echo request. Its data are FreeBSD's: each byte its own index.
func (s *pingSocket) send(h *Host, r network.PingRequest, nic tcpip.NICID) error {
	b := make([]byte, icmpHeaderLen+r.DataSize)
	to := h.full(netip.AddrPortFrom(r.Dst, 0), nic)
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

// answers reports whether m is the reply to, or an error about, an echo request.
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
