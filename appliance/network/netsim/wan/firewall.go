package wan

import (
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// A faultSet is the faults by the place where they are asked. It is not changed.
type faultSet struct {
	gate   []*Fault
	paths  map[string][]*Fault
	cables map[string][]*Fault
}

// SetFaults replaces all faults. In each place they are asked in this order. A fault that
// stays keeps what it remembers.
func (w *WAN) SetFaults(faults []*Fault) {
	set := &faultSet{paths: make(map[string][]*Fault), cables: make(map[string][]*Fault)}
	for _, f := range faults {
		switch {
		case f.Path != "":
			set.paths[f.Path] = append(set.paths[f.Path], f)
		case f.Cable != "":
			set.cables[f.Cable] = append(set.cables[f.Cable], f)
		default:
			set.gate = append(set.gate, f)
		}
	}
	w.faults.Store(set)
}

// at is the faults of a path's far end.
func (s *faultSet) at(p *path) []*Fault {
	if p == nil || len(s.paths) == 0 {
		return nil
	}
	return s.paths[p.Name]
}

// spares reports whether no fault can do anything to any frame of a train that the
// journey is of.
func (s *faultSet) spares(j *journey, out bool) bool {
	return len(s.at(j.out)) == 0 && len(s.at(j.back)) == 0 &&
		!slices.ContainsFunc(s.gate, func(f *Fault) bool { return f.counts() || f.matches(j.packet, out) })
}

// isAppliance reports whether a frame comes from the appliance.
func (w *WAN) isAppliance(frame []byte) bool {
	return slices.Contains(w.appliance, ether.MAC(frame[6:12]))
}

// The ends of a packet's way, as whoever refuses it speaks to them.
type ends interface {
	source() complaint
	// destination's gateway and port are nil if there is none.
	destination() complaint
}

// A stop is a packet at one of the routers on its way.
type stop struct {
	*journey
	router int // index of its step
}

// source is how the packet's source hears of it.
func (s stop) source() complaint {
	c := complaint{gateway: s.in, from: s.in.addr(s.v6), ttl: ourTTL, delay: s.held}
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

// destination hears after all that was let through.
func (s stop) destination() complaint {
	return complaint{gateway: s.to, ttl: ourTTL - uint8(len(s.steps)-1-s.router), delay: s.total + s.held + s.slack()}
}

// firewall reports whether a packet passes the faults at a router; it answers one that
// does not.
func (w *WAN) firewall(faults []*Fault, j *journey, router int) bool {
	if len(faults) == 0 {
		return true
	}
	// Copies go to the heap, so that without faults nothing has to.
	x, p := *j, *j.packet
	x.packet = &p
	v := w.ask(faults, &p, w.isAppliance(p.frame), stop{&x, router})
	j.held += v.held
	if j.lane == nil {
		j.lane = v.lane
	}
	return v.pass
}

// A verdict is what becomes of a packet.
type verdict struct {
	pass bool
	held time.Duration
	lane *lane // keeps those that are held in order; nil: none is
}

// ask asks faults about a packet and does what they say.
func (w *WAN) ask(faults []*Fault, p *packet, out bool, e ends) verdict {
	v := verdict{pass: true}
	for _, f := range faults {
		if f.completes(p) {
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
		if !f.means(c) || f.counts() && f.allows(c, side, p) || f.Action == Refuse && !p.opens() {
			continue
		}
		switch f.Action {
		case Pass:
			f.hit(c)
			return v
		case Lose:
			if !w.lost(f.Loss) {
				continue
			}
		case Hold, Limit:
			d, ok := f.holds(len(p.frame), dir, w.machine.Mark(), w.jitter)
			if ok {
				f.hit(c)
				v.held += d
				v.lane = &f.lanes[dir]
				continue
			}
		}
		f.hit(c)
		w.act(f.Action, p, e)
		return verdict{}
	}
	return v
}

// opens reports whether a packet asks for something that can be refused.
func (p *packet) opens() bool {
	if s, ok := p.tcp(); ok {
		return s.has(flagSYN) && !s.has(flagACK)
	}
	return p.proto == protoUDP
}

// act answers a packet that is not let pass.
func (w *WAN) act(a Action, p *packet, e ends) {
	if p.ip == nil {
		return // nobody would understand
	}
	switch a {
	case Prohibit:
		w.complain(p, prohibited, e.source())
	case NetUnreach:
		w.complain(p, netUnreachable, e.source())
	case HostUnreach:
		w.complain(p, hostUnreachable, e.source())
	case Reset, Refuse:
		s, ok := p.tcp()
		switch {
		case !ok && p.proto == protoTCP || ok && s.has(flagRST):
			return // nothing to answer
		case !ok:
			w.complain(p, portUnreachable, e.source())
			return
		}
		w.sendReset(resetOf(p, s), e.source())
		if to := e.destination(); !s.has(flagSYN) && to.leads() {
			sender := reset{src: p.src, dst: p.dst, sport: p.sport, dport: p.dport, seq: s.seq(), ack: s.ack(), hasAck: s.has(flagACK)}
			w.sendReset(sender, to)
		}
	}
}

// resetBoth resets a connection of which p acknowledges all that may pass.
// The acknowledgement itself goes on its way first.
func (w *WAN) resetBoth(p *packet, e ends) {
	s, _ := p.tcp()
	sender := reset{src: p.src, dst: p.dst, sport: p.sport, dport: p.dport, seq: s.next(), ack: s.ack(), window: s.window(), hasAck: true}
	receiver := reset{src: p.dst, dst: p.src, sport: p.dport, dport: p.sport, seq: s.ack(), ack: s.next(), hasAck: true}
	to, back := e.destination(), e.source()
	// This packet has not been sent yet: let it be, then reset both ends.
	w.fabric.After(0, func() {
		if to.leads() {
			w.sendReset(sender, to)
		}
		w.sendReset(receiver, back)
	})
}
