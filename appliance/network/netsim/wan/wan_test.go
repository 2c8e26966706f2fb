package wan_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

func hop(members ...string) wan.Hop {
	var h wan.Hop
	for _, m := range members {
		h.Members = append(h.Members, addr(m))
	}
	return h
}

// google is the path that B49 shows.
var google = wan.Path{
	To: prefix("216.58.194.0/24"),
	Hops: []wan.Hop{
		hop("68.232.129.2", "68.232.129.3", "68.232.129.3"),
		hop("139.138.24.10"),
		hop("68.232.128.2"),
		hop("139.138.24.42", "208.90.63.209", "139.138.24.42"),
		hop("63.150.59.25"),
		hop("67.14.34.82"),
		hop("108.170.242.225", "108.170.242.225", "108.170.243.1"),
		hop("108.170.242.225", "108.170.243.1", "108.170.243.1"),
		hop("108.170.237.105", "216.58.194.206", "216.58.194.206"),
	},
}

var (
	echoRequest  = layers.CreateICMPv4TypeCode(8, 0)
	echoReply    = layers.CreateICMPv4TypeCode(0, 0)
	timeExceeded = layers.CreateICMPv4TypeCode(11, 0)
)

func TestTracerouteShowsTheRoutersOfB49(t *testing.T) {
	l := newLab(t, google)
	want := [][3]string{
		{"68.232.129.2", "68.232.129.3", "68.232.129.3"},
		{"139.138.24.10", "139.138.24.10", "139.138.24.10"},
		{"68.232.128.2", "68.232.128.2", "68.232.128.2"},
		{"139.138.24.42", "208.90.63.209", "139.138.24.42"},
		{"63.150.59.25", "63.150.59.25", "63.150.59.25"},
		{"67.14.34.82", "67.14.34.82", "67.14.34.82"},
		{"108.170.242.225", "108.170.242.225", "108.170.243.1"},
		{"108.170.242.225", "108.170.243.1", "108.170.243.1"},
		{"108.170.237.105", "216.58.194.206", "216.58.194.206"},
	}
	port := layers.UDPPort(33435) // BSD's first
	for i, members := range want {
		for _, member := range members {
			l.near.send(
				ip{src: near4, dst: far4, ttl: uint8(i + 1)},
				&layers.UDP{SrcPort: 40000, DstPort: port},
				gopacket.Payload("twelve bytes"),
			)
			port++
			if addr(member) == far4 {
				if p := l.far.next(); p.Layer(layers.LayerTypeIPv4).(*layers.IPv4).TTL != 1 {
					t.Errorf("TTL %d reached google as %v", i+1, p)
				}
				continue
			}
			want := icmp4{from: addr(member), kind: timeExceeded, ttl: uint8(64 - i)}
			if got := l.near.nextICMP(); got != want {
				t.Errorf("TTL %d: %v, want %v", i+1, got, want)
			}
		}
	}
}

func TestRepliesPassEightRouters(t *testing.T) {
	l := newLab(t, google)
	l.far.send(
		ip{src: far4, dst: near4},
		&layers.ICMPv4{TypeCode: echoReply, Id: 1},
		gopacket.Payload("ping"),
	)
	want := icmp4{from: far4, kind: echoReply, ttl: 56, echoBody: "ping"}
	if got := l.near.nextICMP(); got != want {
		t.Errorf("got %v, want %v (B51)", got, want)
	}
}

func TestPacketsOfFarHostsMeetTheRoutersInReverse(t *testing.T) {
	l := newLab(t, google)
	for i, member := range []string{"108.170.243.1", "108.170.243.1", "67.14.34.82"} {
		l.far.send(ip{src: far4, dst: near4, ttl: uint8(i + 1)}, &layers.UDP{SrcPort: 1, DstPort: 2})
		want := icmp4{from: addr(member), kind: timeExceeded, ttl: uint8(64 - i)}
		if got := l.far.nextICMP(); got != want {
			t.Errorf("TTL %d: %v, want %v", i+1, got, want)
		}
	}
}

func TestFlowKeepsItsRouter(t *testing.T) {
	l := newLab(t, google)
	var seen []netip.Addr
	for range 5 {
		l.near.send(ip{src: near4, dst: far4, ttl: 4}, &layers.TCP{SrcPort: 1025, DstPort: 80, SYN: true})
		seen = append(seen, l.near.nextICMP().from)
	}
	if len(slices.Compact(seen)) != 1 {
		t.Errorf("one TCP flow passed the routers %v", seen)
	}
}

