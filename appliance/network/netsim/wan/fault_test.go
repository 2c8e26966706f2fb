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

// A shot is a packet of a test's: from near to far, or back.
type shot struct {
	back     bool
	src, dst netip.Addr // near's and far's unless given
	head     gopacket.SerializableLayer
}

// fire sends a shot that says something.
func (l *lab) fire(s shot, text string) {
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

// TestWhichPackets has, for every condition of a rule, a packet that it is about and one that
// it is not: the first is dropped.
func TestWhichPackets(t *testing.T) {
	echo := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0)}
	ack := &layers.TCP{SrcPort: 40025, DstPort: 40025, ACK: true}
	other := addr("10.0.202.8") // another machine on near's wire
	for _, c := range []struct {
		name       string
		rule       wan.Rule
		meant, not shot
	}{
		{"from", wan.Rule{From: prefix("10.0.202.7/32")}, shot{head: udp(1, 2)}, shot{src: other, head: udp(1, 2)}},
		{"from a network", wan.Rule{From: prefix("10.0.202.8/29")}, shot{src: other, head: udp(1, 2)}, shot{head: udp(1, 2)}},
		{"to", wan.Rule{To: prefix("216.58.194.206/32")}, shot{head: udp(1, 2)}, shot{back: true, head: udp(1, 2)}},
		{"host, one way", wan.Rule{Host: prefix("10.0.202.7/32")}, shot{head: udp(1, 2)}, shot{src: other, head: udp(1, 2)}},
		{"host, the other way", wan.Rule{Host: prefix("10.0.202.7/32")}, shot{back: true, head: udp(1, 2)}, shot{src: other, head: udp(1, 2)}},
		{"tcp", wan.Rule{Protocol: wan.TCP}, shot{head: ack}, shot{head: udp(40025, 40025)}},
		{"udp", wan.Rule{Protocol: wan.UDP}, shot{head: udp(40025, 40025)}, shot{head: ack}},
		{"icmp", wan.Rule{Protocol: wan.ICMP}, shot{head: echo}, shot{head: udp(40025, 40025)}},
		{"port", wan.Rule{Protocol: wan.UDP, Port: 40053}, shot{head: udp(41000, 40053)}, shot{head: udp(40053, 41000)}},
		{"from port", wan.Rule{Protocol: wan.UDP, FromPort: 40053}, shot{head: udp(40053, 41000)}, shot{head: udp(41000, 40053)}},
		{"either port, to", wan.Rule{Protocol: wan.UDP, EitherPort: 40053}, shot{head: udp(41000, 40053)}, shot{head: udp(41000, 40054)}},
		{"either port, from", wan.Rule{Protocol: wan.UDP, EitherPort: 40053}, shot{head: udp(40053, 41000)}, shot{head: udp(40054, 41000)}},
		{"out", wan.Rule{Direction: wan.Out}, shot{head: udp(1, 2)}, shot{back: true, head: udp(1, 2)}},
		{"in", wan.Rule{Direction: wan.In}, shot{back: true, head: udp(1, 2)}, shot{head: udp(1, 2)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.introduce()
			c.rule.Action = wan.Drop
			l.rules(c.rule)
			l.fire(c.meant, "meant")
			l.fire(c.not, "not meant")
			to, others := l.far, l.near
			if c.not.back {
				to, others = l.near, l.far
			}
			if p := to.next(); p.ApplicationLayer() == nil || string(p.ApplicationLayer().Payload()) != "not meant" {
				t.Errorf("got %v, want the packet that is not meant", p)
			}
			if n := len(others.got); n != 0 { // what was sent first would have been there first
				t.Errorf("%d packets of those that are meant pass", n)
			}
		})
	}
}

// dials sends a SYN from a port and reports whether it arrives; one that does not is
// answered by a reset.
func (l *lab) dials(port layers.TCPPort, isn uint32) bool {
	l.near.t.Helper()
	l.near.send(ip{src: near4, dst: far4}, &layers.TCP{SrcPort: port, DstPort: 25, Seq: isn, SYN: true})
	select {
	case p := <-l.far.got:
		return p.Layer(layers.LayerTypeTCP).(*layers.TCP).SYN
	case p := <-l.near.got:
		return !p.Layer(layers.LayerTypeTCP).(*layers.TCP).RST
	}
}

