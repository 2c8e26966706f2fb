package wan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// A step is a router that a packet meets on its way.
type step struct {
	addr    netip.Addr    // under which it answers; invalid: it has none of this family
	hop     *Hop          // nil for a gateway that no path describes
	arrival time.Duration // after the packet's start
	gateway bool
}

// A journey is a packet on its way through the WAN.
type journey struct {
	*packet
	in        *gateway
	out, back *path // to the destination and from the source; nil: a wire
	to        *gateway
	steps     []step // the routers in between
	gate      int    // index of the gateway's step
	total     time.Duration
	held      time.Duration // by faults, so far
	lane      *lane         // keeps what faults hold up in order; nil: none does
	router    bool          // the destination is a router of out's
}

// forward handles a packet that came from the wire of g and is for g or for
// somebody beyond it.
func (w *WAN) forward(g *gateway, p *packet) {
	if w.isGateway(g, p.dst) {
		w.local(g, p, p.dst, ourTTL, 0)
		return
	}
	j := w.plan(g, p)
	if j.back == nil || j.back.End == Deliver { // else the source is cut off
		w.walk(&j)
	}
	w.steps = j.steps[:0]
}

// pass sends a train on, if it is one that nothing happens to on its way that could
// happen to one of its frames and not to the others.
func (g *gateway) pass(t *ether.Train) bool {
	w := g.wan
	p, ok := parseHeaders(t.Headers())
	if !ok || ether.MAC(p.frame[:6]) != g.mac || !routable(p.src) || !routable(p.dst) ||
		w.isGateway(g, p.dst) {
		return false
	}
	j := w.plan(g, &p)
	defer func() { w.steps = j.steps[:0] }()
	if !j.smooth() || !w.faults.Load().spares(&j, w.isAppliance(p.frame)) || t.MaxPacketLen() > j.mtu() {
		return false
	}
	mac, ok := j.to.macOf(p.dst)
	if !ok {
		return false
	}
	j.age(len(j.steps))
	address(p.frame, mac, j.to.mac)
	j.to.port.TransmitTrainAfter(j.total, t)
	return true
}

// smooth reports whether the packet arrives, at the time that is expected.
func (j *journey) smooth() bool {
	if j.to == nil || j.router || int(j.ttl) <= len(j.steps) || j.line() != nil {
		return false
	}
	for i := range j.steps {
		if h := j.steps[i].hop; h != nil && h.Loss > 0 {
			return false
		}
	}
	return (j.out == nil || j.out.Loss == 0) &&
		(j.back == nil || j.back.Loss == 0 && j.back.End == Deliver)
}

// isGateway reports whether a is an address of g's own, or of another wire's
// gateway, which is the same machine.
func (w *WAN) isGateway(g *gateway, a netip.Addr) bool {
	return g.isLocal(a) || !a.IsLinkLocalUnicast() &&
		slices.ContainsFunc(w.gateways, func(g *gateway) bool { return g.isLocal(a) })
}

// plan finds the way of a packet.
func (w *WAN) plan(g *gateway, p *packet) journey {
	t := w.table.Load()
	j := journey{packet: p, in: g, to: w.onWire(p.dst), steps: w.steps[:0]}
	if g.site {
		j.back = t.path(p.src)
	}
	last := -1 // the hop of out's that is the destination; -1: none
	if j.to == nil {
		j.out, j.to = t.path(p.dst), t.site(p.dst)
		if r, ok := t.routers[p.dst]; ok && j.to == nil {
			j.out, last, j.router = r.path, r.hop, true
		}
		switch {
		case j.out == nil:
		case j.out.End != Deliver:
			j.to = nil
		case j.to == nil && len(w.sites) > 0:
			j.to = w.sites[0]
		}
	}
	if j.back != nil {
		j.homeward(j.back)
	}
	j.atGateway()
	if j.out != nil {
		j.outward(j.out, last)
	}
	return j
}

// homeward adds the routers of the source's path but for the gateway, last one
// first. One that shares its hop with the source itself is passed by.
func (j *journey) homeward(p *path) {
	j.total += p.Delay
	for i := len(p.Hops) - 1; i > 0; i-- {
		h := &p.Hops[i]
		if !slices.Contains(h.Members, j.src) {
			j.steps = append(j.steps, step{addr: j.choose(h), hop: h, arrival: j.total})
		}
		j.total += h.Delay
	}
}

