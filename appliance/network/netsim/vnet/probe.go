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

// Probe implements network.Prober. A TCP probe's size is what a SYN has.
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

// overhead is the length of the headers before the data of a UDP or echo packet.
func overhead(dst netip.Addr) int {
	if dst.Is6() {
		return header.IPv6MinimumSize + header.UDPMinimumSize
	}
	return header.IPv4MinimumSize + header.UDPMinimumSize
}

// A probe is one that is under way.
type probe struct {
	request network.ProbeRequest
	ep      tcpip.Endpoint
	to      tcpip.FullAddress
}

// probe sends one by an endpoint of its own and waits for what answers it.
func (h *Host) probe(ctx context.Context, r network.ProbeRequest, transport tcpip.TransportProtocolNumber,
	send func(*probe) tcpip.Error) (network.Reply, error) {
	nic, err := h.nicOf(r.Interface)
	if err != nil {
		return network.Reply{}, err
	}
	ear, err := h.listenICMP(nic, r.Src, r.Dst)
	if err != nil {
		return network.Reply{}, err
	}
	defer ear.close()
	var q waiter.Queue
	ep, terr := h.stack.NewEndpoint(transport, protocolOf(r.Dst), &q)
	if terr != nil {
		return network.Reply{}, errno(terr)
	}
	defer ep.Close()
	entry, news := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	q.EventRegister(&entry)
	setTTL(ep, r.TTL, protocolOf(r.Dst))
	if nic != 0 {
		terr = ep.SocketOptions().SetBindToDevice(int32(nic))
	}
	if terr == nil {
		nic = h.leave(nic, r.Src, r.Dst)
		terr = ep.Bind(h.full(netip.AddrPortFrom(r.Src, 0), nic))
	}
	if terr != nil {
		return network.Reply{}, errno(terr)
	}
	local, terr := ep.GetLocalAddress()
	if terr != nil {
		return network.Reply{}, errno(terr)
	}
	p := &probe{request: r, ep: ep, to: h.full(netip.AddrPortFrom(r.Dst, r.Port), nic)}
	start := h.stack.Clock().Now()
	if err := errno(send(p)); err != nil {
		return network.Reply{}, err
	}
	if transport != tcp.ProtocolNumber {
		news = nil
	}
	return h.await(ctx, p, ear, news, local.Port, start)
}

// await waits for an ICMP error that quotes the probe or, for TCP, for a segment.
func (h *Host) await(ctx context.Context, p *probe, ear *icmpListener, news <-chan struct{}, port uint16, start time.Time) (network.Reply, error) {
	r := p.request
	v6 := r.Dst.Is6()
	protocol := uint8(header.UDPProtocolNumber)
	if news != nil {
		protocol = uint8(header.TCPProtocolNumber)
	}
	for {
		m, ok, err := ear.next(ctx, news)
		if err != nil {
			return network.Reply{}, err
		}
		if !ok {
			if reply, done := p.segment(h.stack.Clock().Now().Sub(start)); done {
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
	// What answers is reset: nobody wants the connection.
	p.ep.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true})
	err := p.ep.Connect(p.to)
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		return nil
	}
	return err
}

// segment reports whether the target answered the SYN, with whatever segment.
func (p *probe) segment(rtt time.Duration) (network.Reply, bool) {
	if connecting(p.ep) {
		return network.Reply{}, false
	}
	switch err := p.ep.LastError(); err.(type) {
	case nil, *tcpip.ErrConnectionRefused, *tcpip.ErrConnectionReset:
		return network.Reply{Kind: network.TCPReply, From: p.request.Dst, RTT: rtt}, true
	}
	return network.Reply{}, false // an ICMP error ended it: the listener hears of it
}
