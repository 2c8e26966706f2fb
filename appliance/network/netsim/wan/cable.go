package wan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// FrameFilter returns a filter that applies the faults of the cable with the given name to
// every frame on it. If neighbor is true, the cable belongs to a machine on a segment of the
// appliance. Then the filter also applies the gateways' faults to IP packets between that
// machine and its neighbors, because these pass no gateway. Messages of neighbor discovery
// are exempt from the gateways' faults, as ARP is; without them the neighbors could not
// find each other.
func (w *WAN) FrameFilter(cable string, neighbor bool) ether.FrameFilter {
	return func(from, to *ether.Port, frame []byte) (time.Duration, bool) {
		set := w.faults.Load()
		out := w.isAppliance(frame)
		p, ip := parseAny(frame)
		e := neighborEnds{from: from, to: to, packet: &p}
		v := w.evaluate(set.cables[cable], &p, out, e)
		if v.pass && neighbor && ip && !p.isDiscovery() && !w.ownsPort(from) && !w.ownsPort(to) {
			v2 := w.evaluate(set.gateways, &p, out, e)
			v.pass, v.delay = v2.pass, v.delay+v2.delay
		}
		return v.delay, v.pass
	}
}

// parseAny parses a frame of any kind, with or without a VLAN tag. ip reports whether it is
// an IP packet; if not, only the frame of p is set.
func parseAny(frame []byte) (p packet, ip bool) {
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

// ownsPort reports whether a port belongs to one of the gateways.
func (w *WAN) ownsPort(p *ether.Port) bool {
	for _, g := range w.gateways {
		if g.port == p {
			return true
		}
	}
	return false
}

// neighborEnds are the ends of a frame's way on one segment. Answers come from the machine
// at the other end, as if its own firewall had sent them.
type neighborEnds struct {
	from, to *ether.Port
	packet   *packet
}

func (n neighborEnds) source() replyPath {
	c := replyPath{from: n.packet.dst, ttl: ourTTL, port: n.from, sender: n.to}
	if !routable(c.from) && !c.from.IsLinkLocalUnicast() {
		c.from = netip.Addr{} // it is not the address of one machine
	}
	return c
}

func (n neighborEnds) destination() replyPath {
	return replyPath{ttl: ourTTL, port: n.to, sender: n.from}
}
