package wan

import (
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// A faultSet holds all faults by the place where they are evaluated. It is replaced, never
// changed.
type faultSet struct {
	gateways []*Fault
	paths    map[string][]*Fault
	cables   map[string][]*Fault
}

// SetFaults replaces all faults. At each place they are evaluated in the order given. A fault that
// was set before keeps its state.
func (w *WAN) SetFaults(faults []*Fault) {
	set := &faultSet{paths: make(map[string][]*Fault), cables: make(map[string][]*Fault)}
	for _, f := range faults {
		switch {
		case f.Path != "":
			set.paths[f.Path] = append(set.paths[f.Path], f)
		case f.Cable != "":
			set.cables[f.Cable] = append(set.cables[f.Cable], f)
		default:
			set.gateways = append(set.gateways, f)
		}
	}
	w.faults.Store(set)
}

// ofPath returns the faults that are evaluated at the far end of a path.
func (s *faultSet) ofPath(p *path) []*Fault {
	if p == nil || len(s.paths) == 0 {
		return nil
	}
	return s.paths[p.Name]
}

// ignoresTrain reports whether no fault can apply to any frame of a train.
func (s *faultSet) ignoresTrain(tr *transit, out bool) bool {
	applies := func(f *Fault) bool { return f.hasDataLimit() || f.matches(tr.packet, out) }
	return len(s.ofPath(tr.outPath)) == 0 && len(s.ofPath(tr.backPath)) == 0 &&
		!slices.ContainsFunc(s.gateways, applies)
}

// isAppliance reports whether a frame comes from the appliance.
func (w *WAN) isAppliance(frame []byte) bool {
	mac := ether.MAC(frame[6:12])
	if slices.Contains(w.applianceMACs, mac) {
		return true
	}
	others := w.otherMACs.Load()
	return others != nil && (*others)[mac]
}

// SetOtherAppliances makes frames from these MACs count as an appliance's too: see
// Options.ApplianceMACs. The caller must not change macs afterwards.
func (w *WAN) SetOtherAppliances(macs map[ether.MAC]bool) { w.otherMACs.Store(&macs) }

// ends are the reply paths to both ends of a packet's way, from the place where a fault
// rejects it.
type ends interface {
	source() replyPath
	// destination returns a replyPath that is not set if the packet has no destination.
	destination() replyPath
}

// routerEnds are the ends of the way of a packet at one of its routers.
type routerEnds struct {
	*transit
	router int // index of the router's step
}

// source returns the path of the router's answers to the packet's source.
func (s routerEnds) source() replyPath {
	c := replyPath{
		gateway: s.in, from: s.in.addr(s.v6), ttl: ourTTL, delay: s.faultDelay,
		crossings: s.crossingsToSource(s.router),
	}
	if s.router < len(s.steps) {
		x := &s.steps[s.router]
		c.ttl -= uint8(s.router)
		c.delay += 2 * x.arrival
		if x.addr.IsValid() {
			c.from = x.addr
		}
	}
	return c
}

// destination returns the path to the packet's destination. A reset on it arrives after all
// packets that have passed before.
func (s routerEnds) destination() replyPath {
	return replyPath{
		gateway: s.to, ttl: ourTTL - uint8(len(s.steps)-1-s.router),
		delay:     s.pathDelay + s.faultDelay + s.maxJitter(),
		crossings: s.crossingsToDestination(s.router),
	}
}

// applyFaults reports whether a packet passes the faults at a router. If not, the packet has
// been answered as the fault demands.
func (w *WAN) applyFaults(faults []*Fault, tr *transit, router int) bool {
	if len(faults) == 0 {
		return true
	}
	// These copies are allocated on the heap, so that tr itself is not: a packet that meets
	// no faults costs no allocation.
	x, p := *tr, *tr.packet
	x.packet = &p
	v := w.evaluate(faults, &p, w.isAppliance(p.frame), routerEnds{&x, router})
	tr.faultDelay += v.delay
	if tr.faultLane == nil {
		tr.faultLane = v.lane
	}
	return v.pass
}

// A verdict says what happens to a packet.
type verdict struct {
	pass  bool
	delay time.Duration
	lane  *lane // orders the packets that are delayed; nil: the packet is not
}

// evaluate applies faults to a packet and answers it if they reject it. out tells whether it
// comes from the appliance.
func (w *WAN) evaluate(faults []*Fault, p *packet, out bool, e ends) verdict {
	v := verdict{pass: true}
	for _, f := range faults {
		if f.reachesLimit(p) {
			w.resetBoth(p, e)
		}
	}
	dir := 0
	if out {
		dir = 1
	}
	for _, f := range faults {
		if !f.matches(p, out) {
			continue
		}
		c, side := f.track(p)
		if !f.includes(c) || f.hasDataLimit() && f.withinLimit(c, side, p) ||
			f.Action == Refuse && !p.opensFlow() {
			continue
		}
		switch f.Action {
		case Pass:
			f.countHit(c, p)
			return v
		case Lose:
			if !w.randomLoss(f.Loss) {
				continue
			}
		case Delay, LimitRate:
			d, ok := f.delay(len(p.frame), dir, w.machineClock.Mark(), w.randomJitter)
			if ok {
				f.countHit(c, p)
				v.delay += d
				v.lane = &f.lanes[dir]
				continue
			}
		}
		f.countHit(c, p)
		w.reject(f.Action, p, e)
		return verdict{}
	}
	return v
}

// opensFlow reports whether a packet opens a TCP connection or is a datagram of UDP.
func (p *packet) opensFlow() bool {
	if s, ok := p.tcp(); ok {
		return s.has(flagSYN) && !s.has(flagACK)
	}
	return p.proto == protoUDP
}

// reject answers a packet that does not pass.
func (w *WAN) reject(a Action, p *packet, e ends) {
	if p.ip == nil {
		return // only IP packets can be answered
	}
	switch a {
	case Prohibit:
		w.sendICMPError(p, prohibited, e.source())
	case NetUnreachable:
		w.sendICMPError(p, netUnreachable, e.source())
	case HostUnreachable:
		w.sendICMPError(p, hostUnreachable, e.source())
	case Reset, Refuse:
		s, ok := p.tcp()
		switch {
		case !ok && p.proto == protoTCP || ok && s.has(flagRST):
			return // nothing to answer
		case !ok:
			w.sendICMPError(p, portUnreachable, e.source())
			return
		}
		w.sendReset(resetFor(p, s), e.source())
		if to := e.destination(); !s.has(flagSYN) && to.isSet() {
			w.sendReset(reset{
				src: p.src, dst: p.dst, sport: p.sport, dport: p.dport,
				seq: s.seq(), ack: s.ack(), hasAck: s.has(flagACK),
			}, to)
		}
	}
}

// resetBoth resets both ends of a connection after p, which acknowledges all data that may
// pass.
func (w *WAN) resetBoth(p *packet, e ends) {
	s, _ := p.tcp()
	toDst := reset{
		src: p.src, dst: p.dst, sport: p.sport, dport: p.dport,
		seq: s.next(), ack: s.ack(), window: s.window(), hasAck: true,
	}
	toSrc := reset{
		src: p.dst, dst: p.src, sport: p.dport, dport: p.sport,
		seq: s.ack(), ack: s.next(), hasAck: true,
	}
	dst, src := e.destination(), e.source()
	// p has not been transmitted yet; that happens before the next event.
	w.fabric.After(0, func() {
		if dst.isSet() {
			w.sendReset(toDst, dst)
		}
		w.sendReset(toSrc, src)
	})
}
