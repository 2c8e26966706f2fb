package wan_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// A testPacket is a packet from near to far, or from far to near if back is true.
type testPacket struct {
	back     bool
	src, dst netip.Addr // invalid: those of near and far
	head     gopacket.SerializableLayer
}

// sendPacket sends a packet with a text as payload.
func (l *lab) sendPacket(s testPacket, text string) {
	from, src, dst := l.near, near4, far4
	if s.back {
		from, src, dst = l.far, far4, near4
	}
	if s.src.IsValid() {
		src = s.src
	}
	if s.dst.IsValid() {
		dst = s.dst
	}
	from.send(ip{src: src, dst: dst}, s.head, gopacket.Payload(text))
}

func udp(from, to layers.UDPPort) *layers.UDP { return &layers.UDP{SrcPort: from, DstPort: to} }

// For each condition of a rule there is a packet that matches and one that does not. The
// first is dropped.
func TestConditionsForPackets(t *testing.T) {
	echo := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0)}
	ack := &layers.TCP{SrcPort: 40025, DstPort: 40025, ACK: true}
	out := testPacket{head: udp(1, 2)}
	back := testPacket{back: true, head: udp(1, 2)}
	fromOther := testPacket{src: addr("10.0.202.8"), head: udp(1, 2)} // on near's segment
	ports := func(from, to layers.UDPPort) testPacket { return testPacket{head: udp(from, to)} }
	near := prefix("10.0.202.7/32")
	for _, c := range []struct {
		name            string
		rule            wan.Rule
		matching, other testPacket
	}{
		{"from", wan.Rule{From: near}, out, fromOther},
		{"from a network", wan.Rule{From: prefix("10.0.202.8/29")}, fromOther, out},
		{"to", wan.Rule{To: prefix("216.58.194.206/32")}, out, back},
		{"host, one way", wan.Rule{Host: near}, out, fromOther},
		{"host, the other way", wan.Rule{Host: near}, back, fromOther},
		{"tcp", wan.Rule{Protocol: wan.TCP}, testPacket{head: ack}, ports(40025, 40025)},
		{"udp", wan.Rule{Protocol: wan.UDP}, ports(40025, 40025), testPacket{head: ack}},
		{"icmp", wan.Rule{Protocol: wan.ICMP}, testPacket{head: echo}, ports(40025, 40025)},
		{"port", wan.Rule{Protocol: wan.UDP, Port: 40053},
			ports(41000, 40053), ports(40053, 41000)},
		{"from port", wan.Rule{Protocol: wan.UDP, FromPort: 40053},
			ports(40053, 41000), ports(41000, 40053)},
		{"either port, to", wan.Rule{Protocol: wan.UDP, EitherPort: 40053},
			ports(41000, 40053), ports(41000, 40054)},
		{"either port, from", wan.Rule{Protocol: wan.UDP, EitherPort: 40053},
			ports(40053, 41000), ports(40054, 41000)},
		{"out", wan.Rule{Direction: wan.Out}, out, back},
		{"in", wan.Rule{Direction: wan.In}, back, out},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.exchangeMACs()
			c.rule.Action = wan.Drop
			l.setRules(c.rule)
			l.sendPacket(c.matching, "matching")
			l.sendPacket(c.other, "other")
			to, others := l.far, l.near
			if c.other.back {
				to, others = l.near, l.far
			}
			p := to.next()
			if a := p.ApplicationLayer(); a == nil || string(a.Payload()) != "other" {
				t.Errorf("got %v, want the packet that does not match", p)
			}
			// The matching packet was sent first, so it would have arrived before the other.
			if n := len(others.got); n != 0 {
				t.Errorf("%d matching packets pass", n)
			}
		})
	}
}

// connects sends a SYN from a port and reports whether it arrives. One that does not must be
// answered by a reset.
func (l *lab) connects(port layers.TCPPort, isn uint32) bool {
	l.near.t.Helper()
	l.near.send(
		ip{src: near4, dst: far4},
		&layers.TCP{SrcPort: port, DstPort: 25, Seq: isn, SYN: true},
	)
	select {
	case p := <-l.far.got:
		return p.Layer(layers.LayerTypeTCP).(*layers.TCP).SYN
	case p := <-l.near.got:
		return !p.Layer(layers.LayerTypeTCP).(*layers.TCP).RST
	}
}

