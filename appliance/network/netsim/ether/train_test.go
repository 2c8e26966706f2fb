package ether

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/esasim/esasim/appliance/network"
)

// A trainPath consists of a stack's port, a router with two ports, and another stack's
// port. Trains are transmitted by the first stack to the second.
type trainPath struct {
	t                           *testing.T
	fabric                      *Fabric
	from, near, far, to         *Port
	relayTrains                 bool // the router takes trains
	egressed, ingressed, routed []string
	toStack                     stackRecorder
}

func newTrainPath(t *testing.T) *trainPath {
	x := &trainPath{t: t, fabric: NewFabric(Options{})}
	t.Cleanup(x.fabric.Close)
	a, b := x.fabric.NewSegment("a"), x.fabric.NewSegment("b")
	x.from = a.NewPort("from", MAC{2, 0, 0, 0, 0, 1}, 1500)
	// The frames of newTCPFrame are addressed to this MAC, on both segments.
	x.near = a.NewNodePort("near", MAC{2, 0, 0, 0, 0, 2}, 1500, func(frame []byte) {
		x.routed = append(x.routed, describe(frame))
		x.far.RelayAfter(0, frame)
	})
	x.near.HandleTrains(func(t *Train) bool {
		if x.relayTrains {
			x.far.TransmitTrainAfter(0, t)
		}
		return x.relayTrains
	})
	x.far = b.NewNodePort("far", MAC{2, 0, 0, 0, 0, 1}, 1500, func([]byte) {})
	x.to = b.NewPort("to", MAC{2, 0, 0, 0, 0, 2}, 1500)
	x.toStack.from = x.to.Endpoint()
	x.to.Endpoint().Attach(&x.toStack)
	tap := func(p *Port, seen *[]string) {
		p.Tap(func(_ time.Time, _ network.Direction, frame []byte) {
			*seen = append(*seen, describe(frame))
		})
	}
	tap(x.from, &x.egressed)
	tap(x.to, &x.ingressed)
	return x
}

// transmit transmits "abcdefghij" in segments of four bytes, waits until they have arrived
// and returns the packets that the stack got.
func (x *trainPath) transmit(v6 bool) (delivered []string) {
	x.t.Helper()
	return x.transmitText(v6, "abcdefghij", 4)
}

func (x *trainPath) transmitText(v6 bool, text string, size int) (delivered []string) {
	x.t.Helper()
	pkt := offloadedPacket(x.t, newTCPFrame(x.t, v6, 100, text, nil), size)
	defer pkt.DecRef()
	var list stack.PacketBufferList
	list.PushBack(pkt)
	if n, err := x.from.Endpoint().WritePackets(list); n != 1 || err != nil {
		x.t.Errorf("wrote %d packets, %v", n, err)
	}
	done := make(chan bool)
	x.fabric.After(20*time.Millisecond, func() { close(done) })
	<-done
	for i, f := range x.toStack.frames {
		text := describe(f)
		if x.toStack.checked[i] {
			text = strings.TrimSuffix(text, " damaged") // nobody has computed the checksum
		}
		delivered = append(delivered, text)
	}
	return delivered
}

var (
	wholeTrain  = []string{"100 abcdefghij"}
	trainFrames = []string{"100 abcd", "104 efgh", "108 ij"}
)

func (x *trainPath) check(what string, want, got []string) {
	x.t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		x.t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestTrainIsDeliveredAsOnePacketAndTappedAsFrames(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		x := newTrainPath(t)
		x.relayTrains = true
		x.check("delivered", wholeTrain, x.transmit(v6))
		x.check("tapped at egress", trainFrames, x.egressed)
		x.check("tapped at ingress", trainFrames, x.ingressed)
		x.check("frames at the router", nil, x.routed)
	}
}

func TestTrainCountsAsItsFrames(t *testing.T) {
	x, y := newTrainPath(t), newTrainPath(t)
	x.relayTrains = true // the router of y gets frames
	x.transmit(false)
	y.transmit(false)
	if n := x.from.Counters().TxPackets; n != 3 {
		t.Errorf("%d packets transmitted, want 3", n)
	}
	for i, ports := range [][2]*Port{
		{x.from, y.from}, {x.near, y.near}, {x.far, y.far}, {x.to, y.to},
	} {
		if d := cmp.Diff(ports[1].Counters(), ports[0].Counters()); d != "" {
			t.Errorf("port %d (-frames +train):\n%s", i, d)
		}
	}
}

func TestNodeThatTakesNoTrainsGetsFrames(t *testing.T) {
	x := newTrainPath(t)
	x.check("delivered", wholeTrain, x.transmit(false)) // the receiver's port merges them again
	x.check("frames at the router", trainFrames, x.routed)
	x.check("tapped at ingress", trainFrames, x.ingressed)
}

