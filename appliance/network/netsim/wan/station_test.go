package wan_test

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// A lab is a WAN between two machines: near is on the segment of a gateway, far is at a site,
// behind all paths.
type lab struct {
	fabric    *ether.Fabric
	wan       *wan.WAN
	near, far *station
}

var (
	nearMAC = ether.MAC{2, 0, 0, 0, 0, 1}
	farMAC  = ether.MAC{2, 0, 0, 0, 0, 2}
	gateMAC = ether.MAC{2, 0, 0, 0, 1, 1}
	siteMAC = ether.MAC{2, 0, 0, 0, 1, 2}

	near4, near6 = addr("10.0.202.7"), addr("2001:db8:202::7")
	gate4, gate6 = addr("10.0.202.1"), addr("2001:db8:202::1")
	far4, far6   = addr("216.58.194.206"), addr("2001:db8:4005::200e")
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func newLab(t testing.TB, paths ...wan.Path) *lab {
	l := &lab{fabric: ether.NewFabric(ether.Options{})}
	lan, site := l.fabric.NewSegment("lan"), l.fabric.NewSegment("site")
	l.wan = wan.New(wan.Options{
		Fabric: l.fabric,
		Rand:   entropy.Seeded(1).Stream("wan"),
		Gateways: []wan.Gateway{{
			Name: "gateway", Segment: lan, MAC: gateMAC, MTU: 1500,
			Addrs: []netip.Prefix{prefix("10.0.202.1/24"), prefix("2001:db8:202::1/64")},
		}},
		ApplianceMACs: []ether.MAC{nearMAC},
		Sites: []wan.Gateway{{
			Name: "site", Segment: site, MAC: siteMAC, MTU: 1500,
			Addrs: []netip.Prefix{prefix("169.254.0.1/16")},
		}},
	})
	l.wan.SetHosts([]wan.HostRange{
		{Net: netip.PrefixFrom(far4, 32)}, {Net: netip.PrefixFrom(far6, 128)},
	})
	l.wan.SetPaths(paths)
	l.near = newStation(t, lan, nearMAC, gateMAC, near4, near6)
	l.far = newStation(t, site, farMAC, siteMAC, far4, far6)
	t.Cleanup(func() {
		l.wan.Close()
		l.fabric.Close()
	})
	return l
}

// setRules replaces all faults by faults with the given rules.
func (l *lab) setRules(rules ...wan.Rule) []*wan.Fault {
	var faults []*wan.Fault
	for _, r := range rules {
		faults = append(faults, wan.NewFault(r))
	}
	l.wan.SetFaults(faults)
	return faults
}

// A station is a machine without a TCP/IP stack: it answers ARP requests and neighbor
// solicitations and puts everything else into got.
type station struct {
	t       testing.TB
	port    *ether.Port
	mac     ether.MAC
	gateway ether.MAC
	addrs   []netip.Addr
	got     chan gopacket.Packet
	// acceptDamaged makes the station accept damaged packets, which routers forward.
	acceptDamaged atomic.Bool
}

func newStation(
	t testing.TB, segment *ether.Segment, mac, gateway ether.MAC, addrs ...netip.Addr,
) *station {
	s := &station{
		t:       t,
		mac:     mac,
		gateway: gateway,
		addrs:   addrs,
		got:     make(chan gopacket.Packet, 1000),
	}
	s.port = segment.NewNodePort("station", mac, 1500, s.receive)
	return s
}

func (s *station) receive(frame []byte) {
	p := gopacket.NewPacket(slices.Clone(frame), layers.LayerTypeEthernet, gopacket.Default)
	if !s.acceptDamaged.Load() {
		s.checkPacket(p)
	}
	if arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok &&
		arp.Operation == layers.ARPRequest {
		target, _ := netip.AddrFromSlice(arp.DstProtAddress)
		if slices.Contains(s.addrs, target) {
			s.sendFrame(ether.MAC(arp.SourceHwAddress), layers.EthernetTypeARP, &layers.ARP{
				AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
				HwAddressSize: 6, ProtAddressSize: 4,
				Operation: layers.ARPReply, SourceHwAddress: s.mac[:], SourceProtAddress: arp.DstProtAddress,
				DstHwAddress: arp.SourceHwAddress, DstProtAddress: arp.SourceProtAddress,
			})
		}
		return
	}
	solicitation := p.Layer(layers.LayerTypeICMPv6NeighborSolicitation)
	if ns, ok := solicitation.(*layers.ICMPv6NeighborSolicitation); ok {
		target, _ := netip.AddrFromSlice(ns.TargetAddress)
		src, _ := netip.AddrFromSlice(p.Layer(layers.LayerTypeIPv6).(*layers.IPv6).SrcIP)
		if slices.Contains(s.addrs, target) {
			kind := uint8(layers.ICMPv6TypeNeighborAdvertisement)
			s.sendNDP(ether.MAC(frame[6:12]), target, src, kind,
				&layers.ICMPv6NeighborAdvertisement{
					Flags: 0x60, TargetAddress: target.AsSlice(),
					Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: s.mac[:]}},
				},
			)
		}
		return
	}
	s.got <- p
}

// checkPacket checks that a packet is well-formed and has true checksums.
func (s *station) checkPacket(p gopacket.Packet) {
	for _, layer := range p.Layers() {
		if c, ok := layer.(checksumLayer); ok {
			c.SetNetworkLayerForChecksum(p.NetworkLayer())
		}
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		s.t.Errorf("wrong checksums: %v %v in %v", err, bad, p)
	}
	if e := p.ErrorLayer(); e != nil {
		s.t.Errorf("malformed: %v in %v", e.Error(), p)
	}
}

// A checksumLayer is a layer whose checksum covers IP addresses.
type checksumLayer interface {
	SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
}

