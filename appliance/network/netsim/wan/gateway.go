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

// A gateway is a Gateway that runs. All of it belongs to the pump.
type gateway struct {
	wan       *WAN
	site      bool
	port      *ether.Port
	mac       ether.MAC
	all       ether.MAC // zero: neighbors are asked
	addrs     []netip.Prefix
	local     []netip.Addr // addresses of its own, the link-local one included
	neighbors map[netip.Addr]*neighbor
}

// A neighbor is a machine on the gateway's wire, or one that is looked for.
type neighbor struct {
	mac     ether.MAC
	known   bool
	expires clock.Mark
	tries   int // since it was last heard of; 0: nobody asks
	waiting []waiting
}

// waiting is a packet whose neighbor is being looked for.
type waiting struct {
	frame  []byte
	at     clock.Mark // when it is to leave
	origin origin
}

// An origin is where an error about a packet goes, once it has been changed and
// sent on.
type origin struct {
	gateway *gateway      // by which the packet came; nil: no error is sent
	from    netip.Addr    // who complains
	ttl     uint8         // of the complaint on arrival
	delay   time.Duration // of the complaint

	port   *ether.Port // instead of the gateway: where the complaint arrives
	sender *ether.Port // then: who sends it
}

func newGateway(w *WAN, c Gateway, site bool) *gateway {
	g := &gateway{wan: w, site: site, mac: c.MAC, all: c.All, addrs: c.Addrs, neighbors: make(map[netip.Addr]*neighbor)}
	for _, p := range c.Addrs {
		g.local = append(g.local, p.Addr())
	}
	g.local = append(g.local, LinkLocal(c.MAC))
	g.port = c.Segment.NewNodePort(c.Name, c.MAC, c.MTU, g.receive)
	g.port.HandleTrains(g.pass)
	return g
}

