package ether_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// timeout bounds the wait for a frame.
const timeout = 2 * time.Minute

func mac(n byte) ether.MAC { return ether.MAC{2, 0, 0, 0, 0, n} }

func frame(dst, src ether.MAC, payload string) []byte {
	f := append(append([]byte{}, dst[:]...), src[:]...)
	return append(append(f, 0x88, 0xb5), payload...)
}

// An inbox collects the frames that nodes receive.
type inbox chan string

func (in inbox) node(name string) func([]byte) {
	return func(f []byte) { in <- name + " " + string(f[14:]) }
}

func (in inbox) next(t *testing.T) string {
	t.Helper()
	select {
	case s := <-in:
		return s
	case <-time.After(timeout):
		t.Fatal("nothing arrived")
		return ""
	}
}

func newFabric(t *testing.T) *ether.Fabric {
	t.Helper()
	fabric := ether.NewFabric(ether.Options{Rand: entropy.Seeded(1).Stream("ether")})
	t.Cleanup(fabric.Close)
	return fabric
}

func TestFramesAreForwardedByAddress(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 10)
	lan, other := fabric.NewSegment("lan"), fabric.NewSegment("other")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	lan.NewNodePort("c", mac(3), 1500, in.node("c"))
	other.NewNodePort("d", mac(4), 1500, in.node("d"))

	a.Transmit(frame(mac(2), mac(1), "to b"))
	a.Transmit(frame(mac(4), mac(1), "to another segment"))
	a.Transmit(frame(mac(9), mac(1), "to nobody"))
	a.Transmit(frame(ether.Broadcast(), mac(1), "to all"))
	a.Transmit(frame(mac(3), mac(1), "to c"))

	var got []string
	for range 4 {
		got = append(got, in.next(t))
	}
	want := []string{"b to b", "b to all", "c to all", "c to c"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("received (-want +got):\n%s", d)
	}
}

func TestTransmitCopiesTheFrame(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 1)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	f := frame(mac(2), mac(1), "first")
	hold := make(chan struct{})
	fabric.After(0, func() { <-hold }) // keeps the pump from dequeuing the frame
	a.Transmit(f)
	copy(f[14:], "SECOND")
	close(hold)
	if got := in.next(t); got != "b first" {
		t.Errorf("got %q", got)
	}
}

func TestReceiverCanTransmitAndOrderIsKept(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 1000)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	var echo *ether.Port
	echo = lan.NewNodePort("echo", mac(2), 1500, func(f []byte) {
		copy(f, f[6:12]) // a receiver may change the frame
		m := echo.MAC()
		copy(f[6:], m[:])
		echo.Transmit(f)
	})
	for i := range 500 {
		a.Transmit(frame(mac(2), mac(1), fmt.Sprint(i)))
	}
	for i := range 500 {
		if got, want := in.next(t), fmt.Sprint("a ", i); got != want {
			t.Fatalf("answer %d is %q", i, got)
		}
	}
}

func TestErrorsAreCounted(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 10)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 2000, in.node("a"))
	b := lan.NewNodePort("b", mac(2), 60, in.node("b"))
	a.Transmit(make([]byte, 13))                                  // shorter than a header
	a.Transmit(make([]byte, 2015))                                // longer than a's MTU
	a.Transmit(frame(mac(2), mac(1), string(make([]byte, 1501)))) // longer than b's MTU and 1500
	a.Transmit(frame(mac(2), mac(1), "good"))
	in.next(t)
	a.SetUp(false)
	a.Transmit(frame(mac(2), mac(1), "port down"))
	a.SetUp(true)

	want := network.Counters{TxPackets: 2, TxBytes: 1515 + 18, TxErrors: 3}
	if got := a.Counters(); got != want {
		t.Errorf("a counts %+v, want %+v", got, want)
	}
	want = network.Counters{RxPackets: 1, RxBytes: 18, RxErrors: 1}
	if got := b.Counters(); got != want {
		t.Errorf("b counts %+v, want %+v", got, want)
	}
}