var serialize = gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}

func (s *station) sendFrame(
	to ether.MAC, kind layers.EthernetType, rest ...gopacket.SerializableLayer,
) {
	b := gopacket.NewSerializeBuffer()
	head := &layers.Ethernet{
		DstMAC:       net.HardwareAddr(to[:]),
		SrcMAC:       net.HardwareAddr(s.mac[:]),
		EthernetType: kind,
	}
	all := append([]gopacket.SerializableLayer{head}, rest...)
	err := gopacket.SerializeLayers(b, serialize, all...)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.port.Transmit(b.Bytes())
}

func (s *station) sendNDP(
	to ether.MAC, src, dst netip.Addr, kind uint8, message gopacket.SerializableLayer,
) {
	ip := &layers.IPv6{
		Version:    6,
		HopLimit:   255,
		NextHeader: layers.IPProtocolICMPv6,
		SrcIP:      src.AsSlice(),
		DstIP:      dst.AsSlice(),
	}
	head := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, 0)}
	head.SetNetworkLayerForChecksum(ip)
	s.sendFrame(to, layers.EthernetTypeIPv6, ip, head, message)
}

// exchangeMACs lets gateways and machines learn each other's MACs, so that later packets need
// no ARP.
func (l *lab) exchangeMACs() {
	l.near.t.Helper()
	l.near.send(ip{src: near4, dst: far4}, &layers.UDP{DstPort: 1})
	l.far.next()
	l.near.send(
		ip{src: near4, dst: gate4},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0)},
	)
	l.near.nextICMP()
}

// An ip describes the IP header of a packet that a station sends.
type ip struct {
	src, dst netip.Addr
	ttl      uint8 // 0: 64
	df       bool
}

// send sends a packet by way of the station's gateway. The first layer of rest is the header
// of the transport protocol.
func (s *station) send(h ip, rest ...gopacket.SerializableLayer) {
	if h.ttl == 0 {
		h.ttl = 64
	}
	proto := layers.IPProtocolICMPv4
	switch rest[0].(type) {
	case *layers.UDP:
		proto = layers.IPProtocolUDP
	case *layers.TCP:
		proto = layers.IPProtocolTCP
	case *layers.ICMPv6:
		proto = layers.IPProtocolICMPv6
	}
	var network gopacket.NetworkLayer
	kind := layers.EthernetTypeIPv6
	if h.src.Is4() {
		ip4 := &layers.IPv4{
			Version:  4,
			TTL:      h.ttl,
			Protocol: proto,
			SrcIP:    h.src.AsSlice(),
			DstIP:    h.dst.AsSlice(),
		}
		if h.df {
			ip4.Flags = layers.IPv4DontFragment
		}
		network, kind = ip4, layers.EthernetTypeIPv4
	} else {
		network = &layers.IPv6{
			Version: 6, HopLimit: h.ttl, NextHeader: proto,
			SrcIP: h.src.AsSlice(), DstIP: h.dst.AsSlice(),
		}
	}
	if c, ok := rest[0].(checksumLayer); ok {
		c.SetNetworkLayerForChecksum(network)
	}
	all := append([]gopacket.SerializableLayer{network.(gopacket.SerializableLayer)}, rest...)
	s.sendFrame(s.gateway, kind, all...)
}

// next returns the next packet that the station gets.
func (s *station) next() gopacket.Packet {
	s.t.Helper()
	done := make(chan struct{})
	stop := clock.System().AfterFunc(20*time.Second, func() { close(done) })
	defer stop()
	select {
	case p := <-s.got:
		return p
	case <-done:
		s.t.Fatal("no packet arrived within 20 seconds")
		return nil
	}
}

// expectNothing checks that no packet has been answered so far: the next packet that the
// station gets is the gateway's reply to a ping.
func (s *station) expectNothing(gateway netip.Addr) {
	s.t.Helper()
	s.send(
		ip{src: s.addrs[0], dst: gateway},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 4711},
	)
	p := s.next()
	if icmp, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); !ok || icmp.Id != 4711 {
		s.t.Errorf("got %v, want nothing", p)
	}
}

// An icmp4 describes an ICMP message that a station has got.
type icmp4 struct {
	from     netip.Addr
	kind     layers.ICMPv4TypeCode
	ttl      uint8
	nextMTU  uint16
	echoBody string
}

func (s *station) nextICMP() icmp4 {
	s.t.Helper()
	p := s.next()
	head, ok := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	message, ok2 := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	if !ok || !ok2 {
		s.t.Fatalf("got %v, want ICMP", p)
	}
	from, _ := netip.AddrFromSlice(head.SrcIP)
	m := icmp4{from: from, kind: message.TypeCode, ttl: head.TTL}
	if message.TypeCode == layers.CreateICMPv4TypeCode(3, 4) {
		m.nextMTU = message.Seq
	}
	if message.TypeCode.Type() == 0 {
		m.echoBody = string(message.Payload)
	}
	return m
}

// A tcp describes a TCP segment that a station has got.
type tcp struct {
	flags    string
	seq, ack uint32
	data     string
}

func (s *station) nextTCP() tcp {
	s.t.Helper()
	p := s.next()
	t, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok {
		s.t.Fatalf("got %v, want TCP", p)
	}
	return tcp{flagsOf(t), t.Seq, t.Ack, string(t.Payload)}
}

func flagsOf(t *layers.TCP) string {
	var f string
	for _, x := range []struct {
		set  bool
		name string
	}{{t.SYN, "S"}, {t.FIN, "F"}, {t.RST, "R"}, {t.PSH, "P"}, {t.ACK, "."}} {
		if x.set {
			f += x.name
		}
	}
	return f
}