func TestTheFirstConnectionsFail(t *testing.T) {
	l := newLab(t)
	l.exchangeMACs()
	fault := l.setRules(wan.Rule{Protocol: wan.TCP, Port: 25, Connections: 2, Action: wan.Reset})[0]
	got := fmt.Sprint(
		l.connects(1000, 1), l.connects(1000, 1), // a retransmission: the same connection
		l.connects(1000, 2), // the second connection, between the same ports
		l.connects(1001, 1), l.connects(1002, 1),
		l.connects(1000, 2), // the second connection again
	)
	if want := "false false false true true false"; got != want {
		t.Errorf("connections arrive: %s, want %s", got, want)
	}
	if fault.Packets() != 4 || fault.Connections() != 2 {
		t.Errorf("%d packets of %d connections hit, want 4 of 2", fault.Packets(), fault.Connections())
	}
}

func TestConnectionsAreSkipped(t *testing.T) {
	l := newLab(t)
	l.exchangeMACs()
	l.setRules(wan.Rule{Protocol: wan.TCP, SkipConnections: 1, Connections: 1, Action: wan.Reset})
	got := fmt.Sprint(l.connects(1, 1), l.connects(2, 1), l.connects(3, 1))
	if want := "true false true"; got != want {
		t.Errorf("connections arrive: %s, want %s", got, want)
	}
	l.setRules(wan.Rule{Protocol: wan.TCP, SkipConnections: 2, Action: wan.Reset})
	got = fmt.Sprint(l.connects(4, 1), l.connects(5, 1), l.connects(6, 1), l.connects(7, 1))
	if want := "true true false false"; got != want {
		t.Errorf("from the third on: %s, want %s", got, want)
	}
}

// The number of connections that a rule applies to does not include established ones.
func TestEstablishedConnectionsAreNotCounted(t *testing.T) {
	l := conversation{newLab(t)}
	l.handshake()
	l.setRules(
		wan.Rule{Protocol: wan.TCP, Host: prefix("10.0.202.7/32"), Connections: 1, Action: wan.Drop},
	)
	l.up("P.", 1001, 5001, "data")
	l.down(".", 5001, 1005)
	l.near.send(ip{src: near4, dst: far4}, &layers.TCP{SrcPort: 1, DstPort: 25, Seq: 7, SYN: true})
	l.near.expectNothing(gate4)
}

// Refuse does not affect established connections.
func TestRefuse(t *testing.T) {
	l := conversation{newLab(t)}
	l.handshake()
	l.setRules(wan.Rule{Action: wan.Refuse})
	l.up("P.", 1001, 5001, "data")
	if l.connects(2, 1) {
		t.Error("a SYN passes")
	}
	l.near.send(ip{src: near4, dst: far4}, udp(1, 2))
	if got := l.near.nextICMP(); got.kind != layers.CreateICMPv4TypeCode(3, 3) {
		t.Errorf("UDP: %v", got)
	}
}

