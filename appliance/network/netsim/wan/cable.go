package wan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// FrameFilter is what the faults do to frames on a cable that they call by this name. With
// neighbour set it is a machine's on a wire of the appliance's: then the gateways' faults
// hold, too, for what it and its neighbours say to each other, which passes no
// gateway. They are for IP packets, and not for neighbor discovery, without which nobody
// would find out who is to be spoken to; a cable's are for every frame.
func (w *WAN) FrameFilter(cable string, neighbour bool) ether.FrameFilter {
	return func(from, to *ether.Port, frame []byte) (time.Duration, bool) {
		set := w.faults.Load()
		out := w.isAppliance(frame)
		p, ip := look(frame)
		e := neighbours{from: from, to: to, packet: &p}
		v := w.ask(set.cables[cable], &p, out, e)
		if v.pass && neighbour && ip && !p.isDiscovery() && !w.hasPort(from) && !w.hasPort(to) {
			x := w.ask(set.gate, &p, out, e)
			v.pass, v.held = x.pass, v.held+x.held
		}
		return v.held, v.pass
	}
}

// look reads a frame of any kind, in a VLAN or not. What is no IP packet has a frame
// only.
func look(frame []byte) (p packet, ip bool) {
	if be.Uint16(frame[12:]) == typeVLAN && len(frame) >= etherLen+4 {
		frame = slices.Concat(frame[:12], frame[16:])
	}
	if t := be.Uint16(frame[12:]); t == typeIPv4 || t == typeIPv6 {
		if p, ip = parse(frame); ip {
			return p, true
		}
	}
	return packet{frame: frame}, false
}

// hasPort reports whether a port is one of the gateways'.
func (w *WAN) hasPort(p *ether.Port) bool {
	for _, g := range w.gateways {
		if g.port == p {
			return true
		}
	}
	return false
}

// neighbours are the ends of a frame's way over one wire. An answer comes from the
// machine at the other end, as if its own firewall had sent it.
type neighbours struct {
	from, to *ether.Port
	packet   *packet
}

func (n neighbours) source() complaint {
	c := complaint{from: n.packet.dst, ttl: ourTTL, port: n.from, sender: n.to}
	if !routable(c.from) && !c.from.IsLinkLocalUnicast() {
		c.from = netip.Addr{} // nobody's own
	}
	return c
}

func (n neighbours) destination() complaint {
	return complaint{ttl: ourTTL, port: n.to, sender: n.from}
}
