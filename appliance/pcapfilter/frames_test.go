package pcapfilter_test

import (
	"encoding/binary"
	"net/netip"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// A frame consists of the captured bytes and the length on the wire.
type frame struct {
	data    []byte
	wireLen int
}

// makeFrames makes frames of every kind that the language can distinguish, with the addresses
// and ports of filters.txt. Some are incomplete, some are captured in part only, some are
// damaged.
func makeFrames(count int) []frame {
	d := randomSource(1)
	var frames []frame
	for i := 0; len(frames) < count; i++ {
		data := randomFrame(&d, i)
		wire := len(data)
		switch d.intn(10) {
		case 0: // shorter than its headers say
			data = data[:d.intn(len(data)+1)]
			wire = len(data)
		case 1: // captured in part
			data = data[:d.intn(len(data)+1)]
		case 2: // damaged
			for range 1 + d.intn(4) {
				data[d.intn(len(data))] = byte(d.uint64())
			}
		}
		if f := (frame{data, wire}); !hangsTcpdump(f) {
			frames = append(frames, f)
		}
	}
	return frames
}

// protochainFilters are filters with a loop, at all offsets that IP headers have in frames.
var protochainFilters = func() (filters []*pcapfilter.Filter) {
	for _, at := range []string{
		"", "vlan and ", "vlan and vlan and ", "mpls and ", "mpls and mpls and ", "pppoes and ",
	} {
		for _, number := range []string{"6", "253"} {
			f, err := pcapfilter.Compile(at+"protochain "+number, pcapfilter.Options{})
			if err != nil {
				panic(err)
			}
			filters = append(filters, f)
		}
	}
	return filters
}()

// hangsTcpdump reports whether tcpdump would never return for a frame.
func hangsTcpdump(f frame) bool {
	for _, c := range protochainFilters {
		if c.Endless(f.data, f.wireLen) {
			return true
		}
	}
	return false
}

// payloadKinds make the part of an Ethernet frame after the addresses.
var payloadKinds = []func(d *randomSource) []byte{
	ipv4Kind, ipv4Kind, ipv4Kind, ipv4Kind, ipv6Kind, ipv6Kind, ipv6Kind,
	arpKind, vlanKind, vlanKind, mplsKind, pppoeKind, llcKind, llcKind, geneveKind, geneveKind,
	rareKind,
}

func randomFrame(d *randomSource, i int) []byte {
	dst := pickOf(d, macs)
	if d.oneIn(8) {
		dst = pickOf(d, groupMACs)
	}
	return join(dst, pickOf(d, macs), payloadKinds[i%len(payloadKinds)](d))
}

var (
	macs = [][]byte{
		{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, {0, 2, 0, 1, 0, 0}, {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc},
	}
	groupMACs = [][]byte{
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {1, 0, 0x5e, 0, 0, 5},
		{0x33, 0x33, 0, 0, 0, 1}, {1, 0x80, 0xc2, 0, 0, 0},
	}
	ipv4s = addresses("10.1.1.1", "10.1.1.1", "10.1.1.2", "10.1.1.0", "10.1.2.3", "10.255.0.1",
		"192.168.1.5", "192.168.1.255",
		"172.16.0.9", "224.0.0.5", "239.1.2.3", "255.255.255.255", "0.0.0.0", "127.0.0.1", "10.0.202.7")
	ipv6s = addresses("2001:db8::1", "2001:db8::2", "2001:db8:1::1", "fe80::1", "fe80::2", "ff02::1",
		"ff02::1:ff00:1", "::1", "::")
	ports = []uint16{25, 25, 25, 80, 80, 53, 53, 443, 22, 21, 20, 514, 513, 123, 6081, 8080, 65535,
		0, 30000}
)

func addresses(texts ...string) (out [][]byte) {
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t).AsSlice())
	}
	return out
}