func TestSilentHopForwardsWithoutAnswering(t *testing.T) {
	l := newLab(t, wan.Path{
		To:   prefix("216.58.194.0/24"),
		Hops: []wan.Hop{hop("198.51.100.1"), {Silent: true}, hop("198.51.100.3")},
	})
	l.near.send(ip{src: near4, dst: far4, ttl: 2}, &layers.UDP{DstPort: 33436})
	l.near.expectNothing(gate4)
	l.near.send(ip{src: near4, dst: far4, ttl: 3}, &layers.UDP{DstPort: 33437})
	want := icmp4{from: addr("198.51.100.3"), kind: timeExceeded, ttl: 62}
	if got := l.near.nextICMP(); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestGatewayAndRoutersAnswerForThemselves(t *testing.T) {
	l := newLab(t, google)
	for _, test := range []struct {
		to  netip.Addr
		ttl uint8
	}{
		{gate4, 64}, {addr("68.232.129.3"), 64},
		{addr("139.138.24.10"), 63}, {addr("67.14.34.82"), 59},
	} {
		l.near.send(
			ip{src: near4, dst: test.to},
			&layers.ICMPv4{TypeCode: echoRequest, Id: 9, Seq: 3},
			gopacket.Payload("odd"),
		)
		want := icmp4{from: test.to, kind: echoReply, ttl: test.ttl, echoBody: "odd"}
		if got := l.near.nextICMP(); got != want {
			t.Errorf("ping %v: %v, want %v", test.to, got, want)
		}
		l.near.send(ip{src: near4, dst: test.to}, &layers.UDP{DstPort: 9})
		want = icmp4{from: test.to, kind: layers.CreateICMPv4TypeCode(3, 3), ttl: test.ttl}
		if got := l.near.nextICMP(); got != want {
			t.Errorf("UDP to %v: %v, want %v", test.to, got, want)
		}
		l.near.send(ip{src: near4, dst: test.to}, &layers.TCP{DstPort: 22, Seq: 100, SYN: true})
		if got, want := l.near.nextTCP(), (tcp{flags: "R.", ack: 101}); got != want {
			t.Errorf("TCP to %v: %v, want %v", test.to, got, want)
		}
	}
}

func TestIPv6(t *testing.T) {
	l := newLab(t, wan.Path{
		To:   prefix("2001:db8:4005::/48"),
		Hops: []wan.Hop{hop("2001:db8:1::1"), hop("2001:db8:2::2")},
	})
	type reply struct {
		from netip.Addr
		kind layers.ICMPv6TypeCode
		hops uint8
	}
	next := func() reply {
		t.Helper()
		p := l.near.next()
		head := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
		from, _ := netip.AddrFromSlice(head.SrcIP)
		return reply{from, p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6).TypeCode, head.HopLimit}
	}
	ping := func() gopacket.SerializableLayer {
		return &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
	}
	echo := func() gopacket.SerializableLayer {
		return &layers.ICMPv6Echo{Identifier: 7, SeqNumber: 1}
	}
	for _, test := range []struct {
		name string
		to   netip.Addr
		ttl  uint8
		want reply
	}{
		{"the gateway", gate6, 64, reply{gate6, layers.CreateICMPv6TypeCode(129, 0), 64}},
		{"hop limit expires at the gateway", far6, 1,
			reply{addr("2001:db8:1::1"), layers.CreateICMPv6TypeCode(3, 0), 64}},
		{"hop limit expires at a router", far6, 2,
			reply{addr("2001:db8:2::2"), layers.CreateICMPv6TypeCode(3, 0), 63}},
		{"no path", addr("2001:db8:9::9"), 64, reply{gate6, layers.CreateICMPv6TypeCode(1, 0), 64}},
	} {
		l.near.send(ip{src: near6, dst: test.to, ttl: test.ttl}, ping(), echo())
		if got := next(); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	l.near.send(ip{src: near6, dst: far6}, ping(), echo())
	if p := l.far.next(); p.Layer(layers.LayerTypeIPv6).(*layers.IPv6).HopLimit != 62 {
		t.Errorf("at the far host: %v, want hop limit 62", p)
	}
}

func TestGatewayAnswersARPAndNeighborSolicitations(t *testing.T) {
	l := newLab(t)
	l.near.sendFrame([6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, layers.EthernetTypeARP, &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
		HwAddressSize: 6, ProtAddressSize: 4,
		Operation: layers.ARPRequest, SourceHwAddress: nearMAC[:], SourceProtAddress: near4.AsSlice(),
		DstHwAddress: make([]byte, 6), DstProtAddress: gate4.AsSlice(),
	})
	reply, ok := l.near.next().Layer(layers.LayerTypeARP).(*layers.ARP)
	if !ok || reply.Operation != layers.ARPReply || [6]byte(reply.SourceHwAddress) != gateMAC {
		t.Errorf("ARP: %v", reply)
	}
	for _, target := range []netip.Addr{gate6, wan.LinkLocalAddr(gateMAC)} {
		l.near.sendNDP(
			[6]byte{0x33, 0x33, 0xff, 0, 0, 1},
			near6,
			addr("ff02::1:ff00:1"),
			layers.ICMPv6TypeNeighborSolicitation,
			&layers.ICMPv6NeighborSolicitation{
				TargetAddress: target.AsSlice(),
				Options:       layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: nearMAC[:]}},
			},
		)
		layer := l.near.next().Layer(layers.LayerTypeICMPv6NeighborAdvertisement)
		advertisement, ok := layer.(*layers.ICMPv6NeighborAdvertisement)
		if !ok || advertisement.Flags != 0xe0 || [6]byte(advertisement.Options[0].Data) != gateMAC {
			t.Errorf("neighbor solicitation for %v: %v", target, advertisement)
		}
	}
}