func TestUnreachables(t *testing.T) {
	for action, code := range map[wan.Action]uint8{wan.NetUnreachable: 0, wan.HostUnreachable: 1} {
		l := newLab(t)
		l.setRules(wan.Rule{Action: action})
		l.near.send(ip{src: near4, dst: far4}, udp(1, 2))
		want := icmp4{from: gate4, kind: layers.CreateICMPv4TypeCode(3, code), ttl: 64}
		if got := l.near.nextICMP(); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// Packets that Delay, Lose and LimitRate let pass are checked against the next rule, as are
// packets that a rule does not apply to.
func TestEvaluationContinuesAfterDelayAndLoss(t *testing.T) {
	l := newLab(t)
	l.exchangeMACs()
	faults := l.setRules(
		wan.Rule{Action: wan.Delay, Delay: time.Microsecond},
		wan.Rule{Action: wan.LimitRate, Rate: 1e12},
		wan.Rule{Action: wan.Lose, Loss: 1e-18},
		wan.Rule{Action: wan.Drop, Protocol: wan.UDP, AfterBytes: 1000},
		wan.Rule{Action: wan.Drop, Protocol: wan.UDP, SkipConnections: 1},
		wan.Rule{Action: wan.Refuse, Protocol: wan.TCP},
		wan.Rule{Action: wan.Prohibit},
		wan.Rule{Action: wan.Drop},
	)
	l.near.send(ip{src: near4, dst: far4}, udp(1, 2))
	if got := l.near.nextICMP(); got.kind != layers.CreateICMPv4TypeCode(3, 13) {
		t.Errorf("got %v, want the answer of the first rule that applies", got)
	}
	var counts []int64
	for _, f := range faults {
		counts = append(counts, f.Packets())
	}
	if got, want := fmt.Sprint(counts), "[1 1 0 0 0 0 1 0]"; got != want {
		t.Errorf("the rules have acted on %s packets, want %s", got, want)
	}
}

func TestLoss(t *testing.T) {
	l := newLab(t)
	l.exchangeMACs()
	fault := l.setRules(wan.Rule{Protocol: wan.UDP, Action: wan.Lose, Loss: 0.5})[0]
	const n = 200
	for range n {
		l.near.send(ip{src: near4, dst: far4}, udp(1, 2))
	}
	l.near.expectNothing(gate4) // all have been handled
	arrived := len(l.far.got)
	if arrived < n/4 || arrived > n*3/4 || fault.Packets() != int64(n-arrived) ||
		fault.Connections() != 1 {
		t.Errorf("%d of %d arrive at a loss of one half; the fault counts %d of %d connections",
			arrived, n, fault.Packets(), fault.Connections())
	}
}

// deliveryTime sends n packets and returns the time until far has got all of them. It checks
// that they arrive in order.
func (l *lab) deliveryTime(n, size int) time.Duration {
	l.near.t.Helper()
	start := clock.System().Mark()
	for i := range n {
		text := make([]byte, size)
		copy(text, fmt.Sprintf("%03d", i))
		l.sendPacket(testPacket{head: udp(1, 2)}, string(text))
	}
	for i := range n {
		if got := string(l.far.next().ApplicationLayer().Payload()[:3]); got != fmt.Sprintf("%03d", i) {
			l.near.t.Fatalf("packet %d is %s, want them in order", i, got)
		}
	}
	return clock.System().Since(start)
}

func TestDelayAndJitter(t *testing.T) {
	l := newLab(t)
	l.exchangeMACs()
	const delay = 30 * time.Millisecond
	l.setRules(wan.Rule{Action: wan.Delay, Delay: delay, Jitter: 5 * time.Millisecond})
	if d := l.deliveryTime(50, 10); d < delay {
		t.Errorf("packets that are delayed by %v took %v", delay, d)
	}
}

func TestRate(t *testing.T) {
	l := newLab(t)
	l.exchangeMACs()
	l.setRules(wan.Rule{Action: wan.LimitRate, Rate: 1_000_000})
	// 14 + 20 + 8 + 958 bytes are 8 ms each.
	if d := l.deliveryTime(10, 958); d < 80*time.Millisecond {
		t.Errorf("10,000 bytes took %v at 1 Mb/s, want 80 ms", d)
	}
}

// A path's faults are evaluated at its far end: the routers on the way answer, and the last
// one sends the errors.
func TestFaultsOfAPath(t *testing.T) {
	l := newLab(t, wan.Path{
		Name: "far",
		To:   prefix("216.58.194.0/24"),
		Hops: []wan.Hop{hop("10.0.202.1"), hop("198.51.100.1")},
	})
	l.setRules(wan.Rule{Path: "far", Action: wan.HostUnreachable})
	l.near.send(ip{src: near4, dst: far4}, udp(1, 2))
	want := icmp4{from: addr("198.51.100.1"), kind: layers.CreateICMPv4TypeCode(3, 1), ttl: 63}
	if got := l.near.nextICMP(); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	l.near.send(ip{src: near4, dst: far4, ttl: 2}, udp(1, 2))
	if got := l.near.nextICMP(); got.from != addr("198.51.100.1") || got.kind.Type() != 11 {
		t.Errorf("the last router: %v, want time exceeded", got)
	}
	l.setRules(wan.Rule{Path: "far", Action: wan.Reset, Direction: wan.In})
	l.near.send(ip{src: near4, dst: far4}, segment(false, "S", 1000, 0))
	l.far.nextTCP()
	l.far.send(ip{src: far4, dst: near4}, segment(true, ".", 5000, 1001))
	if got := l.far.nextTCP(); got.flags != "R." {
		t.Errorf("far got %v, want a reset", got)
	}
	if got := l.near.nextTCP(); got.flags != "R." {
		t.Errorf("near got %v, want a reset", got)
	}
	l.setRules(wan.Rule{Path: "another", Action: wan.Drop})
	l.up("S", 9000)
}

// up sends a SYN that has to arrive.
func (l *lab) up(_ string, isn uint32) {
	l.near.t.Helper()
	l.near.send(ip{src: near4, dst: far4}, segment(false, "S", isn, 0))
	l.far.nextTCP()
}

// A fault keeps its counts while other faults are added and removed.
func TestFaultsKeepTheirCounts(t *testing.T) {
	l := newLab(t)
	l.exchangeMACs()
	fault := wan.NewFault(wan.Rule{Protocol: wan.TCP, Connections: 2, Action: wan.Reset})
	l.wan.SetFaults([]*wan.Fault{fault})
	first := l.connects(1, 1)
	l.wan.SetFaults([]*wan.Fault{wan.NewFault(wan.Rule{Protocol: wan.ICMP, Action: wan.Drop}), fault})
	got := fmt.Sprint(first, l.connects(2, 1), l.connects(3, 1))
	if want := "false false true"; got != want {
		t.Errorf("connections arrive: %s, want %s", got, want)
	}
}