// atGateway adds the gateway, which answers far and near hosts under the addresses
// that the path gives it.
func (j *journey) atGateway() {
	s := step{addr: j.in.addr(j.v6), gateway: true}
	if j.in.site && j.to != nil {
		s.addr = j.to.addr(j.v6)
	}
	for _, p := range [2]*path{j.out, j.back} {
		if p != nil && len(p.Hops) > 0 {
			s.hop = &p.Hops[0]
			s.addr = j.choose(s.hop)
			break
		}
	}
	if j.out != nil && len(j.out.Hops) > 0 {
		j.total += j.out.Hops[0].Delay
	}
	s.arrival = j.total
	if j.back != nil && len(j.back.Hops) > 0 {
		j.total += j.back.Hops[0].Delay
	}
	j.gate = len(j.steps)
	j.steps = append(j.steps, s)
}

// outward adds the routers of the destination's path but for the gateway. With
// last not negative, that hop is the destination.
func (j *journey) outward(p *path, last int) {
	if last == 0 { // the gateway, under another name
		j.steps = j.steps[:j.gate]
		return
	}
	for i := 1; i < len(p.Hops); i++ {
		h := &p.Hops[i]
		j.total += h.Delay
		if i == last {
			return
		}
		if addr := j.choose(h); addr != j.dst {
			j.steps = append(j.steps, step{addr: addr, hop: h, arrival: j.total})
		}
	}
	j.total += p.Delay
}

// choose picks the member of a hop that the packet meets.
func (j *journey) choose(h *Hop) netip.Addr {
	n := len(h.Members)
	switch {
	case n == 0:
		return netip.Addr{}
	case n == 1:
		return h.Members[0]
	case j.proto == protoUDP:
		return h.Members[(int(j.dport)+h.Seed)%n]
	}
	// FNV-1a over what names the flow. A ping's identifier is part of it, its
	// sequence number is not.
	sum := uint32(2166136261)
	add := func(b byte) { sum = (sum ^ uint32(b)) * 16777619 }
	for _, a := range [2]netip.Addr{j.src, j.dst} {
		for _, b := range a.As16() {
			add(b)
		}
	}
	for _, b := range [6]byte{byte(j.sport >> 8), byte(j.sport), byte(j.dport >> 8), byte(j.dport), j.proto, byte(h.Seed)} {
		add(b)
	}
	return h.Members[int(sum%uint32(n))]
}

// walk takes a packet from router to router until something becomes of it.
func (w *WAN) walk(j *journey) {
	ends := max(int(j.ttl), 1) - 1 // the router at which its TTL ends
	faults := w.faults.Load()
	if !w.firewall(faults.at(j.back), j, 0) {
		return
	}
	for i := range j.steps {
		s := &j.steps[i]
		if s.hop != nil && w.lost(s.hop.Loss) {
			return
		}
		if i == ends {
			w.expire(j, i)
			return
		}
		if s.gateway && !w.firewall(faults.gate, j, i) {
			return
		}
	}
	if w.pathLoses(j.out) || w.pathLoses(j.back) || !j.router && !w.firewall(faults.at(j.out), j, len(j.steps)-1) {
		return
	}
	switch {
	case j.router:
		w.local(j.in, j.packet, j.dst, ourTTL-uint8(len(j.steps)), 2*j.total+j.held)
	case j.to == nil:
		w.refuse(j)
	default:
		w.deliver(j)
	}
}

func (w *WAN) pathLoses(p *path) bool { return p != nil && w.lost(p.Loss) }

// expire answers a packet whose TTL has ended at router number i.
func (w *WAN) expire(j *journey, i int) {
	s := &j.steps[i]
	if !s.addr.IsValid() || s.hop != nil && s.hop.Silent {
		return
	}
	delay := 2*s.arrival + j.held
	if s.hop != nil {
		delay += w.jitter(s.hop.Jitter)
	}
	for k := range j.steps[:i] {
		if h := j.steps[k].hop; h != nil && w.lost(h.Loss) {
			return // the answer crosses the same routers
		}
	}
	w.complain(j.packet, timeExceeded, complaint{gateway: j.in, from: s.addr, ttl: ourTTL - uint8(i), delay: delay})
}

