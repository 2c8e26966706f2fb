package vnet

import (
	"bytes"
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// An interface without an address sends whole frames, which taps and counters see.
func TestSendFrame(t *testing.T) {
	fabric := ether.NewFabric(ether.Options{})
	t.Cleanup(fabric.Close)
	segment := fabric.NewSegment("segment")
	received := make(chan []byte, 1)
	segment.NewNodePort("other", ether.MAC{2, 0, 0, 0, 0, 2}, 1500, func(frame []byte) {
		received <- bytes.Clone(frame)
	})
	h := NewHost(Options{Name: "host", LoopbackIndex: 2})
	t.Cleanup(h.Close)
	if err := h.AddInterface(InterfaceConfig{
		Name: "Data 1", Device: "nic1", Index: 1, Segment: segment, MAC: ether.MAC{2, 0, 0, 0, 0, 1},
	}); err != nil {
		t.Fatal(err)
	}
	tapped := make(chan network.Frame, 1)
	tap, err := h.Tap(network.TapConfig{Interface: "Data 1", Sink: func(f network.Frame) {
		f.Data = bytes.Clone(f.Data)
		tapped <- f
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	frame := append([]byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5,
	}, make([]byte, 46)...)
	if err := h.SendFrame("Data 1", frame); err != nil {
		t.Fatal(err)
	}
	if got := <-received; !bytes.Equal(got, frame) {
		t.Errorf("the other machine received %x", got)
	}
	if f := <-tapped; f.Dir != network.Out || !bytes.Equal(f.Data, frame) {
		t.Errorf("the tap saw %v %x", f.Dir, f.Data)
	}
	if c, err := h.Counters("Data 1"); err != nil || c.TxPackets != 1 || c.TxBytes != 60 {
		t.Errorf("the counters are %+v, %v", c, err)
	}
	if addrs := h.Interfaces()[0].Addrs; len(addrs) != 0 {
		t.Errorf("the interface has %v", addrs)
	}
	for _, test := range []struct {
		ifname string
		size   int
		want   error
	}{
		{"Data 2", 60, syscall.ENXIO},
		{"lo0", 60, errors.ErrUnsupported},
		{"Data 1", 13, syscall.EMSGSIZE},
		{"Data 1", 1515, syscall.EMSGSIZE},
	} {
		if err := h.SendFrame(test.ifname, make([]byte, test.size)); !errors.Is(err, test.want) {
			t.Errorf("%s, %d bytes: %v, want %v", test.ifname, test.size, err, test.want)
		}
	}
	h.Port("Data 1").SetPlugged(false)
	if err := h.SendFrame("Data 1", frame); !errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("unplugged: %v", err)
	}
	if err := h.SetAddrs("Data 1", []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}); err != nil {
		t.Error(err) // the card is attached to the stack only now
	}
}