func TestEndsOfPaths(t *testing.T) {
	routers := []wan.Hop{hop("198.51.100.1"), hop("198.51.100.2")}
	l := newLab(t,
		wan.Path{To: prefix("203.0.113.0/26"), Hops: routers, End: wan.EndNetUnreachable},
		wan.Path{To: prefix("203.0.113.64/26"), Hops: routers, End: wan.EndHostUnreachable},
		wan.Path{To: prefix("203.0.113.128/26"), Hops: routers, End: wan.EndProhibited},
		wan.Path{To: prefix("203.0.113.192/26"), Hops: routers, End: wan.EndSilent},
	)
	for dst, want := range map[string]icmp4{
		"203.0.113.1":   {from: addr("198.51.100.2"), kind: layers.CreateICMPv4TypeCode(3, 0), ttl: 63},
		"203.0.113.65":  {from: addr("198.51.100.2"), kind: layers.CreateICMPv4TypeCode(3, 1), ttl: 63},
		"203.0.113.129": {from: addr("198.51.100.2"), kind: layers.CreateICMPv4TypeCode(3, 13), ttl: 63},
		"192.0.2.1":     {from: gate4, kind: layers.CreateICMPv4TypeCode(3, 0), ttl: 64}, // no path
	} {
		l.near.send(ip{src: near4, dst: addr(dst)}, &layers.UDP{DstPort: 514})
		if got := l.near.nextICMP(); got != want {
			t.Errorf("to %s: %v, want %v", dst, got, want)
		}
	}
	l.near.send(ip{src: near4, dst: addr("203.0.113.193")}, &layers.UDP{DstPort: 514})
	l.near.expectNothing(gate4)
}