// A port with a low MTU still receives frames of the standard length, for example from a
// neighbor whose MTU has not been lowered.
func TestLowMTULimitsOnlyTransmission(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 10)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	b := lan.NewNodePort("b", mac(2), 60, in.node("b"))
	b.Transmit(frame(mac(1), mac(2), string(make([]byte, 61))))
	b.Transmit(frame(mac(1), mac(2), string(make([]byte, 60))))
	if got := in.next(t); len(got) != len("a ")+60 {
		t.Errorf("a got %d bytes", len(got))
	}
	a.Transmit(frame(mac(2), mac(1), string(make([]byte, 1500))))
	if got := in.next(t); len(got) != len("b ")+1500 {
		t.Errorf("b got %d bytes", len(got))
	}
	if c := b.Counters(); c.TxErrors != 1 || c.RxErrors != 0 {
		t.Errorf("b counts %+v", c)
	}
}

func TestFullRingDropsAndCountsFrames(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 5000)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	hold, held := make(chan struct{}), make(chan struct{})
	fabric.After(0, func() { close(held); <-hold })
	<-held
	for range 5000 {
		a.Transmit(frame(mac(2), mac(1), ""))
	}
	close(hold)
	c := a.Counters()
	if c.TxDropped == 0 || c.TxDropped >= 5000 {
		t.Fatalf("%d of 5000 frames were dropped while the pump was blocked", c.TxDropped)
	}
	for range 5000 - c.TxDropped {
		in.next(t)
	}
}

func TestTapsSeeFramesInOrderOfCause(t *testing.T) {
	fabric := newFabric(t)
	lan := fabric.NewSegment("lan")
	var mu sync.Mutex
	var got []string
	var last time.Time
	record := func(name string) func(time.Time, network.Direction, []byte) {
		return func(at time.Time, dir network.Direction, f []byte) {
			mu.Lock()
			defer mu.Unlock()
			if at.Before(last) {
				t.Errorf("time stamp %v after %v", at, last)
			}
			last = at
			direction := map[network.Direction]string{network.In: "in", network.Out: "out"}[dir]
			got = append(got, fmt.Sprint(name, " ", direction, " ", string(f[14:])))
		}
	}
	in := make(inbox, 1)
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	var b *ether.Port
	b = lan.NewNodePort("b", mac(2), 1500, func([]byte) {
		b.Transmit(frame(mac(1), mac(2), "pong"))
	})
	a.Tap(record("a"))
	remove := b.Tap(record("b"))
	a.Transmit(frame(mac(2), mac(1), "ping"))
	in.next(t)
	remove()
	remove()
	a.Transmit(frame(mac(2), mac(1), "ping"))
	in.next(t)
	want := []string{
		"a out ping", "b in ping", "b out pong", "a in pong", // with both taps
		"a out ping", "a in pong", // with a's only
	}
	mu.Lock()
	defer mu.Unlock()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("taps saw (-want +got):\n%s", d)
	}
}

func TestTimeStampsContinueWhenTheClockIsSetBack(t *testing.T) {
	start := time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
	fake := clock.NewFake(start)
	now := clock.NewOffset(fake)
	fabric := ether.NewFabric(ether.Options{Clock: now})
	defer fabric.Close()
	lan, in := fabric.NewSegment("lan"), make(inbox, 1)
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	transmit := func() {
		a.Transmit(frame(mac(2), mac(1), ""))
		in.next(t)
	}
	var stamps []time.Time
	record := func(at time.Time, _ network.Direction, _ []byte) { stamps = append(stamps, at) }
	remove := a.Tap(record)
	transmit()
	now.Set(start.Add(-24 * time.Hour))
	transmit()
	fake.Advance(time.Second)
	transmit()
	remove()
	defer a.Tap(record)()
	transmit()
	want := []time.Time{
		start, start, start.Add(time.Second), start.Add(time.Second - 24*time.Hour),
	}
	if d := cmp.Diff(want, stamps); d != "" {
		t.Errorf("time stamps (-want +got):\n%s", d)
	}
}

func TestAllowOnlyDropsFrames(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 10)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	b := lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	remove := a.AllowOnly(func(dir network.Direction, f []byte) bool {
		return string(f[14:]) != "lost"
	})
	a.Transmit(frame(mac(2), mac(1), "lost"))
	a.Transmit(frame(mac(2), mac(1), "kept"))
	if got := in.next(t); got != "b kept" {
		t.Errorf("got %q", got)
	}
	b.Transmit(frame(mac(1), mac(2), "lost"))
	b.Transmit(frame(mac(1), mac(2), "kept"))
	if got := in.next(t); got != "a kept" {
		t.Errorf("got %q", got)
	}
	remove()
	a.Transmit(frame(mac(2), mac(1), "lost"))
	if got := in.next(t); got != "b lost" {
		t.Errorf("got %q after remove", got)
	}
	if c := a.Counters(); c.RxPackets != 1 || c.TxPackets != 3 {
		t.Errorf("a counts %+v", c)
	}
}

