package wan

import (
	"net/netip"
	"slices"
	"time"
)

// A step is a router that a packet meets.
type step struct {
	addr    netip.Addr    // source of its answers; invalid: it has no address of this family
	hop     *Hop          // nil for a gateway that no path describes
	arrival time.Duration // delay of the path up to this router
	gateway bool
}

// A transit is one packet on its way through the WAN.
type transit struct {
	*packet
	in          *gateway      // where the packet came from
	to          *gateway      // where it goes to; nil: it cannot be delivered
	outPath     *path         // to the destination; nil: that is on a segment of the appliance
	backPath    *path         // to the source; nil: that is on a segment of the appliance
	steps       []step        // the routers in between
	gatewayStep int           // index of the gateway's step
	pathDelay   time.Duration // from the source to the destination
	faultDelay  time.Duration // added by faults so far
	faultLane   *lane         // orders the packets that a fault delays; nil: none does
	toRouter    bool          // the destination is a router of outPath
}

// planTransit finds the routers that a packet from g's segment meets.
func (w *WAN) planTransit(g *gateway, p *packet) transit {
	t := w.table.Load()
	tr := transit{packet: p, in: g, to: w.gatewayOn(p.dst), steps: w.steps[:0]}
	if g.isSite {
		tr.backPath = t.path(p.src)
	}
	last := -1 // the hop of outPath that is the destination; -1: none is
	if tr.to == nil {
		tr.outPath, tr.to = t.path(p.dst), t.site(p.dst)
		if r, ok := t.routers[p.dst]; ok && tr.to == nil {
			tr.outPath, last, tr.toRouter = r.path, r.hop, true
		}
		switch {
		case tr.outPath == nil:
		case tr.outPath.End != EndDeliver:
			tr.to = nil
		case tr.to == nil && len(w.sites) > 0:
			tr.to = w.sites[0]
		}
	}
	if tr.backPath != nil {
		tr.addBackPath(tr.backPath)
	}
	tr.addGateway()
	if tr.outPath != nil {
		tr.addOutPath(tr.outPath, last)
	}
	return tr
}

// addBackPath adds the routers of the path to the source, except for the gateway, in
// reverse order. A hop of which the source itself is a member is left out.
func (tr *transit) addBackPath(p *path) {
	tr.pathDelay += p.Delay
	for i := len(p.Hops) - 1; i > 0; i-- {
		h := &p.Hops[i]
		if !slices.Contains(h.Members, tr.src) {
			s := step{addr: tr.chooseMember(h), hop: h, arrival: tr.pathDelay}
			tr.steps = append(tr.steps, s)
		}
		tr.pathDelay += h.Delay
	}
}

// addGateway adds the gateway, which answers under the addresses that the path's first hop
// gives it, or under its own if there is no path.
func (tr *transit) addGateway() {
	s := step{addr: tr.in.addr(tr.v6), gateway: true}
	if tr.in.isSite && tr.to != nil {
		s.addr = tr.to.addr(tr.v6)
	}
	for _, p := range [2]*path{tr.outPath, tr.backPath} {
		if p != nil && len(p.Hops) > 0 {
			s.hop = &p.Hops[0]
			s.addr = tr.chooseMember(s.hop)
			break
		}
	}
	if tr.outPath != nil && len(tr.outPath.Hops) > 0 {
		tr.pathDelay += tr.outPath.Hops[0].Delay
	}
	s.arrival = tr.pathDelay
	if tr.backPath != nil && len(tr.backPath.Hops) > 0 {
		tr.pathDelay += tr.backPath.Hops[0].Delay
	}
	tr.gatewayStep = len(tr.steps)
	tr.steps = append(tr.steps, s)
}

// addOutPath adds the routers of the path to the destination, except for the gateway. If
// last is not negative, that hop is the destination.
func (tr *transit) addOutPath(p *path, last int) {
	if last == 0 { // the destination is the gateway, under an address of the path
		tr.steps = tr.steps[:tr.gatewayStep]
		return
	}
	for i := 1; i < len(p.Hops); i++ {
		h := &p.Hops[i]
		tr.pathDelay += h.Delay
		if i == last {
			return
		}
		if addr := tr.chooseMember(h); addr != tr.dst {
			tr.steps = append(tr.steps, step{addr: addr, hop: h, arrival: tr.pathDelay})
		}
	}
	tr.pathDelay += p.Delay
}

// chooseMember returns the member of a hop that the packet meets.
func (tr *transit) chooseMember(h *Hop) netip.Addr {
	n := len(h.Members)
	switch {
	case n == 0:
		return netip.Addr{}
	case n == 1:
		return h.Members[0]
	case tr.proto == protoUDP:
		return h.Members[(int(tr.dport)+h.Seed)%n]
	}
	// FNV-1a over the identity of the flow. That includes the identifier of a ping, but not
	// its sequence number.
	sum := uint32(2166136261)
	add := func(b byte) { sum = (sum ^ uint32(b)) * 16777619 }
	for _, a := range [2]netip.Addr{tr.src, tr.dst} {
		for _, b := range a.As16() {
			add(b)
		}
	}
	for _, b := range [6]byte{
		byte(tr.sport >> 8), byte(tr.sport), byte(tr.dport >> 8), byte(tr.dport),
		tr.proto, byte(h.Seed),
	} {
		add(b)
	}
	return h.Members[int(sum%uint32(n))]
}

// isSteady reports whether the packet is certain to be delivered after pathDelay: nothing
// on its way loses packets or varies their delay. Faults are not considered.
func (tr *transit) isSteady() bool {
	if tr.to == nil || tr.toRouter || int(tr.ttl) <= len(tr.steps) || tr.orderingLane() != nil {
		return false
	}
	for i := range tr.steps {
		if h := tr.steps[i].hop; h != nil && h.Loss > 0 {
			return false
		}
	}
	return (tr.outPath == nil || tr.outPath.Loss == 0) &&
		(tr.backPath == nil || tr.backPath.Loss == 0 && tr.backPath.End == EndDeliver)
}

// lastRouterReply returns the reply path of the last router, which answers packets that
// have passed all others. If that router does not answer, the gateway does.
func (tr *transit) lastRouterReply() replyPath {
	i := len(tr.steps) - 1
	if i < 0 || !tr.steps[i].addr.IsValid() || tr.steps[i].hop != nil && tr.steps[i].hop.Silent {
		return replyPath{
			gateway: tr.in, from: tr.in.addr(tr.v6), ttl: ourTTL, delay: tr.faultDelay,
			crossings: tr.crossingsToSource(tr.gatewayStep),
		}
	}
	s := &tr.steps[i]
	return replyPath{
		gateway: tr.in, from: s.addr, ttl: ourTTL - uint8(i), delay: 2*s.arrival + tr.faultDelay,
		crossings: tr.crossingsToSource(i),
	}
}

// mtu returns the smallest MTU on the way.
func (tr *transit) mtu() int {
	mtu := min(tr.in.port.MTU(), tr.to.port.MTU())
	for _, p := range [2]*path{tr.outPath, tr.backPath} {
		if p != nil && p.MTU > 0 {
			mtu = min(mtu, p.MTU)
		}
	}
	return mtu
}

// maxJitter returns the maximum delay that jitter adds to pathDelay.
func (tr *transit) maxJitter() time.Duration {
	var d time.Duration
	for _, p := range [2]*path{tr.outPath, tr.backPath} {
		if p != nil {
			d += p.Jitter
		}
	}
	return d
}
