package wan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// segment returns a TCP header from near's port 26040 to far's port 514 (A3), or the other
// way if back is true.
func segment(back bool, flags string, seq, ack uint32) *layers.TCP {
	t := &layers.TCP{SrcPort: 26040, DstPort: 514, Seq: seq, Ack: ack, Window: 32120}
	if back {
		t.SrcPort, t.DstPort = t.DstPort, t.SrcPort
	}
	for _, f := range flags {
		switch f {
		case 'S':
			t.SYN = true
		case 'P':
			t.PSH = true
		case 'F':
			t.FIN = true
		case '.':
			t.ACK = true
		}
	}
	return t
}

// A conversation is a TCP connection between near and far whose segments the test sends
// one by one.
type conversation struct{ *lab }

// up sends a segment from near and returns what far gets.
func (l conversation) up(flags string, seq, ack uint32, data string) tcp {
	l.near.t.Helper()
	l.near.send(ip{src: near4, dst: far4}, segment(false, flags, seq, ack), gopacket.Payload(data))
	return l.far.nextTCP()
}

// down sends a segment from far and returns what near gets.
func (l conversation) down(flags string, seq, ack uint32) tcp {
	l.near.t.Helper()
	l.far.send(ip{src: far4, dst: near4}, segment(true, flags, seq, ack))
	return l.near.nextTCP()
}

func (l conversation) handshake() {
	l.near.t.Helper()
	l.up("S", 1000, 0, "")
	l.down("S.", 5000, 1001)
	l.up(".", 1001, 5001, "")
}