func TestAllowOnlyAppliesToEachFrameOfATrain(t *testing.T) {
	for _, c := range []struct {
		name   string
		port   func(*trainPath) *Port
		routed []string
	}{
		{"on its way out", func(x *trainPath) *Port { return x.from }, []string{"100 abcd", "108 ij"}},
		{"on its way in", func(x *trainPath) *Port { return x.near }, []string{"100 abcd", "108 ij"}},
	} {
		x := newTrainPath(t)
		x.relayTrains = true
		c.port(x).AllowOnly(func(_ network.Direction, frame []byte) bool {
			return !strings.Contains(string(frame), "efgh")
		})
		x.check(c.name+": delivered", c.routed, x.transmit(false))
		x.check(c.name+": routed", c.routed, x.routed)
		x.check(c.name+": tapped at egress", trainFrames, x.egressed)
	}
}

// Machines send trains to a multicast address if a cluster announces one by ARP.
func TestTrainToMulticastAddress(t *testing.T) {
	x := newTrainPath(t)
	group := MAC{3, 0xbf, 10, 0, 202, 9}
	x.near.JoinGroup(group)
	f := newTCPFrame(t, false, 100, "abcdefghij", nil)
	copy(f, group[:])
	pkt := offloadedPacket(t, f, 4)
	defer pkt.DecRef()
	x.from.link.transmitOffloaded(pkt)
	done := make(chan bool)
	x.fabric.After(20*time.Millisecond, func() { close(done) })
	<-done
	x.check("frames at a member", trainFrames, x.routed)
}

func TestImpairedCableSplitsTrains(t *testing.T) {
	x := newTrainPath(t)
	x.relayTrains = true
	x.near.SetImpairment(Impairment{Delay: time.Microsecond})
	x.transmit(false)
	x.check("routed", trainFrames, x.routed)
	x.check("tapped at ingress", trainFrames, x.ingressed)
}

func TestEachFrameOfATrainThatIsTooLongCountsAsError(t *testing.T) {
	x := newTrainPath(t)
	x.relayTrains = true
	for _, p := range []*Port{x.from, x.near, x.far} {
		p.SetMTU(9000)
	}
	const size = standardMTU - v4Len - 32 + 1
	x.check(
		"delivered",
		[]string{fmt.Sprint(100+2*size, " end")},
		x.transmitText(false, strings.Repeat("x", 2*size)+"end", size),
	)
	if n := x.to.Counters().RxErrors; n != 2 {
		t.Errorf("%d errors, want 2", n)
	}
}

func TestTrainIsNotTransmittedWhenPortIsDown(t *testing.T) {
	x := newTrainPath(t)
	x.relayTrains = true
	x.from.SetUp(false)
	x.check("delivered", nil, x.transmit(false))
	if n := x.from.Counters().TxErrors; n != 3 {
		t.Errorf("%d errors, want 3", n)
	}
}

func TestClosedFabricDropsTrains(t *testing.T) {
	x := newTrainPath(t)
	pkt := offloadedPacket(t, newTCPFrame(t, false, 100, "abcdefghij", nil), 4)
	defer pkt.DecRef()
	x.fabric.Close()
	x.from.link.transmitOffloaded(pkt)
	if n := x.from.queued.Load(); n != 0 {
		t.Errorf("%d frames remain in the ring", n)
	}
}

// A train leaves a fabric as one frame, and such a frame becomes the same train again. Frames that
// are no plain TCP data become none.
func TestTrainAsOneFrame(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		frame := newTCPFrame(t, v6, 7, "abcdefghij", nil)
		train := NewTrain(frame, 4)
		if train == nil || train.FrameCount() != 3 || train.SegmentSize() != 4 || train.Len() != len(frame) {
			t.Fatalf("a frame becomes the train %+v", train)
		}
		pieces := train.Pieces([][]byte{[]byte("before")})
		if string(pieces[0]) != "before" {
			t.Errorf("the first piece is % x", pieces[0])
		}
		b := bytes.Join(pieces[1:], nil)
		again := NewTrain(b, 4)
		if again == nil {
			t.Fatalf("% x is no train", b)
		}
		sum := []byte{frame[train.TCP()+16], frame[train.TCP()+17]}
		copy(b[train.TCP()+16:], sum)
		if !bytes.Equal(b, frame) {
			t.Errorf("the frame is\n% x\nwant\n% x", b, frame)
		}
		train.Release()
		again.Release()
	}
	for _, bad := range [][]byte{nil, newTCPFrame(t, false, 7, "", nil), newTCPFrame(t, false, 7, "x", nil)[:40]} {
		if NewTrain(bad, 4) != nil {
			t.Errorf("% x is a train", bad)
		}
	}
}
