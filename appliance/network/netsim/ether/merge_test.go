package ether

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A stackRecorder is a stack that records the packets that are delivered to it.
type stackRecorder struct {
	stack.NetworkDispatcher
	from    stack.LinkEndpoint // nil, or where the packets come from
	frames  [][]byte
	checked []bool // the link has told that the checksums need no check
}

func (c *stackRecorder) DeliverNetworkPacket(
	_ tcpip.NetworkProtocolNumber,
	pkt *stack.PacketBuffer,
) {
	v := pkt.ToView()
	c.frames = append(c.frames, bytes.Clone(v.AsSlice()))
	v.Release()
	c.checked = append(c.checked,
		c.from != nil && c.from.Capabilities()&stack.CapabilityRXChecksumOffload != 0)
}

// newTCPFrame returns a frame with a TCP segment. If change is not nil it changes the
// headers.
func newTCPFrame(
	t *testing.T, v6 bool, seq uint32, payload string,
	change func(ip4 *layers.IPv4, tcp *layers.TCP),
) []byte {
	t.Helper()
	eth := &layers.Ethernet{
		SrcMAC:       net.HardwareAddr{2, 0, 0, 0, 0, 1},
		DstMAC:       net.HardwareAddr{2, 0, 0, 0, 0, 2},
		EthernetType: layers.EthernetTypeIPv4,
	}
	ip4 := &layers.IPv4{
		Version:  4,
		IHL:      5,
		TTL:      64,
		Protocol: layers.IPProtocolTCP,
		SrcIP:    net.IP{10, 0, 0, 1},
		DstIP:    net.IP{10, 0, 0, 2},
		Id:       uint16(seq),
	}
	ip6 := &layers.IPv6{
		Version:    6,
		HopLimit:   64,
		NextHeader: layers.IPProtocolTCP,
		SrcIP:      net.ParseIP("2001:db8::1"),
		DstIP:      net.ParseIP("2001:db8::2"),
	}
	tcp := &layers.TCP{SrcPort: 22, DstPort: 57759, Seq: seq, Ack: 77, ACK: true, Window: 500,
		Options: []layers.TCPOption{
			{
				OptionType:   layers.TCPOptionKindTimestamps,
				OptionLength: 10,
				OptionData:   make([]byte, 8),
			},
		}}
	if change != nil {
		change(ip4, tcp)
	}
	all := []gopacket.SerializableLayer{eth, ip4, tcp, gopacket.Payload(payload)}
	_ = tcp.SetNetworkLayerForChecksum(ip4)
	if v6 {
		eth.EthernetType = layers.EthernetTypeIPv6
		all[1] = ip6
		_ = tcp.SetNetworkLayerForChecksum(ip6)
	}
	b := gopacket.NewSerializeBuffer()
	o := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(b, o, all...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// describe returns sequence number, payload and flags of a TCP segment, and whether its
// checksums are wrong.
func describe(frame []byte) string {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok {
		return fmt.Sprint(p)
	}
	_ = tcp.SetNetworkLayerForChecksum(p.NetworkLayer())
	s := fmt.Sprintf("%d %s", tcp.Seq, tcp.Payload)
	if tcp.PSH {
		s += " PSH"
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		s += " damaged"
	}
	return s
}

func TestMerger(t *testing.T) {
	type frame struct {
		seq     uint32
		payload string
		change  func(*layers.IPv4, *layers.TCP)
	}
	push := func(_ *layers.IPv4, tcp *layers.TCP) { tcp.PSH = true }
	fragment := func(ip *layers.IPv4, _ *layers.TCP) { ip.Flags = layers.IPv4MoreFragments }
	// consecutive returns two segments, of which change has changed the second.
	consecutive := func(change func(*layers.IPv4, *layers.TCP)) []frame {
		return []frame{{100, "ab", nil}, {102, "cd", change}}
	}
	for _, c := range []struct {
		name   string
		frames []frame
		want   []string
	}{
		{"a run", []frame{{100, "abcd", nil}, {104, "efgh", nil}, {108, "ij", push}},
			[]string{"100 abcdefghij PSH"}},
		{"one alone", []frame{{100, "abcd", nil}}, []string{"100 abcd"}},
		{"PSH ends a run", []frame{{100, "ab", nil}, {102, "cd", push}, {104, "ef", nil}},
			[]string{"100 abcd PSH", "104 ef"}},
		{"an odd length ends a run", []frame{{100, "ab", nil}, {102, "cde", nil}, {105, "fg", nil}},
			[]string{"100 abcde", "105 fg"}},
		{"a gap", []frame{{100, "ab", nil}, {104, "ef", nil}}, []string{"100 ab", "104 ef"}},
		{"a repetition", []frame{{100, "ab", nil}, {100, "ab", nil}}, []string{"100 ab", "100 ab"}},
		{"no data", []frame{{100, "", nil}, {100, "", nil}}, []string{"100 ", "100 "}},
		{"another acknowledgement", consecutive(func(_ *layers.IPv4, tcp *layers.TCP) { tcp.Ack++ }),
			[]string{"100 ab", "102 cd"}},
		{"another window", consecutive(func(_ *layers.IPv4, tcp *layers.TCP) { tcp.Window++ }),
			[]string{"100 ab", "102 cd"}},
		{"another port", consecutive(func(_ *layers.IPv4, tcp *layers.TCP) { tcp.DstPort++ }),
			[]string{"100 ab", "102 cd"}},
		{"another sender", consecutive(func(ip *layers.IPv4, _ *layers.TCP) {
			ip.SrcIP = net.IP{10, 0, 0, 9}
		}), []string{"100 ab", "102 cd"}},
		{"another TTL", consecutive(func(ip *layers.IPv4, _ *layers.TCP) { ip.TTL-- }),
			[]string{"100 ab", "102 cd"}},
		{"FIN", consecutive(func(_ *layers.IPv4, tcp *layers.TCP) { tcp.FIN = true }),
			[]string{"100 ab", "102 cd"}},
		{"another time stamp", consecutive(func(_ *layers.IPv4, tcp *layers.TCP) {
			tcp.Options[0].OptionData = []byte("12345678")
		}), []string{"100 ab", "102 cd"}},
		{"a fragment", consecutive(fragment),
			[]string{"100 ab", describe(newTCPFrame(t, false, 102, "cd", fragment))}},
	} {
		for _, v6 := range []bool{false, true} {
			if v6 &&
				(c.name == "a fragment" || c.name == "another sender" || c.name == "another TTL") {
				continue // these change the IPv4 header
			}
			var frames [][]byte
			for _, f := range c.frames {
				frames = append(frames, newTCPFrame(t, v6, f.seq, f.payload, f.change))
			}
			if d := cmp.Diff(c.want, merge(frames)); d != "" {
				t.Errorf("%s, IPv6 %v (-want +got):\n%s", c.name, v6, d)
			}
		}
	}
}

// A stack detects damage to any segment of a run by its own checksum verification.
func TestMergerPreservesDamage(t *testing.T) {
	for i := range 3 {
		frames := [][]byte{
			newTCPFrame(t, false, 100, "abcd", nil),
			newTCPFrame(t, false, 104, "efgh", nil),
			newTCPFrame(t, false, 108, "ijkl", nil),
		}
		frames[i][len(frames[i])-1] ^= 1
		got := merge(frames)
		if len(got) != 1 || !bytes.HasSuffix([]byte(got[0]), []byte("damaged")) {
			t.Errorf("damage in segment %d: the stack gets %q", i, got)
		}
	}
}

// merge passes frames through a merger and describes the packets that the stack gets.
func merge(frames [][]byte) []string {
	fabric := NewFabric(Options{})
	defer fabric.Close()
	p := fabric.NewSegment("lan").NewPort("nic", MAC{}, 1500)
	c := new(stackRecorder)
	p.Endpoint().Attach(c)
	var m merger
	for _, f := range frames {
		m.deliver(p, buffer.NewViewWithData(f))
	}
	m.flush()
	m.flush()
	var got []string
	for _, f := range c.frames {
		got = append(got, describe(f))
	}
	return got
}

// A merged packet is never longer than an IP packet can be.
func TestMergerStopsAtThePacketLimit(t *testing.T) {
	var frames [][]byte
	payload := string(make([]byte, 1448))
	for i := range uint32(60) {
		frames = append(frames, newTCPFrame(t, false, i*1448, payload, nil))
	}
	fabric := NewFabric(Options{})
	defer fabric.Close()
	p := fabric.NewSegment("lan").NewPort("nic", MAC{}, 1500)
	c := new(stackRecorder)
	p.Endpoint().Attach(c)
	var m merger
	for _, f := range frames {
		m.deliver(p, buffer.NewViewWithData(f))
	}
	m.flush()
	total := 0
	for _, f := range c.frames {
		if len(f) > headerLen+maxPacket {
			t.Errorf("a packet of %d bytes", len(f))
		}
		total += len(f) - headerLen - v4Len - 32
	}
	if total != 60*1448 || len(c.frames) != 2 {
		t.Errorf("%d bytes in %d packets", total, len(c.frames))
	}
}
