package wan

import (
	"net/netip"
	"time"
)

// A kind is an ICMP error in both families.
type kind struct {
	type4, code4 uint8
	type6, code6 uint8
	mtu          int
}

var (
	timeExceeded        = kind{type4: 11, code4: 0, type6: 3, code6: 0}
	netUnreachable      = kind{type4: 3, code4: 0, type6: 1, code6: 0}
	hostUnreachable     = kind{type4: 3, code4: 1, type6: 1, code6: 3}
	portUnreachable     = kind{type4: 3, code4: 3, type6: 1, code6: 4}
	protocolUnreachable = kind{type4: 3, code4: 2, type6: 4, code6: 1}
	fragmentationNeeded = kind{type4: 3, code4: 4, type6: 2, code6: 0}
	prohibited          = kind{type4: 3, code4: 13, type6: 1, code6: 1}
)

// A complaint says who answers a packet, and how the answer arrives.
type complaint origin

// leads reports whether the complaint can be sent.
func (c *complaint) leads() bool { return c.gateway != nil || c.port != nil }

// send sends what it says to an address.
func (c *complaint) send(to netip.Addr, frame []byte) {
	if c.port != nil {
		address(frame, c.port.MAC(), c.sender.MAC())
		c.port.InjectAfter(c.delay, c.sender, frame)
		return
	}
	c.gateway.send(to, frame, c.delay, origin{})
}

const (
	quote4 = 548  // bytes of the packet that an error holds: RFC 1812, 4.3.2.3
	quote6 = 1232 // RFC 4443, 3.3: as much as fits 1280 bytes
)

// complain sends an ICMP error about p to its source, unless p is something about
// which none may be sent.
func (w *WAN) complain(p *packet, k kind, c complaint) {
	if p.later || p.isICMPError() || !c.from.IsValid() {
		return
	}
	if p.v6 {
		quote := p.ip[:min(len(p.ip), quote6)]
		frame, body := w.ipFrame(c.from, p.src, protoICM6, c.ttl, 8+len(quote))
		body[0], body[1] = k.type6, k.code6
		be.PutUint32(body[4:], uint32(k.mtu))
		copy(body[8:], quote)
		be.PutUint16(body[2:], checksum(pseudo(c.from, p.src, protoICM6, len(body)), body))
		c.send(p.src, frame)
		return
	}
	quote := p.ip[:min(len(p.ip), quote4)]
	frame, body := w.ipFrame(c.from, p.src, protoICMP, c.ttl, 8+len(quote))
	body[0], body[1] = k.type4, k.code4
	be.PutUint16(body[6:], uint16(k.mtu))
	copy(body[8:], quote)
	be.PutUint16(body[2:], checksum(0, body))
	c.send(p.src, frame)
}

func (p *packet) isICMPError() bool {
	switch {
	case len(p.body) == 0:
		return false
	case p.proto == protoICM6:
		return p.body[0] < 128
	case p.proto == protoICMP:
		return p.body[0] != 8 && p.body[0] != 0 && p.body[0] != 13 && p.body[0] != 14
	}
	return false
}

// local answers a packet for a router: at is its address, ttl the answer's on
// arrival.
func (w *WAN) local(g *gateway, p *packet, at netip.Addr, ttl uint8, delay time.Duration) {
	if p.later {
		return
	}
	c := complaint{gateway: g, from: at, ttl: ttl, delay: delay}
	switch p.proto {
	case protoICMP, protoICM6:
		w.echo(p, c)
	case protoTCP:
		if s, ok := p.tcp(); ok && !s.has(flagRST) {
			w.sendReset(resetOf(p, s), c)
		}
	case protoUDP:
		w.complain(p, portUnreachable, c)
	default:
		w.complain(p, protocolUnreachable, c)
	}
}

// echo answers an echo request.
func (w *WAN) echo(p *packet, c complaint) {
	request, reply := byte(8), byte(0)
	var sum uint32
	if p.v6 {
		request, reply = 128, 129
		sum = pseudo(c.from, p.src, protoICM6, len(p.body))
	}
	if (p.proto == protoICM6) != p.v6 || len(p.body) < 8 || p.body[0] != request {
		return
	}
	frame, body := w.ipFrame(c.from, p.src, p.proto, c.ttl, len(p.body))
	copy(body, p.body)
	body[0] = reply
	body[2], body[3] = 0, 0
	be.PutUint16(body[2:], checksum(sum, body))
	c.send(p.src, frame)
}

// A reset is what a TCP reset says.
type reset struct {
	src, dst     netip.Addr
	sport, dport uint16
	seq, ack     uint32
	window       uint16
	hasAck       bool
}

// resetOf refuses a segment in its destination's name (RFC 9293, 3.10.7.1), with
// an acknowledgement as firewalls send it.
func resetOf(p *packet, s segment) reset {
	r := reset{src: p.dst, dst: p.src, sport: p.dport, dport: p.sport, ack: s.next(), hasAck: true}
	if s.has(flagACK) {
		r.seq = s.ack()
	}
	return r
}

// sendReset sends r as c says; c's from is not looked at.
func (w *WAN) sendReset(r reset, c complaint) {
	frame, body := w.ipFrame(r.src, r.dst, protoTCP, c.ttl, 20)
	be.PutUint16(body, r.sport)
	be.PutUint16(body[2:], r.dport)
	be.PutUint32(body[4:], r.seq)
	body[12], body[13] = 5<<4, flagRST
	if r.hasAck {
		be.PutUint32(body[8:], r.ack)
		body[13] |= flagACK
	}
	be.PutUint16(body[14:], r.window)
	be.PutUint16(body[16:], checksum(pseudo(r.src, r.dst, protoTCP, len(body)), body))
	c.send(r.dst, frame)
}