func TestRules(t *testing.T) {
	to514 := wan.Rule{To: prefix("216.58.194.206/32"), Protocol: wan.TCP, Port: 514}
	with := func(a wan.Action) wan.Rule {
		r := to514
		r.Action = a
		return r
	}
	syn := func(l *lab) { l.near.send(ip{src: near4, dst: far4}, segment(false, "S", 1000, 0)) }

	t.Run("drop", func(t *testing.T) {
		l := newLab(t)
		l.setRules(with(wan.Drop))
		syn(l)
		l.near.expectNothing(gate4)
	})
	t.Run("reset", func(t *testing.T) {
		l := newLab(t)
		l.setRules(with(wan.Reset))
		syn(l)
		if got, want := l.near.nextTCP(), (tcp{flags: "R.", ack: 1001}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("prohibited", func(t *testing.T) {
		l := newLab(t)
		l.setRules(with(wan.Prohibit))
		syn(l)
		want := icmp4{from: gate4, kind: layers.CreateICMPv4TypeCode(3, 13), ttl: 64}
		if got := l.near.nextICMP(); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("reset of UDP", func(t *testing.T) {
		l := newLab(t)
		l.setRules(wan.Rule{Protocol: wan.UDP, Action: wan.Reset})
		l.near.send(ip{src: near4, dst: far4}, &layers.UDP{DstPort: 514})
		want := icmp4{from: gate4, kind: layers.CreateICMPv4TypeCode(3, 3), ttl: 64}
		if got := l.near.nextICMP(); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("the first match decides", func(t *testing.T) {
		l := newLab(t)
		l.setRules(with(wan.Pass), wan.Rule{Action: wan.Drop})
		if got := (conversation{l}).up("S", 1000, 0, ""); got.flags != "S" {
			t.Errorf("far got %v", got)
		}
		l.near.send(ip{src: near4, dst: far4}, &layers.UDP{DstPort: 514})
		l.near.expectNothing(gate4)
	})
	t.Run("reset of an established connection", func(t *testing.T) {
		l := conversation{newLab(t)}
		l.handshake()
		l.setRules(with(wan.Reset))
		l.near.send(ip{src: near4, dst: far4}, segment(false, "P.", 1001, 5001), gopacket.Payload("data"))
		if got, want := l.near.nextTCP(), (tcp{flags: "R.", seq: 5001, ack: 1005}); got != want {
			t.Errorf("near got %v, want %v", got, want)
		}
		if got, want := l.far.nextTCP(), (tcp{flags: "R.", seq: 1001, ack: 5001}); got != want {
			t.Errorf("far got %v, want %v", got, want)
		}
	})
	t.Run("removed", func(t *testing.T) {
		l := conversation{newLab(t)}
		l.setRules(with(wan.Drop))
		syn(l.lab)
		l.near.expectNothing(gate4)
		l.setRules()
		l.handshake()
	})
}

// 412 bytes are delivered and acknowledged, then the connection is reset, as in A3.
func TestResetAfterBytesLooksLikeA3(t *testing.T) {
	l := conversation{newLab(t)}
	l.setRules(wan.Rule{
		To:         prefix("216.58.194.206/32"),
		Protocol:   wan.TCP,
		Port:       514,
		Action:     wan.Reset,
		AfterBytes: 412,
	})
	l.handshake()
	first, second := string(make([]byte, 47)), string(make([]byte, 365))
	got := []tcp{
		l.up("P.", 1001, 5001, first),
		l.down(".", 5001, 1048),
		l.up("P.", 1048, 5001, second),
		l.down(".", 5001, 1413),
		l.near.nextTCP(),
		l.far.nextTCP(),
	}
	want := []tcp{
		{flags: "P.", seq: 1001, ack: 5001, data: first},
		{flags: ".", seq: 5001, ack: 1048},
		{flags: "P.", seq: 1048, ack: 5001, data: second},
		{flags: ".", seq: 5001, ack: 1413},
		{flags: "R.", seq: 5001, ack: 1413}, // to the appliance
		{flags: "R.", seq: 1413, ack: 5001}, // to the server
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(tcp{})); diff != "" {
		t.Errorf("segments (-want +got):\n%s", diff)
	}
}

func TestDataBeyondTheLimitIsReset(t *testing.T) {
	l := conversation{newLab(t)}
	l.setRules(wan.Rule{Protocol: wan.TCP, Port: 514, Action: wan.Reset, AfterBytes: 10})
	l.handshake()
	l.up("P.", 1001, 5001, "0123456789 and more")
	l.near.send(
		ip{src: near4, dst: far4},
		segment(false, "P.", 1020, 5001),
		gopacket.Payload("beyond"),
	)
	if got, want := l.near.nextTCP(), (tcp{flags: "R.", seq: 5001, ack: 1026}); got != want {
		t.Errorf("near got %v, want %v", got, want)
	}
	if got := l.far.nextTCP(); got.flags != "R." || got.seq != 1020 {
		t.Errorf("far got %v, want a reset", got)
	}
}

func TestRecordsAreLines(t *testing.T) {
	l := conversation{newLab(t)}
	l.setRules(wan.Rule{Protocol: wan.TCP, Port: 514, Action: wan.Reset, AfterRecords: 3})
	l.handshake()
	l.up("P.", 1001, 5001, "one\ntw")
	l.up("P.", 1001, 5001, "one\ntw") // a retransmission is not counted
	l.up("P.", 1007, 5001, "o\nthree\n")
	l.down(".", 5001, 1014) // one byte is not acknowledged yet
	if got := l.down(".", 5001, 1015); got.flags != "." {
		t.Fatalf("near got %v, want the acknowledgement", got)
	}
	if got, want := l.near.nextTCP(), (tcp{flags: "R.", seq: 5001, ack: 1015}); got != want {
		t.Errorf("near got %v, want %v", got, want)
	}
}

func TestCountRestartsWithANewConnection(t *testing.T) {
	l := conversation{newLab(t)}
	l.setRules(wan.Rule{Protocol: wan.TCP, Port: 514, Action: wan.Reset, AfterBytes: 4})
	for range 2 {
		l.handshake()
		l.up("P.", 1001, 5001, "data")
		l.down(".", 5001, 1005)
		if got := l.near.nextTCP(); got.flags != "R." {
			t.Errorf("near got %v, want a reset", got)
		}
		if got := l.far.nextTCP(); got.flags != "R." {
			t.Errorf("far got %v, want a reset", got)
		}
	}
}

func TestDatagramsAreRecords(t *testing.T) {
	l := newLab(t)
	l.setRules(wan.Rule{Protocol: wan.UDP, Port: 514, Action: wan.Prohibit, AfterRecords: 2})
	send := func() {
		l.near.send(
			ip{src: near4, dst: far4},
			&layers.UDP{SrcPort: 1, DstPort: 514},
			gopacket.Payload("no newline"),
		)
	}
	for range 2 {
		send()
		l.far.next()
	}
	send()
	if got := l.near.nextICMP(); got.kind != layers.CreateICMPv4TypeCode(3, 13) {
		t.Errorf("the third datagram: %v", got)
	}
}