func TestTheFirstConnectionsFail(t *testing.T) {
	l := newLab(t)
	l.introduce()
	fault := l.rules(wan.Rule{Protocol: wan.TCP, Port: 25, Connections: 2, Action: wan.Reset})[0]
	got := fmt.Sprint(
		l.dials(1000, 1), l.dials(1000, 1), // sent again: the same connection
		l.dials(1000, 2), // between the same ports, but another one
		l.dials(1001, 1), l.dials(1002, 1),
		l.dials(1000, 2), // belongs to the second
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
	l.introduce()
	l.rules(wan.Rule{Protocol: wan.TCP, SkipConnections: 1, Connections: 1, Action: wan.Reset})
	if got, want := fmt.Sprint(l.dials(1, 1), l.dials(2, 1), l.dials(3, 1)), "true false true"; got != want {
		t.Errorf("connections arrive: %s, want %s", got, want)
	}
	l.rules(wan.Rule{Protocol: wan.TCP, SkipConnections: 2, Action: wan.Reset})
	if got, want := fmt.Sprint(l.dials(4, 1), l.dials(5, 1), l.dials(6, 1), l.dials(7, 1)), "true true false false"; got != want {
		t.Errorf("from the third on: %s, want %s", got, want)
	}
}

// A connection that is there already is not one of the next ones.
func TestOldConnectionsAreNotCounted(t *testing.T) {
	l := talk{newLab(t)}
	l.handshake()
	l.rules(wan.Rule{Protocol: wan.TCP, Host: prefix("10.0.202.7/32"), Connections: 1, Action: wan.Drop})
	l.up("P.", 1001, 5001, "data")
	l.down(".", 5001, 1005)
	l.near.send(ip{src: near4, dst: far4}, &layers.TCP{SrcPort: 1, DstPort: 25, Seq: 7, SYN: true})
	l.near.expectNothing(gate4)
}

// Refuse leaves what is established alone.
func TestRefuse(t *testing.T) {
	l := talk{newLab(t)}
	l.handshake()
	l.rules(wan.Rule{Action: wan.Refuse})
	l.up("P.", 1001, 5001, "data")
	if l.dials(2, 1) {
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
		l.rules(wan.Rule{Action: action})
		l.near.send(ip{src: near4, dst: far4}, udp(1, 2))
		if got, want := l.near.nextICMP(), (icmp4{from: gate4, kind: layers.CreateICMPv4TypeCode(3, code), ttl: 64}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// What a rule delays, loses or limits goes on to the next rule; a rule that does not act
// is as if it were not there.
func TestRulesThatGoOn(t *testing.T) {
	l := newLab(t)
	l.introduce()
	faults := l.rules(
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
		t.Errorf("got %v, want the first rule that acts", got)
	}
	var hits []int64
	for _, f := range faults {
		hits = append(hits, f.Packets())
	}
	if got, want := fmt.Sprint(hits), "[1 1 0 0 0 0 1 0]"; got != want {
		t.Errorf("hits %s, want %s", got, want)
	}
}

func TestLoss(t *testing.T) {
	l := newLab(t)
	l.introduce()
	fault := l.rules(wan.Rule{Protocol: wan.UDP, Action: wan.Lose, Loss: 0.5})[0]
	const n = 200
	for range n {
		l.near.send(ip{src: near4, dst: far4}, udp(1, 2))
	}
	l.near.expectNothing(gate4) // all have been handled
	arrived := len(l.far.got)
	if arrived < n/4 || arrived > n*3/4 || fault.Packets() != int64(n-arrived) || fault.Connections() != 1 {
		t.Errorf("%d of %d arrive at a loss of a half; hits: %d of %d connections", arrived, n, fault.Packets(), fault.Connections())
	}
}

// took is how long shots need until far has them all, in their order.
func (l *lab) took(n, size int) time.Duration {
	l.near.t.Helper()
	start := clock.System().Mark()
	for i := range n {
		text := make([]byte, size)
		copy(text, fmt.Sprintf("%03d", i))
		l.fire(shot{head: udp(1, 2)}, string(text))
	}
	for i := range n {
		if got := string(l.far.next().ApplicationLayer().Payload()[:3]); got != fmt.Sprintf("%03d", i) {
			l.near.t.Fatalf("packet %d is %s: they have changed their order", i, got)
		}
	}
	return clock.System().Since(start)
}

func TestDelayAndJitter(t *testing.T) {
	l := newLab(t)
	l.introduce()
	const delay = 30 * time.Millisecond
	l.rules(wan.Rule{Action: wan.Delay, Delay: delay, Jitter: 5 * time.Millisecond})
	if d := l.took(50, 10); d < delay {
		t.Errorf("packets that are delayed by %v took %v", delay, d)
	}
}

func TestRate(t *testing.T) {
	l := newLab(t)
	l.introduce()
	l.rules(wan.Rule{Action: wan.LimitRate, Rate: 1_000_000})
	// 14 + 20 + 8 + 958 bytes are 8 ms each.
	if d := l.took(10, 958); d < 80*time.Millisecond {
		t.Errorf("10,000 bytes took %v at 1 Mb/s, want 80 ms", d)
	}
}

// A path's faults are those of its far end: routers on the way answer, and the last
// one is who complains.
func TestFaultsOfAPath(t *testing.T) {
	l := newLab(t, wan.Path{Name: "far", To: prefix("216.58.194.0/24"), Hops: []wan.Hop{hop("10.0.202.1"), hop("198.51.100.1")}})
	l.rules(wan.Rule{Path: "far", Action: wan.HostUnreachable})
	l.near.send(ip{src: near4, dst: far4}, udp(1, 2))
	if got, want := l.near.nextICMP(), (icmp4{from: addr("198.51.100.1"), kind: layers.CreateICMPv4TypeCode(3, 1), ttl: 63}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	l.near.send(ip{src: near4, dst: far4, ttl: 2}, udp(1, 2))
	if got := l.near.nextICMP(); got.from != addr("198.51.100.1") || got.kind.Type() != 11 {
		t.Errorf("the last router: %v, want time exceeded", got)
	}
	l.rules(wan.Rule{Path: "far", Action: wan.Reset, Direction: wan.In})
	l.near.send(ip{src: near4, dst: far4}, segment(false, "S", 1000, 0))
	l.far.nextTCP()
	l.far.send(ip{src: far4, dst: near4}, segment(true, ".", 5000, 1001))
	if got := l.far.nextTCP(); got.flags != "R." {
		t.Errorf("far got %v, want a reset", got)
	}
	if got := l.near.nextTCP(); got.flags != "R." {
		t.Errorf("near got %v, want a reset", got)
	}
	l.rules(wan.Rule{Path: "another", Action: wan.Drop})
	l.up("S", 9000)
}

// up sends a SYN that has to arrive.
func (l *lab) up(_ string, isn uint32) {
	l.near.t.Helper()
	l.near.send(ip{src: near4, dst: far4}, segment(false, "S", isn, 0))
	l.far.nextTCP()
}

// A fault that stays while others come and go keeps its counts.
func TestFaultsKeepWhatTheyRemember(t *testing.T) {
	l := newLab(t)
	l.introduce()
	fault := wan.NewFault(wan.Rule{Protocol: wan.TCP, Connections: 2, Action: wan.Reset})
	l.wan.SetFaults([]*wan.Fault{fault})
	first := l.dials(1, 1)
	l.wan.SetFaults([]*wan.Fault{wan.NewFault(wan.Rule{Protocol: wan.ICMP, Action: wan.Drop}), fault})
	if got, want := fmt.Sprint(first, l.dials(2, 1), l.dials(3, 1)), "false false true"; got != want {
		t.Errorf("connections arrive: %s, want %s", got, want)
	}
}