// refuse answers a packet that leads nowhere, from the last router on its way.
func (w *WAN) refuse(j *journey) {
	e := netUnreachable
	if j.out != nil {
		switch j.out.End {
		case HostUnreachable:
			e = hostUnreachable
		case Prohibited:
			e = prohibited
		case Silent:
			return
		}
	}
	w.complain(j.packet, e, j.lastRouter())
}

// lastRouter is the one that complains about a packet that came through all
// others.
func (j *journey) lastRouter() complaint {
	i := len(j.steps) - 1
	if i < 0 || !j.steps[i].addr.IsValid() || j.steps[i].hop != nil && j.steps[i].hop.Silent {
		return complaint{gateway: j.in, from: j.in.addr(j.v6), ttl: ourTTL, delay: j.held}
	}
	return complaint{gateway: j.in, from: j.steps[i].addr, ttl: ourTTL - uint8(i), delay: 2*j.steps[i].arrival + j.held}
}

// mtu is that of the narrowest link on the way.
func (j *journey) mtu() int {
	mtu := min(j.in.port.MTU(), j.to.port.MTU())
	for _, p := range [2]*path{j.out, j.back} {
		if p != nil && p.MTU > 0 {
			mtu = min(mtu, p.MTU)
		}
	}
	return mtu
}

// slack is how much later than total the packet may arrive by jitter.
func (j *journey) slack() time.Duration {
	var d time.Duration
	for _, p := range [2]*path{j.out, j.back} {
		if p != nil {
			d += p.Jitter
		}
	}
	return d
}

// deliver sends a packet to its destination.
func (w *WAN) deliver(j *journey) {
	mtu := j.mtu()
	if len(j.ip) > mtu && j.dontFragment() {
		e := fragmentationNeeded
		e.mtu = mtu
		w.complain(j.packet, e, j.lastRouter())
		return
	}
	j.age(len(j.steps))
	o := origin(j.lastRouter())
	if len(j.ip) > mtu {
		j.fragment(mtu, func(frame []byte) { w.depart(j, frame, o) })
		return
	}
	w.depart(j, j.frame, o)
}

// depart sends a frame of the packet's, or a part of it.
func (w *WAN) depart(j *journey, frame []byte, o origin) {
	if l := j.line(); l != nil {
		l.enter(w, j.total+j.held+w.jitter(j.slack()), departure{j.to, j.dst, slices.Clone(frame), o})
		return
	}
	j.to.send(j.dst, frame, j.total+j.held, o)
}

// A lane keeps the packets of one direction of a path in order where jitter would
// not: each delay lets out the packet that has waited longest.
type lane struct{ queue []departure }

// A departure is a packet that will be sent.
type departure struct {
	by     *gateway
	to     netip.Addr
	frame  []byte
	origin origin
}

// line is the lane that the packet has to take; nil where nothing could change the
// order.
func (j *journey) line() *lane {
	switch {
	case j.out != nil && j.out.Jitter > 0:
		return &j.out.there
	case j.back != nil && j.back.Jitter > 0:
		return &j.back.home
	}
	return j.lane
}

func (l *lane) enter(w *WAN, delay time.Duration, d departure) {
	l.queue = append(l.queue, d)
	w.fabric.After(delay, l.leave)
}

func (l *lane) leave() {
	d := l.queue[0]
	l.queue[0] = departure{}
	l.queue = l.queue[1:]
	d.by.send(d.to, d.frame, 0, d.origin)
}

// fragment splits an IPv4 packet and sends its parts.
func (j *journey) fragment(mtu int, send func(frame []byte)) {
	header := len(j.ip) - len(j.body)
	size := (mtu - header) &^ 7
	field := be.Uint16(j.ip[6:])
	for at := 0; at < len(j.body); at += size {
		part := j.body[at:min(at+size, len(j.body))]
		frame := make([]byte, etherLen+header+len(part))
		copy(frame, j.frame[:etherLen+header])
		ip := frame[etherLen:]
		copy(ip[header:], part)
		be.PutUint16(ip[2:], uint16(len(ip)))
		f := field + uint16(at/8)
		if at+len(part) < len(j.body) {
			f |= 0x2000 // more fragments
		}
		be.PutUint16(ip[6:], f)
		sum4(ip)
		send(frame)
	}
}

// giveUp complains about a packet whose neighbor was not found.
func (w *WAN) giveUp(q waiting) {
	if q.origin.gateway == nil {
		return
	}
	if p, ok := parse(q.frame); ok {
		w.complain(&p, hostUnreachable, complaint(q.origin))
	}
}