func join(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func be16(v int) []byte    { return binary.BigEndian.AppendUint16(nil, uint16(v)) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// randomBytes returns up to n random bytes.
func randomBytes(d *randomSource, n int) []byte {
	b := make([]byte, d.intn(n+1))
	for i := range b {
		b[i] = byte(d.uint64())
	}
	return b
}

// typed returns a payload with its Ethernet type.
func typed(typ int, payload []byte) []byte { return join(be16(typ), payload) }

func ipv4Kind(d *randomSource) []byte { return typed(0x0800, ipv4(d)) }
func ipv6Kind(d *randomSource) []byte { return typed(0x86dd, ipv6(d)) }

// network returns a payload that may follow any label, tag or tunnel.
func network(d *randomSource) []byte {
	switch d.intn(5) {
	case 0:
		return ipv6Kind(d)
	case 1:
		return arpKind(d)
	}
	return ipv4Kind(d)
}

func ipv4(d *randomSource) []byte {
	proto, body := transport(d, false)
	return ipv4With(d, proto, body)
}

func ipv4With(d *randomSource, proto byte, body []byte) []byte {
	var options []byte
	if d.oneIn(5) {
		options = make([]byte, 4*(1+d.intn(10)))
	}
	fragment := 0
	switch d.intn(8) {
	case 0: // more fragments
		fragment = 0x2000
	case 1: // a later fragment
		fragment = 0x2000*d.intn(2) + 1 + d.intn(0x1fff)
	case 2: // do not fragment
		fragment = 0x4000
	}
	header := join(
		[]byte{0x45 + byte(len(options)/4), byte(d.uint64())}, be16(20+len(options)+len(body)),
		be16(d.intn(65536)), be16(fragment),
		[]byte{byte(d.intn(256)), proto}, be16(d.intn(65536)),
		pickOf(d, ipv4s), pickOf(d, ipv4s), options)
	return append(header, body...)
}

// transport returns a protocol number of IP and a packet of that protocol.
func transport(d *randomSource, ip6 bool) (byte, []byte) {
	pair := join(be16(int(pickOf(d, ports))), be16(int(pickOf(d, ports))))
	switch d.intn(14) {
	case 0, 1, 2, 3, 4:
		flags := pickOf(d, []byte{0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0xc2, 0x29, 0})
		options := make([]byte, 4*d.intn(4))
		return 6, join(pair, be32(uint32(d.uint64())), be32(uint32(d.uint64())),
			[]byte{byte(0x50 + len(options)<<2), flags}, be16(d.intn(65536)), be32(0), options,
			randomBytes(d, 60))
	case 5, 6, 7:
		data := randomBytes(d, 60)
		return 17, join(pair, be16(8+len(data)), be16(0), data)
	case 8:
		return 132, join(pair, be32(uint32(d.uint64())), be32(0), randomBytes(d, 20))
	case 9, 10:
		if ip6 {
			typ := pickOf(d, []byte{1, 2, 3, 128, 129, 130, 133, 134, 135, 136, 143})
			return 58, join([]byte{typ, byte(d.intn(3))}, be16(0), randomBytes(d, 40))
		}
		typ := pickOf(d, []byte{0, 3, 5, 8, 11, 13, 17})
		return 1, join([]byte{typ, byte(d.intn(3))}, be16(0), randomBytes(d, 40))
	case 11:
		return 2, join([]byte{0x16, 0}, be16(0), be32(0xe0000005))
	}
	// igrp, esp, ah, pim, vrrp, gre, ospf, and unassigned numbers
	proto := pickOf(d, []byte{9, 50, 51, 103, 112, 47, 89, 3, 59, 255, 0, 44})
	return proto, join([]byte{pickOf(d, []byte{6, 17, 59, 1}), byte(d.intn(3))}, randomBytes(d, 40))
}

func ipv6(d *randomSource) []byte {
	proto, body := transport(d, true)
	// Extension headers, beginning with the last one.
	for d.oneIn(3) {
		var header []byte
		kind := pickOf(d, []byte{0, 43, 60, 44, 51})
		switch kind {
		case 44:
			offset := 0
			if d.oneIn(2) {
				offset = d.intn(8000) << 3
			}
			header = join([]byte{proto, 0}, be16(offset|d.intn(2)), be32(uint32(d.uint64())))
		case 51:
			words := 1 + d.intn(4)
			header = join([]byte{proto, byte(words)}, make([]byte, 4*(words+2)-2))
		default:
			units := d.intn(3)
			header = join([]byte{proto, byte(units)}, make([]byte, 8*(units+1)-2))
		}
		proto, body = kind, join(header, body)
	}
	return join(be32(0x60000000), be16(len(body)), []byte{proto, 64}, pickOf(d, ipv6s),
		pickOf(d, ipv6s), body)
}

func arpKind(d *randomSource) []byte {
	typ := 0x0806
	if d.oneIn(4) {
		typ = 0x8035
	}
	return typed(typ, join([]byte{0, 1, 8, 0, 6, 4}, be16(1+d.intn(4)),
		pickOf(d, macs), pickOf(d, ipv4s), pickOf(d, macs), pickOf(d, ipv4s), make([]byte, d.intn(20))))
}

func vlanKind(d *randomSource) []byte {
	tag := func() []byte {
		id := pickOf(d, []int{5, 100, 200, 4095, d.intn(4096)})
		return be16(d.intn(8)<<13 | id)
	}
	inner := network(d)
	switch d.intn(5) {
	case 0:
		inner = llcKind(d)
	case 1:
		inner = mplsKind(d)
	case 2:
		inner = pppoeKind(d)
	}
	for range d.intn(3) {
		inner = typed(0x8100, join(tag(), inner))
	}
	return typed(pickOf(d, []int{0x8100, 0x8100, 0x88a8, 0x9100}), join(tag(), inner))
}

func mplsKind(d *randomSource) []byte {
	var out []byte
	labels := 1 + d.intn(3)
	for i := range labels {
		label := uint32(pickOf(d, []int{5, 1000, 1024, d.intn(1 << 20)}))<<12 | uint32(d.intn(8))<<9 | 64
		if i == labels-1 && !d.oneIn(8) {
			label |= 0x100 // bottom of the stack
		}
		out = append(out, be32(label)...)
	}
	switch d.intn(6) {
	case 0, 1:
		return typed(0x8847, join(out, ipv6(d)))
	case 2: // the IP packet of geneveKind, without its type
		return typed(0x8847, join(out, geneveKind(d)[2:]))
	}
	return typed(0x8847, join(out, ipv4(d)))
}

func pppoeKind(d *randomSource) []byte {
	if d.oneIn(4) {
		return typed(0x8863, join([]byte{0x11, 9}, be16(0), be16(4), be32(0x01010000)))
	}
	session := pickOf(d, []int{7, 0x27, d.intn(65536)})
	var payload []byte
	switch d.intn(7) {
	case 0:
		payload = join(be16(0x57), ipv6(d))
	case 1: // LCP and other protocols of PPP
		payload = join(be16(pickOf(d, pppTypes)), []byte{0x83}, randomBytes(d, 20))
	case 2:
		payload = join(be16(0x281), mplsKind(d)[2:])
	case 3: // Geneve on IPv4 or IPv6
		inner := geneveKind(d)
		payload = join(be16(map[byte]int{0x08: 0x21, 0x86: 0x57}[inner[0]]), inner[2:])
	default:
		payload = join(be16(0x21), ipv4(d))
	}
	return typed(0x8864, join([]byte{0x11, 0}, be16(session), be16(len(payload)), payload))
}

var pppTypes = []int{
	0xc021, 0x27, 0x29, 0x23, 0x23, 0x31, 0x2b, 0x281, 0x8057,
	0x806, 0x80f3, 0x42, 0xf0, 0x6004, 0x8863, 0x8864, 5,
}

// llcKind returns a payload that is preceded by a length instead of a type.
func llcKind(d *randomSource) []byte {
	var p []byte
	switch d.intn(9) {
	case 0:
		p = join([]byte{0x42, 0x42, 0x03}, make([]byte, 35))
	case 1: // IPX, with an LLC header and without
		p = pickOf(d, [][]byte{{0xe0, 0xe0, 0x03}, {0xff, 0xff}, {0xaa, 0xaa, 0x03, 0, 0, 0, 0x81, 0x37}})
		p = join(p, randomBytes(d, 30))
	case 2:
		p = join([]byte{0xf0, 0xf0, byte(d.uint64())}, randomBytes(d, 30))
	case 3, 4: // OSI: IS-IS with its kinds of packets, ES-IS, CLNP
		pdu := pickOf(d, []byte{15, 16, 17, 18, 20, 24, 25, 26, 27, byte(d.intn(256))})
		protocol := pickOf(d, []byte{0x83, 0x83, 0x83, 0x82, 0x81})
		p = join([]byte{0xfe, 0xfe, 0x03, protocol, 27, 1, 0, pdu}, randomBytes(d, 30))
	case 5: // AppleTalk and its ARP, and an unassigned organization
		p = pickOf(d, [][]byte{
			{0xaa, 0xaa, 0x03, 0x08, 0x00, 0x07, 0x80, 0x9b}, {0xaa, 0xaa, 0x03, 0, 0, 0, 0x80, 0xf3},
			{0xaa, 0xaa, 0x03, 1, 2, 3, 0x80, 0x9b},
		})
		p = join(p, randomBytes(d, 30))
	default: // all control fields
		control := pickOf(d, []byte{0x03, 0x13, 0x63, 0x73, 0x43, 0x0f, 0x6f, 0xe3, 0xaf, 0xbf, 0x87,
			0x01, 0x05, 0x09, 0x00, 0x02, byte(d.uint64())})
		p = join([]byte{pickOf(d, []byte{0x06, 0x04, 0xaa, byte(d.uint64())}), 0x06, control},
			randomBytes(d, 20))
	}
	return join(be16(pickOf(d, []int{len(p), len(p), 1500, 46})), p)
}

func geneveKind(d *randomSource) []byte {
	options := make([]byte, 4*d.intn(4))
	inner, typ := []byte(nil), 0x6558
	switch d.intn(9) {
	case 0:
		inner, typ = ipv4(d), 0x0800
	case 1:
		inner, typ = ipv6(d), 0x86dd
	case 2:
		inner = join(pickOf(d, macs), pickOf(d, macs), vlanKind(d))
	case 3:
		inner = join(pickOf(d, groupMACs), pickOf(d, macs), llcKind(d))
	case 4:
		inner = join(pickOf(d, macs), pickOf(d, macs), mplsKind(d))
	case 5:
		inner = join(pickOf(d, macs), pickOf(d, macs), pppoeKind(d))
	case 6:
		inner = join(pickOf(d, macs), pickOf(d, macs), geneveKind(d))
	case 7:
		inner = join(pickOf(d, macs), pickOf(d, macs), rareKind(d))
	default:
		inner = join(pickOf(d, macs), pickOf(d, macs), network(d))
	}
	version := byte(0)
	if d.oneIn(8) {
		version = 0x40
	}
	vni := uint32(pickOf(d, []int{42, 5, d.intn(1 << 24)}))
	geneve := join([]byte{version | byte(len(options)/4), 0}, be16(typ), be32(vni<<8), options, inner)
	udp := join(be16(int(pickOf(d, ports))), be16(6081), be16(8+len(geneve)), be16(0), geneve)
	if d.oneIn(4) {
		return typed(0x86dd, join(be32(0x60000000), be16(len(udp)), []byte{17, 64}, pickOf(d, ipv6s),
			pickOf(d, ipv6s), udp))
	}
	return typed(0x0800, ipv4With(d, 17, udp))
}

// rareKind returns protocols that differ in their Ethernet type only, and random bytes.
func rareKind(d *randomSource) []byte {
	switch d.intn(4) {
	case 0: // DECnet's headers: short or long, with or without padding
		p := pickOf(d, [][]byte{{0x02}, {0x81, 0x02}, {0x06}, {0x81, 0x06}})
		body := make([]byte, 24)
		for i := 0; i < len(body); i += 2 {
			copy(body[i:], pickOf(d, [][]byte{
				{0x0f, 0x28}, {0x0f, 0x28}, {0x04, 0x04}, {0x2c, 0x01}, {0, 0},
			}))
		}
		if d.oneIn(2) {
			copy(body[1:], body)
		}
		return typed(0x6003, join([]byte{26, 0}, p, body))
	case 1:
		return randomBytes(d, 80)
	}
	typ := pickOf(d, []int{0x6001, 0x6002, 0x6004, 0x6007, 0x809b, 0x80f3, 0x8137, 0x9000, 0x88cc,
		0x888e, 1500, 1501, 0x05dd})
	return typed(typ, randomBytes(d, 60))
}
