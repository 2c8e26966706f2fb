package ether_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// arp returns an ARP message that is shorter than the least frame on a cable.
func arp(dst, src ether.MAC) []byte {
	f := make([]byte, 42)
	copy(f, dst[:])
	copy(f[6:], src[:])
	f[12], f[13] = 0x08, 0x06
	return f
}

func tagged(dst, src ether.MAC, id byte, payload string) []byte {
	f := append(append([]byte{}, dst[:]...), src[:]...)
	return append(append(f, 0x81, 0x00, 0x00, id, 0x88, 0xb5), payload...)
}

func TestUnknownAddressesAreOutside(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 20)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	up := lan.NewUplinkPort("up", 1500, nil, in.node("up"))

	a.Transmit(frame(mac(9), mac(1), "to the outside"))
	a.Transmit(frame(mac(2), mac(1), "to b"))
	a.Transmit(frame(ether.Broadcast(), mac(1), "to all"))
	up.Transmit(frame(mac(1), mac(9), "from the outside"))
	up.Transmit(frame(mac(8), mac(9), "to nobody"))
	up.Transmit(frame(ether.Broadcast(), mac(9), "from the outside to all"))
	var got []string
	for range 7 {
		got = append(got, in.next(t))
	}
	want := []string{
		"up to the outside", "b to b", "b to all", "up to all",
		"a from the outside", "a from the outside to all", "b from the outside to all",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("received (-want +got):\n%s", d)
	}
	if lan.Knows(mac(9)) || !lan.Knows(mac(2)) || !lan.Knows(ether.Broadcast()) {
		t.Error("the segment knows the outside, or not its own ports")
	}
}

func TestUplinkOfOnePort(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 20)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	b := lan.NewNodePort("b", mac(2), 1500, in.node("b"))
	up := lan.NewUplinkPort("up", 1500, a, in.node("up"))
	group := ether.MAC{1, 0, 0x5e, 0, 0, 7}
	b.JoinGroup(group)

	b.Transmit(frame(mac(9), mac(2), "must not leave"))
	b.Transmit(frame(ether.Broadcast(), mac(2), "to all"))
	up.Transmit(frame(mac(2), mac(9), "must not arrive"))
	up.Transmit(frame(ether.Broadcast(), mac(9), "from the outside"))
	a.Transmit(frame(mac(9), mac(1), "to the outside"))
	a.Transmit(frame(group, mac(1), "to a group"))
	var got []string
	for range 5 {
		got = append(got, in.next(t))
	}
	want := []string{
		"a to all", "a from the outside", "up to the outside", "b to a group", "up to a group",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("received (-want +got):\n%s", d)
	}
}

func TestUplinkIsATrunk(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 20)
	lan := fabric.NewSegment("lan")
	a := lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	c := lan.VLAN(5).NewNodePort("c", mac(3), 1500, in.node("c"))
	up := lan.NewUplinkPort("up", 1500, nil, func(f []byte) { in <- fmt.Sprintf("up %x", f[12:]) })

	a.Transmit(tagged(mac(9), mac(1), 5, "x"))
	c.Transmit(frame(mac(9), mac(3), "y"))
	up.Transmit(tagged(mac(3), mac(9), 5, "in"))
	up.Transmit(tagged(mac(3), mac(9), 6, "in another VLAN"))
	a.Transmit(tagged(mac(3), mac(1), 5, "not outside"))
	var got []string
	for range 4 {
		got = append(got, in.next(t))
	}
	want := []string{"up 8100000588b578", "up 8100000588b579", "c in", "c not outside"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("received (-want +got):\n%s", d)
	}
}

// A frame passes an uplink as it is: a real card pads it if necessary.
func TestUplinkDoesNotPad(t *testing.T) {
	fabric := newFabric(t)
	lengths := make(chan int, 10)
	lan := fabric.NewSegment("lan")
	receive := func(f []byte) { lengths <- len(f) }
	a := lan.NewNodePort("a", mac(1), 1500, receive)
	lan.NewNodePort("b", mac(2), 1500, receive)
	up := lan.NewUplinkPort("up", 1500, nil, receive)
	a.Transmit(arp(mac(9), mac(1)))
	up.Transmit(arp(mac(1), mac(9)))
	a.Transmit(arp(mac(2), mac(1)))
	for i, want := range []int{42, 42, 60} {
		if n := <-lengths; n != want {
			t.Errorf("frame %d arrives with %d bytes, want %d", i, n, want)
		}
	}
}

func TestCarrierAndCableAreIndependent(t *testing.T) {
	fabric := newFabric(t)
	a := fabric.NewSegment("lan").NewNodePort("a", mac(1), 1500, func([]byte) {})
	a.SetCarrier(false)
	a.SetPlugged(false)
	a.SetCarrier(true)
	if a.Up() || a.Plugged() {
		t.Error("the cable is unplugged, but the port is up")
	}
	a.SetPlugged(true)
	a.SetCarrier(false)
	if a.Up() || a.Plugged() {
		t.Error("there is no carrier, but the port is up")
	}
	a.SetCarrier(true)
	if !a.Up() || !a.Plugged() {
		t.Error("the port stays down")
	}
}

// A flood from outside is bounded by the ring of the uplink, and what exceeds it is counted.
func TestFloodFromOutsideIsBounded(t *testing.T) {
	fabric, in := newFabric(t), make(inbox, 10000)
	lan := fabric.NewSegment("lan")
	lan.NewNodePort("a", mac(1), 1500, in.node("a"))
	up := lan.NewUplinkPort("up", 1500, nil, in.node("up"))
	hold, held := make(chan struct{}), make(chan struct{})
	fabric.After(0, func() { close(held); <-hold })
	<-held
	for range 5000 {
		up.Transmit(frame(mac(1), mac(9), "flood"))
	}
	close(hold)
	if c := up.Counters(); c.TxDropped != 5000-4096 {
		t.Errorf("%d frames are dropped, want %d", c.TxDropped, 5000-4096)
	}
}
