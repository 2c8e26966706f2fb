package ether

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/esasim/esasim/appliance/network"
)

// offloadedPacket returns the packet that a stack hands to its link for a frame whose data
// has yet to be split into segments of mss bytes.
func offloadedPacket(t *testing.T, frame []byte, mss int) *stack.PacketBuffer {
	t.Helper()
	s, ok := parseTCPSegment(frame)
	if !ok {
		s.data = s.tcp + int(frame[s.tcp+12]>>4)*4
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: s.data, Payload: buffer.MakeWithData(frame[s.data:])})
	tcp := pkt.TransportHeader().Push(s.data - s.tcp)
	copy(tcp, frame[s.tcp:])
	header.TCP(tcp).SetChecksum(0xbeef) // the stack leaves it incomplete
	copy(pkt.NetworkHeader().Push(s.tcp-headerLen), frame[headerLen:])
	copy(pkt.LinkHeader().Push(headerLen), frame)
	pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: uint16(mss)}
	return pkt
}

func TestTransmitOffloaded(t *testing.T) {
	push := func(_ *layers.IPv4, tcp *layers.TCP) { tcp.PSH = true }
	for _, c := range []struct {
		name    string
		payload string
		mss     int
		change  func(*layers.IPv4, *layers.TCP)
		want    []string
	}{
		{"three parts", "abcdefghij", 4, push, []string{"100 abcd", "104 efgh", "108 ij PSH"}},
		{"an exact fit", "abcdefgh", 4, nil, []string{"100 abcd", "104 efgh"}},
		{"odd parts", "abcdefg", 3, push, []string{"100 abc", "103 def", "106 g PSH"}},
		{"one part", "abc", 4, push, []string{"100 abc PSH"}},
		{"no data", "", 4, nil, []string{"100 "}},
		{"the MTU is smaller", "abcdefghij", 1448, nil, []string{"100 abcdef", "106 ghij"}},
	} {
		for _, v6 := range []bool{false, true} {
			mtu := 1500
			if c.name == "the MTU is smaller" {
				if mtu = v4Len + 32 + 6; v6 {
					mtu = v6Len + 32 + 6
				}
			}
			fabric := NewFabric(Options{})
			p := fabric.NewSegment("lan").NewPort("nic", MAC{2, 0, 0, 0, 0, 1}, mtu)
			var got []string
			p.Tap(func(_ time.Time, _ network.Direction, frame []byte) {
				got = append(got, describe(frame))
			})
			pkt := offloadedPacket(t, newTCPFrame(t, v6, 100, c.payload, c.change), c.mss)
			var list stack.PacketBufferList
			list.PushBack(pkt)
			if n, err := p.Endpoint().WritePackets(list); n != 1 || err != nil {
				t.Errorf("%s: wrote %d packets, %v", c.name, n, err)
			}
			pkt.DecRef()
			done := make(chan bool)
			fabric.After(0, func() { close(done) })
			<-done
			fabric.Close()
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s, IPv6 %v (-want +got):\n%s", c.name, v6, d)
			}
			for _, s := range got {
				if strings.Contains(s, "damaged") {
					t.Errorf("%s, IPv6 %v: %s", c.name, v6, s)
				}
			}
		}
	}
}
