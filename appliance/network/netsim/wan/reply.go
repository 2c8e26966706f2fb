package wan

import (
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// An icmpError is an error message of ICMP, with its type and code in both families.
type icmpError struct {
	type4, code4 uint8
	type6, code6 uint8
	mtu          int // of fragmentationNeeded
}

var (
	timeExceeded        = icmpError{type4: 11, code4: 0, type6: 3, code6: 0}
	netUnreachable      = icmpError{type4: 3, code4: 0, type6: 1, code6: 0}
	hostUnreachable     = icmpError{type4: 3, code4: 1, type6: 1, code6: 3}
	portUnreachable     = icmpError{type4: 3, code4: 3, type6: 1, code6: 4}
	protocolUnreachable = icmpError{type4: 3, code4: 2, type6: 4, code6: 1}
	fragmentationNeeded = icmpError{type4: 3, code4: 4, type6: 2, code6: 0}
	prohibited          = icmpError{type4: 3, code4: 13, type6: 1, code6: 1}
)

// A replyPath says which address answers a packet, and by which way and when the answer
// arrives. It outlives the packet, which may have been forwarded by then.
type replyPath struct {
	gateway *gateway      // which transmits the answer; nil: none is sent
	from    netip.Addr    // source address of the answer
	ttl     uint8         // of the answer when it arrives
	delay   time.Duration // until the answer is transmitted
	// crossings are the observed places that the answer passes.
	crossings []crossing

	// Between neighbors, instead of gateway.
	port   *ether.Port // at which the answer arrives
	sender *ether.Port // which appears to transmit it
}

// isSet reports whether answers can be sent on the path.
func (r *replyPath) isSet() bool { return r.gateway != nil || r.port != nil }

// send sends an answer to an address.
func (r *replyPath) send(to netip.Addr, frame []byte) {
	if r.port != nil {
		setMACs(frame, r.port.MAC(), r.sender.MAC())
		r.port.InjectAfter(r.delay, r.sender, frame)
		return
	}
	r.gateway.wan.showAnswer(r.crossings, r.delay, frame)
	r.gateway.send(to, frame, r.delay, replyPath{})
}

// The number of bytes of a packet that an error quotes.
const (
	quote4 = 548  // RFC 1812, 4.3.2.3
	quote6 = 1232 // RFC 4443, 3.3: as much as fits 1280 bytes
)

// sendICMPError sends an ICMP error about p to its source, unless p is a packet about
// which no errors may be sent.
func (w *WAN) sendICMPError(p *packet, e icmpError, r replyPath) {
	if p.laterFragment || p.isICMPError() || !r.from.IsValid() {
		return
	}
	if p.v6 {
		quote := p.ip[:min(len(p.ip), quote6)]
		frame, body := w.newIPFrame(r.from, p.src, protoICMPv6, r.ttl, 8+len(quote))
		body[0], body[1] = e.type6, e.code6
		be.PutUint32(body[4:], uint32(e.mtu))
		copy(body[8:], quote)
		sum := pseudoHeaderSum(r.from, p.src, protoICMPv6, len(body))
		be.PutUint16(body[2:], checksum(sum, body))
		r.send(p.src, frame)
		return
	}
	quote := p.ip[:min(len(p.ip), quote4)]
	frame, body := w.newIPFrame(r.from, p.src, protoICMP, r.ttl, 8+len(quote))
	body[0], body[1] = e.type4, e.code4
	be.PutUint16(body[6:], uint16(e.mtu))
	copy(body[8:], quote)
	be.PutUint16(body[2:], checksum(0, body))
	r.send(p.src, frame)
}

// isICMPError reports whether the packet is an ICMP message that is not a request or reply.
func (p *packet) isICMPError() bool {
	switch {
	case len(p.body) == 0:
		return false
	case p.proto == protoICMPv6:
		return p.body[0] < 128
	case p.proto == protoICMP:
		return p.body[0] != 8 && p.body[0] != 0 && p.body[0] != 13 && p.body[0] != 14
	}
	return false
}

// answerAsRouter answers a packet that is addressed to a router: it replies to an echo
// request and rejects everything else, as a machine without services.
func (w *WAN) answerAsRouter(p *packet, r replyPath) {
	if p.laterFragment {
		return
	}
	switch p.proto {
	case protoICMP, protoICMPv6:
		w.answerEcho(p, r)
	case protoTCP:
		if s, ok := p.tcp(); ok && !s.has(flagRST) {
			w.sendReset(resetFor(p, s), r)
		}
	case protoUDP:
		w.sendICMPError(p, portUnreachable, r)
	default:
		w.sendICMPError(p, protocolUnreachable, r)
	}
}

// answerEcho replies to p if it is an echo request.
func (w *WAN) answerEcho(p *packet, r replyPath) {
	request, reply := byte(8), byte(0)
	var sum uint32
	if p.v6 {
		request, reply = 128, 129
		sum = pseudoHeaderSum(r.from, p.src, protoICMPv6, len(p.body))
	}
	if (p.proto == protoICMPv6) != p.v6 || len(p.body) < 8 || p.body[0] != request {
		return
	}
	frame, body := w.newIPFrame(r.from, p.src, p.proto, r.ttl, len(p.body))
	copy(body, p.body)
	body[0] = reply
	body[2], body[3] = 0, 0
	be.PutUint16(body[2:], checksum(sum, body))
	r.send(p.src, frame)
}

// A reset is a TCP segment with the flag RST.
type reset struct {
	src, dst     netip.Addr
	sport, dport uint16
	seq, ack     uint32
	window       uint16
	hasAck       bool
}

// resetFor returns the reset with which the destination of a segment rejects it (RFC 9293,
// 3.10.7.1), always with an acknowledgement, as firewalls send it.
func resetFor(p *packet, s segment) reset {
	r := reset{src: p.dst, dst: p.src, sport: p.dport, dport: p.sport, ack: s.next(), hasAck: true}
	if s.has(flagACK) {
		r.seq = s.ack()
	}
	return r
}

// sendReset sends a reset on a path, whose from is ignored.
func (w *WAN) sendReset(x reset, r replyPath) {
	frame, body := w.newIPFrame(x.src, x.dst, protoTCP, r.ttl, 20)
	be.PutUint16(body, x.sport)
	be.PutUint16(body[2:], x.dport)
	be.PutUint32(body[4:], x.seq)
	body[12], body[13] = 5<<4, flagRST
	if x.hasAck {
		be.PutUint32(body[8:], x.ack)
		body[13] |= flagACK
	}
	be.PutUint16(body[14:], x.window)
	be.PutUint16(body[16:], checksum(pseudoHeaderSum(x.src, x.dst, protoTCP, len(body)), body))
	r.send(x.dst, frame)
}