// LinkLocal is the IPv6 address that a machine makes of its MAC (RFC 4291,
// appendix A).
func LinkLocal(m ether.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// addr is the gateway's address of a family; invalid for none.
func (g *gateway) addr(v6 bool) netip.Addr {
	for _, a := range g.local {
		if a.Is6() == v6 {
			return a
		}
	}
	return netip.Addr{}
}

func (g *gateway) isLocal(a netip.Addr) bool { return slices.Contains(g.local, a) }

// receive handles a frame from the wire.
func (g *gateway) receive(frame []byte) {
	switch be.Uint16(frame[12:]) {
	case typeARP:
		g.arp(frame)
	case typeIPv4, typeIPv6:
		p, ok := parse(frame)
		if !ok || g.ndp(&p) || ether.MAC(frame[:6]) != g.mac || !routable(p.src) || !routable(p.dst) && !g.isLocal(p.dst) {
			return
		}
		g.wan.forward(g, &p)
	}
}

// routable reports whether packets from or to a may cross a router.
func routable(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// arp answers who asks for the gateway, and learns from those who speak to it.
func (g *gateway) arp(frame []byte) {
	if len(frame) < etherLen+28 {
		return
	}
	a := frame[etherLen : etherLen+28]
	if be.Uint32(a) != 0x00010800 || a[4] != 6 || a[5] != 4 {
		return // not IPv4 over Ethernet
	}
	mac, sender, target := ether.MAC(a[8:14]), netip.AddrFrom4([4]byte(a[14:18])), netip.AddrFrom4([4]byte(a[24:28]))
	mine := g.isLocal(target)
	if !sender.IsUnspecified() {
		g.learn(sender, mac, mine)
	}
	if op := be.Uint16(a[6:]); op == 1 && mine {
		g.sendARP(mac, 2, target, mac, sender)
	}
}

func (g *gateway) sendARP(to ether.MAC, op uint16, sender netip.Addr, mac ether.MAC, target netip.Addr) {
	var frame [etherLen + 28]byte
	address(frame[:], to, g.mac)
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

// isDiscovery reports whether the packet is one of neighbor discovery.
func (p *packet) isDiscovery() bool {
	return p.v6 && p.proto == protoICM6 && !p.later && len(p.body) >= 8 && p.body[0] >= 133 && p.body[0] <= 137
}

// ndp is arp for IPv6. It reports whether p was neighbor discovery.
func (g *gateway) ndp(p *packet) bool {
	if !p.isDiscovery() {
		return false
	}
	// Only what comes from this wire has the full hop limit.
	if p.ttl != 255 || len(p.body) < 24 || checksum(pseudo(p.src, p.dst, protoICM6, len(p.body)), p.body) != 0 {
		return true
	}
	target := netip.AddrFrom16([16]byte(p.body[8:24]))
	switch p.body[0] {
	case neighborSolicitation:
		mine := g.isLocal(target)
		if mac, ok := linkOption(p.body[24:], sourceLinkAddress); ok && !p.src.IsUnspecified() {
			g.learn(p.src, mac, mine)
		}
		if mine {
			g.advertise(p, target)
		}
	case neighborAdvertisement:
		if mac, ok := linkOption(p.body[24:], targetLinkAddress); ok {
			g.learn(target, mac, false)
		}
	}
	return true
}

// linkOption finds a link-layer address among the options.
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

func (g *gateway) advertise(p *packet, target netip.Addr) {
	to, mac, flags := p.src, ether.MAC(p.frame[6:12]), byte(0xe0) // router, solicited, override
	if to.IsUnspecified() {                                       // duplicate address detection
		to, mac, flags = netip.IPv6LinkLocalAllNodes(), ether.MAC{0x33, 0x33, 0, 0, 0, 1}, 0xa0
	}
	frame := g.ndpFrame(mac, target, to, neighborAdvertisement, target, targetLinkAddress)
	frame[etherLen+ipv6Len+4] = flags
	g.sendICMP6(frame, target, to)
}

func (g *gateway) ndpFrame(mac ether.MAC, src, dst netip.Addr, kind byte, target netip.Addr, option byte) []byte {
	frame, body := g.wan.ipFrame(src, dst, protoICM6, 255, 32)
	address(frame, mac, g.mac)
	body[0] = kind
	copy(body[8:], target.AsSlice())
	body[24], body[25] = option, 1
	copy(body[26:], g.mac[:])
	return frame
}

func (g *gateway) sendICMP6(frame []byte, src, dst netip.Addr) {
	body := frame[etherLen+ipv6Len:]
	be.PutUint16(body[2:], checksum(pseudo(src, dst, protoICM6, len(body)), body))
	g.port.Transmit(frame)
}

// learn takes note of a neighbor's MAC. Somebody who is not looked for is noted
// only if he asked for the gateway.
func (g *gateway) learn(a netip.Addr, mac ether.MAC, asked bool) {
	n := g.neighbors[a]
	if n == nil {
		if !asked || len(g.neighbors) >= neighborLimit {
			return
		}
		n = &neighbor{}
		g.neighbors[a] = n
	}
	n.mac, n.known, n.tries = mac, true, 0
	n.expires = g.wan.machine.Mark() + clock.Mark(neighborLife)
	queue := n.waiting
	n.waiting = nil
	for _, q := range queue {
		address(q.frame, mac, g.mac)
		g.port.TransmitAt(q.at, q.frame)
	}
}

// macOf is the address of the neighbor a, as long as it need not be asked for.
func (g *gateway) macOf(a netip.Addr) (mac ether.MAC, ok bool) {
	if g.all != (ether.MAC{}) {
		return g.all, true
	}
	n := g.neighbors[a]
	if n == nil || !n.known || g.wan.machine.Mark() >= n.expires {
		return mac, false
	}
	return n.mac, true
}

// send sends an IP frame to the neighbor a once delay has passed. The caller must
// not use the frame any more. About a packet that finds no neighbor, o hears.
func (g *gateway) send(a netip.Addr, frame []byte, delay time.Duration, o origin) {
	if mac, ok := g.macOf(a); ok {
		address(frame, mac, g.mac)
		g.port.RelayAfter(delay, frame)
		return
	}
	n := g.neighbors[a]
	now := g.wan.machine.Mark()
	if n == nil {
		if len(g.neighbors) >= neighborLimit {
			return
		}
		n = &neighbor{}
		g.neighbors[a] = n
	}
	if n.known {
		address(frame, n.mac, g.mac)
		g.port.RelayAfter(delay, frame)
	} else if len(n.waiting) < neighborQueue {
		n.waiting = append(n.waiting, waiting{slices.Clone(frame), now + clock.Mark(delay), o})
	}
	if n.tries == 0 {
		g.ask(a, n)
	}
}

// ask looks for a neighbor and gives up after some tries.
func (g *gateway) ask(a netip.Addr, n *neighbor) {
	if n.tries == neighborTries {
		delete(g.neighbors, a)
		for _, q := range n.waiting {
			g.wan.giveUp(q)
		}
		return
	}
	n.tries++
	try := n.tries
	g.solicit(a)
	g.wan.fabric.After(time.Second, func() {
		if g.neighbors[a] == n && n.tries == try {
			g.ask(a, n)
		}
	})
}

func (g *gateway) solicit(a netip.Addr) {
	if a.Is4() {
		g.sendARP(ether.Broadcast, 1, g.source(a), ether.MAC{}, a)
		return
	}
	b := a.As16()
	group := netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
	mac := ether.MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]}
	src := g.source(a)
	g.sendICMP6(g.ndpFrame(mac, src, group, neighborSolicitation, a, sourceLinkAddress), src, group)
}

// source is the gateway's address on a's network, or any of its family.
func (g *gateway) source(a netip.Addr) netip.Addr {
	for _, p := range g.addrs {
		if p.Contains(a) {
			return p.Addr()
		}
	}
	return g.addr(a.Is6())
}
