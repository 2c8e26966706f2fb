package vnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/network"
)

// Probe implements network.Prober. The size of a TCP probe is that of a SYN.
func (h *Host) Probe(ctx context.Context, r network.ProbeRequest) (network.Reply, error) {
	if ctx.Err() != nil {
		return network.Reply{}, h.probeError("probe", r.Dst, context.Cause(ctx))
	}
	r.Dst, r.Src = r.Dst.Unmap(), r.Src.Unmap()
	var reply network.Reply
	var err error
	switch r.Protocol {
	case network.ICMP:
		reply, err = h.echo(ctx, network.PingRequest{Dst: r.Dst, Src: r.Src, Interface: r.Interface,
			Seq: r.Port, TTL: r.TTL, DataSize: max(0, r.PacketSize-overhead(r.Dst))})
	case network.UDP:
		reply, err = h.probe(ctx, r, udp.ProtocolNumber, (*probe).sendUDP)
	case network.TCP:
		reply, err = h.probe(ctx, r, tcp.ProtocolNumber, (*probe).sendSYN)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		return network.Reply{}, h.probeError("probe", r.Dst, err)
	}
	return reply, nil
}

// overhead returns the length of the headers of a UDP or echo packet to dst.
func overhead(dst netip.Addr) int {
	if dst.Is6() {
		return header.IPv6MinimumSize + header.UDPMinimumSize
	}
	return header.IPv4MinimumSize + header.UDPMinimumSize
}

// A probe is a probe that has been or will be sent.
type probe struct {
	request network.ProbeRequest
	ep      tcpip.Endpoint
	to      tcpip.FullAddress
}

// probe sends a probe from an endpoint of its own, and blocks until it is answered or ctx is
// done.
func (h *Host) probe(
	ctx context.Context, r network.ProbeRequest, transport tcpip.TransportProtocolNumber,
	send func(*probe) tcpip.Error,
) (network.Reply, error) {
	h.wakeFor(r.Src, r.Dst)
	h.openFor(netip.AddrPort{}, netip.AddrPortFrom(r.Dst, r.Port))
	nic, err := h.nicID(r.Interface)
	if err != nil {
		return network.Reply{}, err
	}
	listener, err := h.listenICMP(nic, r.Src, r.Dst)
	if err != nil {
		return network.Reply{}, err
	}
	defer listener.close()
	var q waiter.Queue
	ep, terr := h.stack.NewEndpoint(transport, protocolOf(r.Dst), &q)
	if terr != nil {
		return network.Reply{}, errno(terr)
	}
	defer ep.Close()
	events := waiter.WritableEvents | waiter.EventErr | waiter.EventHUp
	entry, changed := waiter.NewChannelEntry(events)
	q.EventRegister(&entry)
	setTTL(ep, r.TTL, protocolOf(r.Dst))
	if nic != 0 {
		terr = ep.SocketOptions().SetBindToDevice(int32(nic))
	}
	if terr == nil {
		nic = h.outgoingNIC(nic, r.Src, r.Dst)
		terr = ep.Bind(h.fullAddress(netip.AddrPortFrom(r.Src, 0), nic))
	}
	if terr != nil {
		return network.Reply{}, errno(terr)
	}
	local, terr := ep.GetLocalAddress()
	if terr != nil {
		return network.Reply{}, errno(terr)
	}
	p := &probe{request: r, ep: ep, to: h.fullAddress(netip.AddrPortFrom(r.Dst, r.Port), nic)}
	name := "tcp"
	if transport != tcp.ProtocolNumber {
		name, changed = "udp", nil
	}
	sent := h.publishProbe(name, addrPort(local, protocolOf(r.Dst)), netip.AddrPortFrom(r.Dst, r.Port), 0, 0)
	start := h.stack.Clock().Now()
	reply, err := network.Reply{}, errno(send(p))
	if err == nil {
		reply, err = h.awaitAnswer(ctx, p, listener, changed, local.Port, start)
	}
	h.publishProbeEnded(ctx, sent, reply, err)
	return reply, err
}

// awaitAnswer blocks until an ICMP error that quotes the probe arrives or, for TCP, a segment.
// changed has a token when the state of a TCP endpoint may have changed; it is nil for UDP.
// port is the probe's source port.
func (h *Host) awaitAnswer(
	ctx context.Context, p *probe, listener *icmpListener, changed <-chan struct{},
	port uint16, start time.Time,
) (network.Reply, error) {
	r := p.request
	v6 := r.Dst.Is6()
	protocol := uint8(header.UDPProtocolNumber)
	if changed != nil {
		protocol = uint8(header.TCPProtocolNumber)
	}
	for {
		m, ok, err := listener.next(ctx, changed)
		if err != nil {
			return network.Reply{}, err
		}
		if !ok {
			if reply, done := p.tcpReply(h.stack.Clock().Now().Sub(start)); done {
				return reply, nil
			}
			continue
		}
		q, ok := m.quoted(v6)
		if !ok || q.protocol != protocol || q.dst != r.Dst.WithZone("") ||
			binary.BigEndian.Uint16(q.payload) != port || binary.BigEndian.Uint16(q.payload[2:]) != r.Port {
			continue
		}
		return m.reply(v6, start), nil
	}
}

func (p *probe) sendUDP() tcpip.Error {
	data := make([]byte, max(0, p.request.PacketSize-overhead(p.request.Dst)))
	_, err := p.ep.Write(bytes.NewReader(data), tcpip.WriteOptions{To: &p.to})
	return err
}

func (p *probe) sendSYN() tcpip.Error {
	// If the target accepts the connection, it is reset when the endpoint is closed.
	p.ep.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true})
	err := p.ep.Connect(p.to)
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		return nil
	}
	return err
}

// tcpReply returns the target's answer to the SYN, and reports whether there is one. Any
// segment is an answer.
func (p *probe) tcpReply(rtt time.Duration) (network.Reply, bool) {
	if connecting(p.ep) {
		return network.Reply{}, false
	}
	switch err := p.ep.LastError(); err.(type) {
	case nil, *tcpip.ErrConnectionRefused, *tcpip.ErrConnectionReset:
		return network.Reply{Kind: network.TCPReply, From: p.request.Dst, RTT: rtt}, true
	}
	return network.Reply{}, false // an ICMP error ended it, which the listener receives too
}