func TestImpairmentDelaysFramesInOrder(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 100)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	a.SetImpairment(ether.Impairment{Delay: 2 * time.Millisecond, Jitter: 2 * time.Millisecond})
	m := clock.System().Mark()
	for i := range 100 {
		a.Transmit(frame(mac(2), mac(1), fmt.Sprint(i)))
	}
	for i := range 100 {
		if got, want := in.next(t), fmt.Sprint("b ", i); got != want {
			t.Fatalf("frame %d is %q", i, got)
		}
		if d := clock.System().Since(m); d < 2*time.Millisecond {
			t.Fatalf("frame %d took %v", i, d)
		}
	}
	a.SetImpairment(ether.Impairment{})
	if a.Transmit(frame(mac(2), mac(1), "repaired")); in.next(t) != "b repaired" {
		t.Error("the repaired cable lost a frame")
	}
}

func TestImpairmentLosesAFractionOfTheFrames(t *testing.T) {
	fabric := newFabric(t)
	lan := fabric.NewSegment("lan")
	got, done := 0, make(chan bool)
	a := lan.NewNodePort("a", mac(1), 1500, nil)
	lan.NewNodePort("b", mac(2), 1500, func([]byte) { got++ })
	a.SetImpairment(ether.Impairment{Loss: 0.25})
	for range 4000 {
		a.Transmit(frame(mac(2), mac(1), ""))
	}
	// Nodes are called one after another, in the order of transmission.
	lan.NewNodePort("end", mac(3), 1500, func([]byte) { close(done) })
	lan.NewNodePort("c", mac(4), 1500, nil).Transmit(frame(mac(3), mac(4), ""))
	<-done
	if got < 2850 || got > 3150 {
		t.Errorf("%d of 4000 frames arrived", got)
	}
}

func TestImpairmentLimitsRateAndQueue(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 100)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	// 1000 bytes take a millisecond. Two frames fit the queue besides the one being sent.
	a.SetImpairment(ether.Impairment{Rate: 8_000_000, Queue: 2500})
	hold, held := make(chan struct{}), make(chan struct{})
	fabric.After(0, func() { close(held); <-hold })
	<-held
	m := clock.System().Mark()
	for i := range 10 {
		a.Transmit(frame(mac(2), mac(1), fmt.Sprint(i, string(make([]byte, 985)))))
	}
	close(hold)
	for i := range 3 {
		if got, want := in.next(t)[2:3], fmt.Sprint(i); got != want {
			t.Errorf("frame %s arrives, want %s", got, want)
		}
	}
	if d := clock.System().Since(m); d < 3*time.Millisecond {
		t.Errorf("3 frames of a millisecond each took %v", d)
	}
	a.SetImpairment(ether.Impairment{})
	a.Transmit(frame(mac(2), mac(1), "after"))
	if got := in.next(t); got != "b after" {
		t.Errorf("then %q arrives", got)
	}
}

func TestAfterCallsFunctionsInOrderOfTime(t *testing.T) {
	fabric := newFabric(t)
	got := make(chan int, 4)
	m := clock.System().Mark()
	fabric.After(30*time.Millisecond, func() { got <- 3 })
	fabric.After(5*time.Millisecond, func() { got <- 2 })
	fabric.After(0, func() { got <- 1 })
	for want := 1; want <= 3; want++ {
		if n := <-got; n != want {
			t.Errorf("ran %d, want %d", n, want)
		}
	}
	if d := clock.System().Since(m); d < 30*time.Millisecond {
		t.Errorf("30 ms took %v", d)
	}
}

func TestNothingArrivesAfterClose(t *testing.T) {
	fabric := newFabric(t)
	lan := fabric.NewSegment("lan")
	var mu sync.Mutex
	closed := false
	a := lan.NewNodePort("a", mac(1), 1500, nil)
	b := lan.NewNodePort("b", mac(2), 1500, func([]byte) {
		mu.Lock()
		defer mu.Unlock()
		if closed {
			t.Error("received after Close")
		}
	})
	for range 1000 {
		a.Transmit(frame(mac(2), mac(1), ""))
	}
	b.Close()
	mu.Lock()
	closed = true
	mu.Unlock()
	a.TransmitAfter(time.Hour, frame(mac(2), mac(1), ""))
	fabric.After(time.Hour, func() { t.Error("ran after Close") })
	fabric.Close()
	fabric.After(0, func() { t.Error("ran after Close") })
	a.Transmit(frame(mac(2), mac(1), ""))
	fabric.Close()
}

