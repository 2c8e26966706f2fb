package wan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

const (
	neighborLife  = 20 * time.Minute
	neighborTries = 3 // a second apart
	neighborQueue = 16
	neighborLimit = 4096
)

// A gateway is a running Gateway. It is used by the pump only.
type gateway struct {
	wan          *WAN
	isSite       bool // at a site, not on a segment of the appliance
	port         *ether.Port
	mac          ether.MAC
	onlyNeighbor ether.MAC // zero: neighbors are resolved by ARP and neighbor discovery
	addrs        []netip.Prefix
	local        []netip.Addr // its own addresses, including the link-local one
	neighbors    map[netip.Addr]*neighbor
}

// A neighbor is a machine on the gateway's segment, or an address that is being resolved.
type neighbor struct {
	mac     ether.MAC
	known   bool // mac is valid
	expires clock.Mark
	tries   int // solicitations since the last answer; 0: none is outstanding
	pending []pendingPacket
}

// A pendingPacket is a packet whose neighbor is being resolved.
type pendingPacket struct {
	frame []byte
	at    clock.Mark // when it is due
	reply replyPath  // for "host unreachable", if the neighbor does not answer
}

func newGateway(w *WAN, c Gateway, site bool) *gateway {
	g := &gateway{
		wan: w, isSite: site, mac: c.MAC, onlyNeighbor: c.OnlyNeighbor, addrs: c.Addrs,
		neighbors: make(map[netip.Addr]*neighbor),
	}
	for _, p := range c.Addrs {
		g.local = append(g.local, p.Addr())
	}
	g.local = append(g.local, LinkLocalAddr(c.MAC))
	g.port = c.Segment.NewNodePort(c.Name, c.MAC, c.MTU, g.receive)
	g.port.HandleTrains(g.forwardTrain)
	return g
}

// GatewayPort returns the port of the gateway with a name, nil if there is none.
func (w *WAN) GatewayPort(name string) *ether.Port {
	for _, g := range w.gateways {
		if g.port.Name() == name {
			return g.port
		}
	}
	return nil
}

// LinkLocalAddr returns the link-local IPv6 address that a machine derives from its MAC (RFC
// 4291, appendix A).
func LinkLocalAddr(m ether.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80,
		8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5],
	})
}

// addr returns the gateway's first address of a family, an invalid one if it has none.
func (g *gateway) addr(v6 bool) netip.Addr {
	for _, a := range g.local {
		if a.Is6() == v6 {
			return a
		}
	}
	return netip.Addr{}
}

func (g *gateway) isLocal(a netip.Addr) bool { return slices.Contains(g.local, a) }

// receive handles a frame that is delivered to the gateway.
func (g *gateway) receive(frame []byte) {
	switch be.Uint16(frame[12:]) {
	case typeARP:
		g.handleARP(frame)
	case typeIPv4, typeIPv6:
		p := &g.wan.received
		*p = packet{}
		if !p.parse(frame) || g.handleNDP(p) || ether.MAC(frame[:6]) != g.mac ||
			!routable(p.src) || !routable(p.dst) && !g.isLocal(p.dst) {
			return
		}
		g.wan.forward(g, p)
	}
}