func TestHostUnreachableWhenARPIsNotAnswered(t *testing.T) {
	t.Parallel() // three seconds
	l := newLab(t, wan.Path{
		To:   prefix("216.58.194.0/24"),
		Hops: []wan.Hop{hop("198.51.100.1"), hop("198.51.100.2")},
	})
	l.near.send(ip{src: near4, dst: addr("216.58.194.99")}, &layers.UDP{DstPort: 514})
	want := icmp4{from: addr("198.51.100.2"), kind: layers.CreateICMPv4TypeCode(3, 1), ttl: 63}
	if got := l.near.nextICMP(); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLargePackets(t *testing.T) {
	l := newLab(
		t,
		wan.Path{To: prefix("216.58.194.0/24"), Hops: []wan.Hop{hop("198.51.100.1")}, MTU: 600},
	)
	body := gopacket.Payload(strings.Repeat("0123456789", 120))
	l.near.send(ip{src: near4, dst: far4, df: true}, &layers.UDP{DstPort: 514}, body)
	want := icmp4{
		from: addr("198.51.100.1"), kind: layers.CreateICMPv4TypeCode(3, 4), ttl: 64, nextMTU: 600,
	}
	if got := l.near.nextICMP(); got != want {
		t.Errorf("with DF: %v, want %v", got, want)
	}
	l.near.send(ip{src: near4, dst: far4}, &layers.UDP{DstPort: 514}, body)
	var whole []byte
	for more := true; more; {
		head := l.far.next().Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		if int(head.FragOffset)*8 != len(whole) || head.Length > 600 {
			t.Fatalf("fragment at %d of %d bytes, after %d", head.FragOffset*8, head.Length, len(whole))
		}
		whole = append(whole, head.Payload...)
		more = head.Flags&layers.IPv4MoreFragments != 0
	}
	if got := string(whole[8:]); got != string(body) {
		t.Errorf("without DF: the fragments contain %q", got)
	}
}

func TestDelayIsTheSumOfTheHops(t *testing.T) {
	path := wan.Path{
		To:   prefix("216.58.194.0/24"),
		Hops: []wan.Hop{hop("198.51.100.1"), hop("198.51.100.2")},
	}
	path.Hops[0].Delay, path.Hops[1].Delay = 4*time.Millisecond, 8*time.Millisecond
	path.Delay = 16 * time.Millisecond
	l := newLab(t, path)
	l.exchangeMACs()
	for _, test := range []struct {
		ttl  uint8
		want time.Duration
	}{{1, 8 * time.Millisecond}, {2, 24 * time.Millisecond}, {64, 28 * time.Millisecond}} {
		start := clock.System().Mark()
		l.near.send(ip{src: near4, dst: far4, ttl: test.ttl}, &layers.UDP{DstPort: 1})
		if test.ttl == 64 {
			l.far.next()
		} else {
			l.near.nextICMP()
		}
		if got := clock.System().Since(start); got < test.want {
			t.Errorf("TTL %d took %v, want %v at least", test.ttl, got, test.want)
		}
	}
}

func TestJitterKeepsPacketsInOrder(t *testing.T) {
	l := newLab(t, wan.Path{To: prefix("216.58.194.0/24"), Jitter: 3 * time.Millisecond})
	l.exchangeMACs()
	const n = 200
	for i := range n {
		l.near.send(ip{src: near4, dst: far4}, &layers.UDP{SrcPort: layers.UDPPort(i), DstPort: 514})
	}
	for i := range n {
		if got := l.far.next().Layer(layers.LayerTypeUDP).(*layers.UDP).SrcPort; int(got) != i {
			t.Fatalf("packet %d arrived in place of %d", got, i)
		}
	}
}

// Packets that wait for a neighbor's MAC are sent in the order in which they arrived, also on
// a path with delay.
func TestPendingPacketsKeepTheirOrder(t *testing.T) {
	for range 50 {
		l := newLab(t, wan.Path{To: prefix("216.58.194.0/24"), Delay: time.Millisecond})
		const n = 16
		l.fabric.After(0, func() { // so that the pump handles none before all have been sent
			for i := range n {
				l.near.send(ip{src: near4, dst: far4}, &layers.UDP{SrcPort: layers.UDPPort(i), DstPort: 514})
			}
		})
		for i := range n {
			if got := l.far.next().Layer(layers.LayerTypeUDP).(*layers.UDP).SrcPort; int(got) != i {
				t.Fatalf("packet %d arrived in place of %d", got, i)
			}
		}
	}
}

func TestLossOfEverything(t *testing.T) {
	l := newLab(t, wan.Path{To: prefix("216.58.194.0/24"), Loss: 1})
	l.near.send(ip{src: near4, dst: far4}, &layers.UDP{DstPort: 514})
	l.near.expectNothing(gate4)
	select {
	case p := <-l.far.got:
		t.Errorf("%v was not lost", p)
	default:
	}
}

// An ICMP error about an ICMP error could cause endless traffic.
func TestErrorsAreNotAnswered(t *testing.T) {
	l := newLab(t)
	l.near.send(
		ip{src: near4, dst: addr("192.0.2.1")},
		&layers.ICMPv4{TypeCode: timeExceeded},
		gopacket.Payload("E..."),
	)
	l.near.expectNothing(gate4)
}

func FuzzReceive(f *testing.F) {
	l := newLab(f, google)
	l.near.acceptDamaged.Store(true)
	l.far.acceptDamaged.Store(true)
	frames := make(chan []byte, 100)
	l.near.port.AllowOnly(func(_ network.Direction, frame []byte) bool {
		select {
		case frames <- slices.Clone(frame):
		default:
		}
		return true
	})
	l.near.send(ip{src: near4, dst: far4, ttl: 2}, &layers.UDP{DstPort: 514}, gopacket.Payload("data"))
	l.near.send(ip{src: near6, dst: far6, ttl: 2}, &layers.TCP{DstPort: 514, SYN: true})
	l.near.nextICMP()
	l.near.expectNothing(gate4)
	for range len(frames) {
		f.Add(<-frames)
	}
	l.setRules(
		wan.Rule{Protocol: wan.TCP, AfterRecords: 1, Action: wan.Reset},
		wan.Rule{Protocol: wan.UDP, AfterBytes: 5, Action: wan.Prohibit},
	)
	f.Fuzz(func(t *testing.T, frame []byte) {
		l.near.port.Transmit(frame)
		// The pump handles events in order, so it has handled the frame before this function.
		done := make(chan struct{})
		l.fabric.After(0, func() { close(done) })
		<-done
		for len(l.near.got) > 0 {
			<-l.near.got
		}
		for len(l.far.got) > 0 {
			<-l.far.got
		}
	})
}