// A frame filter decides about each frame on a port's cable, in both directions, and gets
// the ports at both ends.
func TestFrameFilter(t *testing.T) {
	fabric := newFabric(t)
	lan := fabric.NewSegment("lan")
	atA, atB, atC := make(inbox, 10), make(inbox, 10), make(inbox, 10)
	a := lan.NewNodePort("a", mac(1), 1500, atA.node("a"))
	b := lan.NewNodePort("b", mac(2), 1500, atB.node("b"))
	c := lan.NewNodePort("c", mac(3), 1500, atC.node("c"))
	const late = 30 * time.Millisecond
	b.SetFrameFilter(func(from, to *ether.Port, f []byte) (time.Duration, bool) {
		switch text := string(f[14:]); {
		case text == "late":
			return late, true
		case from == a && to == b, from == b && to == a:
			return 0, text != "lost"
		}
		return 0, true
	})
	start := clock.System().Mark()
	a.Transmit(frame(mac(2), mac(1), "lost"))
	a.Transmit(frame(mac(2), mac(1), "late"))
	b.Transmit(frame(mac(1), mac(2), "lost"))
	b.Transmit(frame(mac(1), mac(2), "back"))
	c.Transmit(frame(mac(2), mac(3), "lost"))
	if got := atA.next(t); !strings.Contains(got, "back") {
		t.Errorf("a got %q, want the frame that is not lost", got)
	}
	if got := atB.next(t); !strings.Contains(got, "late") {
		t.Errorf("b got %q first, want the frames in order", got)
	}
	if d := clock.System().Since(start); d < late {
		t.Errorf("the frame that is delayed by %v took %v", late, d)
	}
	if got := atB.next(t); !strings.Contains(got, "lost") {
		t.Errorf("b got %q, want the frame of c", got)
	}
	b.SetFrameFilter(nil)
	a.Transmit(frame(mac(2), mac(1), "lost"))
	atB.next(t)
}

// Switching a port off and unplugging its cable are independent.
func TestSetUpAndSetPluggedAreIndependent(t *testing.T) {
	fabric := newFabric(t)
	p := fabric.NewSegment("lan").NewNodePort("a", mac(1), 1500, func([]byte) {})
	p.SetPlugged(false)
	p.SetUp(false)
	p.SetUp(true)
	if p.Up() {
		t.Error("a port is up after it was switched on with its cable unplugged")
	}
	p.SetPlugged(true)
	if !p.Up() {
		t.Error("a port that is switched on and plugged in is not up")
	}
}

// A watch sees each change of the cable, even if both happen before it looks, and no other one.
func TestWatchCarrier(t *testing.T) {
	fabric := newFabric(t)
	p := fabric.NewSegment("lan").NewNodePort("a", mac(1), 1500, func([]byte) {})
	var seen, other []bool
	cancel := p.WatchCarrier(func() { seen = append(seen, p.Plugged()) })
	cancelOther := p.WatchCarrier(func() { other = append(other, p.Plugged()) })
	p.SetPlugged(true)
	p.SetUp(false)
	p.SetUp(true)
	p.SetPlugged(false)
	p.SetCarrier(false)
	p.SetPlugged(true)
	p.SetCarrier(true)
	if want := []bool{false, true}; !slices.Equal(seen, want) || !slices.Equal(other, want) {
		t.Errorf("the watches have seen %v and %v, want %v", seen, other, want)
	}
	cancel()
	p.SetPlugged(false)
	cancelOther()
	p.SetPlugged(true)
	if len(seen) != 2 || len(other) != 3 {
		t.Errorf("after the ends the watches have seen %v and %v", seen, other)
	}
}

func TestInjectAfterBypassesTheCable(t *testing.T) {
	fabric := newFabric(t)
	in := make(inbox, 1)
	p := fabric.NewSegment("lan").NewNodePort("a", mac(1), 1500, in.node("a"))
	p.SetFrameFilter(func(_, _ *ether.Port, _ []byte) (time.Duration, bool) { return 0, false })
	p.InjectAfter(0, p, frame(mac(1), mac(2), "hello"))
	if got := in.next(t); !strings.Contains(got, "hello") {
		t.Errorf("got %q", got)
	}
}