// routable reports whether routers forward packets from and to a.
func routable(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// handleARP handles an ARP message: it learns the sender's MAC and answers a request for
// one of the gateway's addresses.
func (g *gateway) handleARP(frame []byte) {
	if len(frame) < etherLen+28 {
		return
	}
	a := frame[etherLen : etherLen+28]
	if be.Uint32(a) != 0x00010800 || a[4] != 6 || a[5] != 4 {
		return // not IPv4 over Ethernet
	}
	mac := ether.MAC(a[8:14])
	sender, target := netip.AddrFrom4([4]byte(a[14:18])), netip.AddrFrom4([4]byte(a[24:28]))
	own := g.isLocal(target)
	if !sender.IsUnspecified() {
		g.learn(sender, mac, own)
	}
	if op := be.Uint16(a[6:]); op == 1 && own {
		g.sendARP(mac, 2, target, mac, sender)
	}
}

func (g *gateway) sendARP(
	to ether.MAC, op uint16, sender netip.Addr, mac ether.MAC, target netip.Addr,
) {
	var frame [etherLen + 28]byte
	setMACs(frame[:], to, g.mac)
	be.PutUint16(frame[12:], typeARP)
	a := frame[etherLen:]
	be.PutUint32(a, 0x00010800)
	a[4], a[5] = 6, 4
	be.PutUint16(a[6:], op)
	copy(a[8:], g.mac[:])
	copy(a[14:], sender.AsSlice())
	copy(a[18:], mac[:])
	copy(a[24:], target.AsSlice())
	g.port.Transmit(frame[:])
}

// ICMPv6 types of neighbor discovery (RFC 4861).
const (
	neighborSolicitation  = 135
	neighborAdvertisement = 136
	sourceLinkAddress     = 1
	targetLinkAddress     = 2
)

// isDiscovery reports whether the packet is a message of neighbor discovery.
func (p *packet) isDiscovery() bool {
	return p.v6 && p.proto == protoICMPv6 && !p.laterFragment && len(p.body) >= 8 &&
		p.body[0] >= 133 && p.body[0] <= 137
}

// handleNDP is handleARP for IPv6. It reports whether p is a message of neighbor discovery.
func (g *gateway) handleNDP(p *packet) bool {
	if !p.isDiscovery() {
		return false
	}
	// A message with the full hop limit comes from this segment.
	if p.ttl != 255 || len(p.body) < 24 ||
		checksum(pseudoHeaderSum(p.src, p.dst, protoICMPv6, len(p.body)), p.body) != 0 {
		return true
	}
	target := netip.AddrFrom16([16]byte(p.body[8:24]))
	switch p.body[0] {
	case neighborSolicitation:
		own := g.isLocal(target)
		if mac, ok := linkOption(p.body[24:], sourceLinkAddress); ok && !p.src.IsUnspecified() {
			g.learn(p.src, mac, own)
		}
		if own {
			g.advertise(p, target)
		}
	case neighborAdvertisement:
		if mac, ok := linkOption(p.body[24:], targetLinkAddress); ok {
			g.learn(target, mac, false)
		}
	}
	return true
}

// linkOption returns the link-layer address in the options of a message, and reports
// whether there is one.
func linkOption(options []byte, kind byte) (ether.MAC, bool) {
	for len(options) >= 8 {
		length := int(options[1]) * 8
		if length == 0 || length > len(options) {
			break
		}
		if options[0] == kind {
			return ether.MAC(options[2:8]), true
		}
		options = options[length:]
	}
	return ether.MAC{}, false
}

// advertise answers the neighbor solicitation p for target.
func (g *gateway) advertise(p *packet, target netip.Addr) {
	to, mac, flags := p.src, ether.MAC(p.frame[6:12]), byte(0xe0) // router, solicited, override
	if to.IsUnspecified() {                                       // duplicate address detection
		to, mac, flags = netip.IPv6LinkLocalAllNodes(), ether.MAC{0x33, 0x33, 0, 0, 0, 1}, 0xa0
	}
	frame := g.ndpFrame(mac, target, to, neighborAdvertisement, target, targetLinkAddress)
	frame[etherLen+ipv6Len+4] = flags
	g.sendICMP6(frame, target, to)
}

func (g *gateway) ndpFrame(
	mac ether.MAC, src, dst netip.Addr, kind byte, target netip.Addr, option byte,
) []byte {
	frame, body := g.wan.newIPFrame(src, dst, protoICMPv6, 255, 32)
	setMACs(frame, mac, g.mac)
	body[0] = kind
	copy(body[8:], target.AsSlice())
	body[24], body[25] = option, 1
	copy(body[26:], g.mac[:])
	return frame
}

func (g *gateway) sendICMP6(frame []byte, src, dst netip.Addr) {
	body := frame[etherLen+ipv6Len:]
	be.PutUint16(body[2:], checksum(pseudoHeaderSum(src, dst, protoICMPv6, len(body)), body))
	g.port.Transmit(frame)
}

// learn records the MAC of the neighbor a. An unknown neighbor that is not being resolved is
// recorded only if it has asked for one of the gateway's addresses.
func (g *gateway) learn(a netip.Addr, mac ether.MAC, askedForGateway bool) {
	n := g.neighbors[a]
	if n == nil {
		if !askedForGateway || len(g.neighbors) >= neighborLimit {
			return
		}
		n = &neighbor{}
		g.neighbors[a] = n
	}
	n.mac, n.known, n.tries = mac, true, 0
	n.expires = g.wan.machineClock.Mark() + clock.Mark(neighborLife)
	pending := n.pending
	n.pending = nil
	for _, q := range pending {
		setMACs(q.frame, mac, g.mac)
		g.port.TransmitAt(q.at, q.frame)
	}
}

// neighborMAC returns the MAC of the neighbor a. ok is false if it is unknown or has
// expired.
func (g *gateway) neighborMAC(a netip.Addr) (mac ether.MAC, ok bool) {
	if g.onlyNeighbor != (ether.MAC{}) {
		return g.onlyNeighbor, true
	}
	n := g.neighbors[a]
	if n == nil || !n.known || g.wan.machineClock.Mark() >= n.expires {
		return mac, false
	}
	return n.mac, true
}

// send transmits an IP frame to the neighbor a once delay has passed. The caller must not
// use the frame afterwards. If the neighbor does not answer, "host unreachable" is sent on
// reply.
func (g *gateway) send(a netip.Addr, frame []byte, delay time.Duration, reply replyPath) {
	if mac, ok := g.neighborMAC(a); ok {
		setMACs(frame, mac, g.mac)
		g.port.RelayAfter(delay, frame)
		return
	}
	n := g.neighbors[a]
	now := g.wan.machineClock.Mark()
	if n == nil {
		if len(g.neighbors) >= neighborLimit {
			return
		}
		n = &neighbor{}
		g.neighbors[a] = n
	}
	if n.known {
		setMACs(frame, n.mac, g.mac)
		g.port.RelayAfter(delay, frame)
	} else if len(n.pending) < neighborQueue {
		due := now + clock.Mark(delay)
		n.pending = append(n.pending, pendingPacket{slices.Clone(frame), due, reply})
	}
	if n.tries == 0 {
		g.resolve(a, n)
	}
}

// resolve solicits the neighbor a once a second until it answers, and gives up after
// neighborTries.
func (g *gateway) resolve(a netip.Addr, n *neighbor) {
	if n.tries == neighborTries {
		delete(g.neighbors, a)
		for _, q := range n.pending {
			g.wan.reportUnresolved(q)
		}
		return
	}
	n.tries++
	try := n.tries
	g.solicit(a)
	g.wan.fabric.After(time.Second, func() {
		if g.neighbors[a] == n && n.tries == try {
			g.resolve(a, n)
		}
	})
}

// solicit sends one ARP request or neighbor solicitation.
func (g *gateway) solicit(a netip.Addr) {
	if a.Is4() {
		g.sendARP(ether.Broadcast(), 1, g.sourceAddr(a), ether.MAC{}, a)
		return
	}
	b := a.As16()
	group := netip.AddrFrom16([16]byte{
		0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15],
	})
	mac := ether.MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]}
	src := g.sourceAddr(a)
	frame := g.ndpFrame(mac, src, group, neighborSolicitation, a, sourceLinkAddress)
	g.sendICMP6(frame, src, group)
}

// sourceAddr returns the gateway's address in the network of a, or else its first of the
// same family.
func (g *gateway) sourceAddr(a netip.Addr) netip.Addr {
	for _, p := range g.addrs {
		if p.Contains(a) {
			return p.Addr()
		}
	}
	return g.addr(a.Is6())
}
