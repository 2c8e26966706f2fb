package wan

import (
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// forward handles a packet that has been delivered to g: it answers a packet for the
// gateway itself and sends others on.
func (w *WAN) forward(g *gateway, p *packet) {
	if w.isGateway(g, p.dst) {
		crossings := w.showToGateway(g, p)
		w.answerAsRouter(p, replyPath{gateway: g, from: p.dst, ttl: ourTTL, crossings: crossings})
		return
	}
	tr := w.planTransit(g, p)
	// If the source's path does not deliver, the source is cut off and its packets are lost.
	if tr.backPath == nil || tr.backPath.End == EndDeliver {
		w.walk(&tr)
	}
	w.steps = tr.steps[:0]
}

// forwardTrain forwards a train as a whole, if nothing on its way could treat one of its
// frames differently from the others. It reports whether it has done so.
func (g *gateway) forwardTrain(t *ether.Train) bool {
	w := g.wan
	p, ok := parseHeaders(t.Headers())
	if !ok || ether.MAC(p.frame[:6]) != g.mac || !routable(p.src) || !routable(p.dst) ||
		w.isGateway(g, p.dst) {
		return false
	}
	tr := w.planTransit(g, &p)
	defer func() { w.steps = tr.steps[:0] }()
	if !tr.isSteady() || !w.faults.Load().ignoresTrain(&tr, w.isAppliance(p.frame)) ||
		t.MaxPacketLen() > tr.mtu() || tr.isObserved() {
		return false
	}
	mac, ok := tr.to.neighborMAC(p.dst)
	if !ok {
		return false
	}
	tr.decrementTTL(len(tr.steps))
	setMACs(p.frame, mac, tr.to.mac)
	tr.to.port.TransmitTrainAfter(tr.pathDelay, t)
	return true
}

// isGateway reports whether a is an address of g or of the gateway on another segment of the
// appliance, which is the same machine.
func (w *WAN) isGateway(g *gateway, a netip.Addr) bool {
	return g.isLocal(a) || !a.IsLinkLocalUnicast() &&
		slices.ContainsFunc(w.gateways, func(g *gateway) bool { return g.isLocal(a) })
}

// walk checks a packet against each router in order. In the end the packet has been dropped,
// answered or delivered.
func (w *WAN) walk(tr *transit) {
	expires := max(int(tr.ttl), 1) - 1 // the step at which the TTL expires
	faults := w.faults.Load()
	if !w.applyFaults(faults.ofPath(tr.backPath), tr, 0) {
		return
	}
	for i := range tr.steps {
		s := &tr.steps[i]
		if s.gateway {
			if w.pathLoses(tr.backPath) {
				return
			}
			w.showTransit(tr, tr.backPath, false)
		}
		if s.hop != nil && w.randomLoss(s.hop.Loss) {
			return
		}
		if i == expires {
			w.answerTTLExpired(tr, i)
			return
		}
		if s.gateway {
			if !w.applyFaults(faults.gateways, tr, i) {
				return
			}
			w.showTransit(tr, tr.outPath, true)
		}
	}
	if w.pathLoses(tr.outPath) ||
		!tr.toRouter && !w.applyFaults(faults.ofPath(tr.outPath), tr, len(tr.steps)-1) {
		return
	}
	switch {
	case tr.toRouter:
		w.answerAsRouter(tr.packet, replyPath{
			gateway: tr.in, from: tr.dst,
			ttl: ourTTL - uint8(len(tr.steps)), delay: 2*tr.pathDelay + tr.faultDelay,
			crossings: tr.crossingsToSource(len(tr.steps)),
		})
	case tr.to == nil:
		w.answerPathEnd(tr)
	default:
		w.deliver(tr)
	}
}

func (w *WAN) pathLoses(p *path) bool { return p != nil && w.randomLoss(p.Loss) }

// answerTTLExpired answers a packet whose TTL has expired at step i.
func (w *WAN) answerTTLExpired(tr *transit, i int) {
	s := &tr.steps[i]
	if !s.addr.IsValid() || s.hop != nil && s.hop.Silent {
		return
	}
	delay := 2*s.arrival + tr.faultDelay
	if s.hop != nil {
		delay += w.randomJitter(s.hop.Jitter)
	}
	for k := range tr.steps[:i] {
		if h := tr.steps[k].hop; h != nil && w.randomLoss(h.Loss) {
			return // the answer passes the same routers
		}
	}
	reply := replyPath{
		gateway: tr.in, from: s.addr, ttl: ourTTL - uint8(i), delay: delay,
		crossings: tr.crossingsToSource(i),
	}
	w.sendICMPError(tr.packet, timeExceeded, reply)
}

// answerPathEnd answers a packet that cannot be delivered, as the last router on its way.
func (w *WAN) answerPathEnd(tr *transit) {
	e := netUnreachable
	if tr.outPath != nil {
		switch tr.outPath.End {
		case EndHostUnreachable:
			e = hostUnreachable
		case EndProhibited:
			e = prohibited
		case EndSilent:
			return
		}
	}
	w.sendICMPError(tr.packet, e, tr.lastRouterReply())
}

// deliver transmits a packet to its destination, in fragments if necessary.
func (w *WAN) deliver(tr *transit) {
	mtu := tr.mtu()
	if len(tr.ip) > mtu && tr.dontFragment() {
		e := fragmentationNeeded
		e.mtu = mtu
		w.sendICMPError(tr.packet, e, tr.lastRouterReply())
		return
	}
	tr.decrementTTL(len(tr.steps))
	reply := tr.lastRouterReply()
	if len(tr.ip) > mtu {
		tr.fragment(mtu, func(frame []byte) { w.transmit(tr, frame, reply) })
		return
	}
	w.transmit(tr, tr.frame, reply)
}

// transmit transmits the packet's frame, or that of one fragment, after the delays of the
// way.
func (w *WAN) transmit(tr *transit, frame []byte, reply replyPath) {
	if l := tr.orderingLane(); l != nil {
		delay := tr.pathDelay + tr.faultDelay + w.randomJitter(tr.maxJitter())
		l.push(w, delay, queuedPacket{tr.to, tr.dst, slices.Clone(frame), reply})
		return
	}
	tr.to.send(tr.dst, frame, tr.pathDelay+tr.faultDelay, reply)
}

// fragment splits an IPv4 packet and calls send with the frame of each fragment.
func (tr *transit) fragment(mtu int, send func(frame []byte)) {
	header := len(tr.ip) - len(tr.body)
	size := (mtu - header) &^ 7
	field := be.Uint16(tr.ip[6:])
	for at := 0; at < len(tr.body); at += size {
		part := tr.body[at:min(at+size, len(tr.body))]
		frame := make([]byte, etherLen+header+len(part))
		copy(frame, tr.frame[:etherLen+header])
		ip := frame[etherLen:]
		copy(ip[header:], part)
		be.PutUint16(ip[2:], uint16(len(ip)))
		f := field + uint16(at/8)
		if at+len(part) < len(tr.body) {
			f |= 0x2000 // more fragments
		}
		be.PutUint16(ip[6:], f)
		setIPv4Checksum(ip)
		send(frame)
	}
}

// reportUnresolved answers a packet whose neighbor has not answered.
func (w *WAN) reportUnresolved(q pendingPacket) {
	if q.reply.gateway == nil {
		return
	}
	if p, ok := parse(q.frame); ok {
		w.sendICMPError(&p, hostUnreachable, q.reply)
	}
}
