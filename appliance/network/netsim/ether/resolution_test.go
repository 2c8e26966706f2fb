package ether

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func arpMessage(t *testing.T, op uint16, senderMAC MAC, target netip.Addr) []byte {
	return serialize(
		t,
		&layers.Ethernet{
			SrcMAC:       macOther[:],
			DstMAC:       macTrunk[:],
			EthernetType: layers.EthernetTypeARP,
		},
		&layers.ARP{
			AddrType:          1,
			Protocol:          layers.EthernetTypeIPv4,
			HwAddressSize:     6,
			ProtAddressSize:   4,
			Operation:         op,
			SourceHwAddress:   senderMAC[:],
			SourceProtAddress: []byte{10, 0, 202, 9},
			DstHwAddress:      macTrunk[:],
			DstProtAddress:    target.AsSlice(),
		},
	)
}

func serialize(t *testing.T, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	o := gopacket.SerializeOptions{FixLengths: true}
	if err := gopacket.SerializeLayers(b, o, all...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A message of ARP has 42 bytes where it is sent and the least length of a frame where it is
// received, as in captures of real machines.
func TestReceivedARPIsPadded(t *testing.T) {
	fabric := NewFabric(Options{})
	t.Cleanup(fabric.Close)
	lan := fabric.NewSegment("lan")
	sender := lan.NewPort("sender", macOther, 1500)
	received, shown := make(chan []byte, 1), make(chan int, 2)
	receiver := lan.NewNodePort("receiver", macTrunk, 1500, func(frame []byte) {
		received <- bytes.Clone(frame)
	})
	for _, p := range []*Port{sender, receiver} {
		p.Tap(func(_ time.Time, _ network.Direction, frame []byte) { shown <- len(frame) })
	}
	message := arpMessage(t, 2, macOther, netip.MustParseAddr("10.0.202.7"))[:arpLen]
	sender.Transmit(message)
	want := append(bytes.Clone(message), make([]byte, 18)...)
	if got := <-received; !bytes.Equal(got, want) {
		t.Errorf("received % x, want % x", got, want)
	}
	if sent, got := <-shown, <-shown; sent != 42 || got != 60 {
		t.Errorf("the taps saw %d and %d bytes, want 42 and 60", sent, got)
	}
	if c := receiver.Counters(); c.RxBytes != 60 {
		t.Errorf("%d bytes were counted, want 60", c.RxBytes)
	}
}

func TestAcceptMulticastARP(t *testing.T) {
	fabric := NewFabric(Options{})
	t.Cleanup(fabric.Close)
	p := fabric.NewSegment("lan").NewPort("p", macTrunk, 1500)
	target := netip.MustParseAddr("10.0.202.7")
	group := MAC{3, 0xbf, 10, 0, 202, 9}
	for _, op := range []uint16{1, 2} {
		accepted := func(m MAC) bool { return p.link.accepts(arpMessage(t, op, m, target)) }
		if u, m := accepted(macOther), accepted(group); !u || m {
			t.Errorf("operation %d: unicast %v, multicast %v, want true, false", op, u, m)
		}
		p.AcceptMulticastARP(true)
		if u, m := accepted(macOther), accepted(group); !u || !m {
			t.Errorf("operation %d: unicast %v, multicast %v, want both true", op, u, m)
		}
		p.AcceptMulticastARP(false)
	}
}

func TestSetUnansweredAddrs(t *testing.T) {
	fabric := NewFabric(Options{})
	t.Cleanup(fabric.Close)
	p := fabric.NewSegment("lan").NewPort("p", macTrunk, 1500)
	unanswered4, own4 := netip.MustParseAddr("10.0.202.33"), netip.MustParseAddr("10.0.202.7")
	unanswered6, own6 := netip.MustParseAddr("2001:db8::33"), netip.MustParseAddr("2001:db8::7")
	p.SetUnansweredAddrs([]netip.Addr{unanswered4, unanswered6})
	solicitation := func(target netip.Addr) []byte {
		return serialize(
			t,
			&layers.Ethernet{
				SrcMAC:       macOther[:],
				DstMAC:       net.HardwareAddr{0x33, 0x33, 0xff, 0, 0, 7},
				EthernetType: layers.EthernetTypeIPv6,
			},
			&layers.IPv6{
				Version:    6,
				HopLimit:   255,
				NextHeader: layers.IPProtocolICMPv6,
				SrcIP:      net.ParseIP("2001:db8::9"),
				DstIP:      net.ParseIP("ff02::1:ff00:7"),
			},
			&layers.ICMPv6{
				TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeNeighborSolicitation, 0),
			},
			&layers.ICMPv6NeighborSolicitation{TargetAddress: target.AsSlice()},
		)
	}
	for _, c := range []struct {
		message  string
		frame    []byte
		accepted bool
	}{
		{"a request for another address", arpMessage(t, 1, macOther, own4), true},
		{"a request for an unanswered address", arpMessage(t, 1, macOther, unanswered4), false},
		{"a reply to an unanswered address", arpMessage(t, 2, macOther, unanswered4), true},
		{"a solicitation of another address", solicitation(own6), true},
		{"a solicitation of an unanswered address", solicitation(unanswered6), false},
	} {
		if p.link.accepts(c.frame) != c.accepted {
			t.Errorf("%s: accepted is %v", c.message, !c.accepted)
		}
	}
	p.SetUnansweredAddrs(nil)
	if !p.link.accepts(arpMessage(t, 1, macOther, unanswered4)) {
		t.Error("a request is not accepted after the addresses were removed")
	}
}
