package dissect_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/esasim/esasim/appliance/dissect"
	"github.com/esasim/esasim/appliance/pcapfilter"
)

// A captureBuilder writes a capture to memory.
type captureBuilder struct {
	t   testing.TB
	buf bytes.Buffer
	w   *pcapgo.Writer
	at  time.Time
}

func newCaptureBuilder(t testing.TB) *captureBuilder {
	x := &captureBuilder{t: t, at: time.Date(2015, 6, 25, 8, 50, 4, 111609000, time.UTC)}
	x.w = pcapgo.NewWriter(&x.buf)
	if err := x.w.WriteFileHeader(262144, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	return x
}

// add adds a packet, a millisecond after the previous one.
func (x *captureBuilder) add(parts ...gopacket.SerializableLayer) {
	x.t.Helper()
	b := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(b, options, parts...); err != nil {
		x.t.Fatal(err)
	}
	x.raw(b.Bytes())
}

// raw adds a packet of the given bytes.
func (x *captureBuilder) raw(data []byte) {
	x.t.Helper()
	info := gopacket.CaptureInfo{Timestamp: x.at, CaptureLength: len(data), Length: len(data)}
	if err := x.w.WritePacket(info, data); err != nil {
		x.t.Fatal(err)
	}
	x.at = x.at.Add(time.Millisecond)
}

var (
	esa    = net.IPv4(10, 229, 24, 230)
	syslog = net.IPv4(10, 44, 167, 30)
)

func eth(t layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{
		SrcMAC:       net.HardwareAddr{0, 0x50, 0x56, 1, 2, 3},
		DstMAC:       net.HardwareAddr{0, 0x50, 0x56, 4, 5, 6},
		EthernetType: t,
	}
}

// tcp adds a segment from the appliance to the syslog server, or the reverse.
func (x *captureBuilder) tcp(fromESA bool, change func(*layers.TCP), data string) {
	x.t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: esa,
		DstIP: syslog}
	t := &layers.TCP{SrcPort: 26040, DstPort: 514, Window: 17550}
	if !fromESA {
		ip.SrcIP, ip.DstIP, t.SrcPort, t.DstPort = syslog, esa, 514, 26040
	}
	change(t)
	if err := t.SetNetworkLayerForChecksum(ip); err != nil {
		x.t.Fatal(err)
	}
	x.add(eth(layers.EthernetTypeIPv4), ip, t, gopacket.Payload(data))
}

func (x *captureBuilder) open() *dissect.Capture {
	x.t.Helper()
	c, err := dissect.Open(bytes.NewReader(x.buf.Bytes()), int64(x.buf.Len()))
	if err != nil {
		x.t.Fatal(err)
	}
	return c
}

func scan(t testing.TB, c *dissect.Capture, expr string) (*dissect.Index, *pcapfilter.Filter) {
	t.Helper()
	var f *pcapfilter.Filter
	if expr != "" {
		var err error
		if f, err = pcapfilter.Compile(expr, pcapfilter.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	x, err := c.Scan(t.Context(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return x, f
}

// Initial sequence numbers. That of the appliance wraps around after a few bytes.
const isnESA, isnServer = 4_294_967_290, 1000

// seed returns the connection of A3.
func seed(t testing.TB) *captureBuilder {
	x := newCaptureBuilder(t)
	first := strings.Repeat("a", 46) + "\n"
	rest := strings.Repeat("b", 364) + "\n"
	seq := uint32(isnESA)
	x.tcp(true, func(p *layers.TCP) {
		p.SYN, p.Seq, p.Window = true, seq, 16384
		p.Options = []layers.TCPOption{
			{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}},
			{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{0}},
			{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2},
		}
	}, "")
	x.tcp(false, func(p *layers.TCP) {
		p.SYN, p.ACK, p.Seq, p.Ack, p.Window = true, true, isnServer, seq+1, 32120
		p.Options = []layers.TCPOption{
			{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 70}},
		}
	}, "")
	x.tcp(true, func(p *layers.TCP) { p.ACK, p.Seq, p.Ack = true, seq+1, isnServer+1 }, "")
	send := func(seq uint32, data string) {
		x.tcp(true, func(p *layers.TCP) {
			p.ACK, p.PSH, p.Seq, p.Ack = true, true, seq, isnServer+1
		}, data)
	}
	acknowledge := func(ack uint32, window uint16, rst bool) {
		x.tcp(false, func(p *layers.TCP) {
			p.ACK, p.Seq, p.Ack, p.Window, p.RST = true, isnServer+1, ack, window, rst
		}, "")
	}
	send(seq+1, first)
	acknowledge(seq+48, 32073, false)
	send(seq+48, rest)
	acknowledge(seq+413, 31755, false)
	acknowledge(seq+413, 32120, true)
	return x
}

func TestRowsReproduceA3(t *testing.T) { // A3
	c := seed(t).open()
	all, _ := scan(t, c, "")
	rows, err := c.Rows(t.Context(), all, all, nil, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		at := r.Time.UTC().Format("2006-01-02 15:04:05.000000")
		got = append(got, fmt.Sprintf("%d %s %s %s %s %s",
			r.Number, at, r.Source, r.Destination, r.Protocol, r.Info))
	}
	want := strings.Split(strings.TrimSpace(`
1 2015-06-25 08:50:04.111609 10.229.24.230 10.44.167.30 TCP 26040 > shell [SYN] Seq=0 Win=16384 Len=0 MSS=1460 WS=0 SACK_PERM
2 2015-06-25 08:50:04.112609 10.44.167.30 10.229.24.230 TCP shell > 26040 [SYN, ACK] Seq=0 Ack=1 Win=32120 Len=0 MSS=1350
3 2015-06-25 08:50:04.113609 10.229.24.230 10.44.167.30 TCP 26040 > shell [ACK] Seq=1 Ack=1 Win=17550 Len=0
4 2015-06-25 08:50:04.114609 10.229.24.230 10.44.167.30 RSH Client -> Server data
5 2015-06-25 08:50:04.115609 10.44.167.30 10.229.24.230 TCP shell > 26040 [ACK] Seq=1 Ack=48 Win=32073 Len=0
6 2015-06-25 08:50:04.116609 10.229.24.230 10.44.167.30 RSH Client -> Server data
7 2015-06-25 08:50:04.117609 10.44.167.30 10.229.24.230 TCP shell > 26040 [ACK] Seq=1 Ack=413 Win=31755 Len=0
8 2015-06-25 08:50:04.118609 10.44.167.30 10.229.24.230 TCP shell > 26040 [RST, ACK] Seq=1 Ack=413 Win=32120 Len=0
`), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFilterKeepsPacketNumbers(t *testing.T) {
	c := seed(t).open()
	all, _ := scan(t, c, "")
	some, f := scan(t, c, "src host 10.44.167.30")
	rows, err := c.Rows(t.Context(), some, all, f, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	const want = "shell > 26040 [ACK] Seq=1 Ack=413 Win=31755 Len=0"
	if some.Selected != 4 || some.Total != 8 || len(rows) != 2 ||
		rows[0].Number != 5 || rows[1].Number != 7 || rows[1].Info != want {
		t.Errorf("%d of %d: %+v", some.Selected, some.Total, rows)
	}
}

func TestPacketsThatAreNotTCP(t *testing.T) {
	x := newCaptureBuilder(t)
	arp := &layers.ARP{
		AddrType: 1, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
		Operation:       1,
		SourceHwAddress: []byte{0, 0x50, 0x56, 1, 2, 3}, SourceProtAddress: esa.To4(),
		DstHwAddress: make([]byte, 6), DstProtAddress: syslog.To4(),
	}
	x.add(eth(layers.EthernetTypeARP), arp)
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: esa,
		DstIP: syslog}
	udp := &layers.UDP{SrcPort: 40000, DstPort: 53}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	question := layers.DNSQuestion{
		Name: []byte("google.com"), Type: layers.DNSTypeA, Class: layers.DNSClassIN,
	}
	x.add(eth(layers.EthernetTypeIPv4), ip, udp, &layers.DNS{
		ID: 0x1234, RD: true, QDCount: 1, Questions: []layers.DNSQuestion{question},
	})
	ip = &layers.IPv4{Version: 4, TTL: 1, Protocol: layers.IPProtocolICMPv4, SrcIP: esa,
		DstIP: syslog}
	x.add(eth(layers.EthernetTypeIPv4), ip,
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 7, Seq: 2})
	tag := &layers.Dot1Q{VLANIdentifier: 12, Type: layers.EthernetTypeARP}
	x.add(eth(layers.EthernetTypeDot1Q), tag, arp)
	x.raw([]byte{1, 2, 3})
	x.raw(append(make([]byte, 12), 0x08, 0x00, 0x45, 0xff)) // an incomplete IP header
	c := x.open()
	all, _ := scan(t, c, "")
	rows, err := c.Rows(t.Context(), all, all, nil, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ARP Who has 10.44.167.30? Tell 10.229.24.230", "DNS Standard query 0x1234 A google.com",
		"ICMP Echo (ping) request  id=0x0007, seq=2, ttl=1",
		"ARP Who has 10.44.167.30? Tell 10.229.24.230",
		"Unknown 3 bytes", "Ethernet Type IPv4",
	}
	for i, r := range rows {
		if got := r.Protocol + " " + r.Info; got != want[i] {
			t.Errorf("packet %d: %q, want %q", i+1, got, want[i])
		}
		if _, err := c.Packet(t.Context(), all, i+1); err != nil {
			t.Error(err)
		}
		_, err := c.Follow(t.Context(), all, i+1, 0, dissect.MaxStreamBytes)
		if !errors.Is(err, dissect.ErrNotTCP) {
			t.Errorf("packet %d: %v", i+1, err)
		}
	}
}

// The expected texts are those of Wireshark.
func TestICMPTexts(t *testing.T) {
	x := newCaptureBuilder(t)
	var want []string
	for _, c := range []struct {
		kind, code uint8
		text       string
	}{
		{0, 0, "Echo (ping) reply    id=0x0007, seq=2, ttl=64"},
		{3, 1, "Destination unreachable (Host unreachable)"},
		{3, 3, "Destination unreachable (Port unreachable)"},
		{3, 99, "Destination unreachable"},
		{11, 0, "Time-to-live exceeded (Time to live exceeded in transit)"},
		{200, 0, "Type 200"},
	} {
		want = append(want, "ICMP "+c.text)
		ip := &layers.IPv4{
			Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: esa, DstIP: syslog,
		}
		x.add(eth(layers.EthernetTypeIPv4), ip,
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(c.kind, c.code), Id: 7, Seq: 2})
	}
	ip := &layers.IPv6{
		Version: 6, HopLimit: 63, NextHeader: layers.IPProtocolICMPv6,
		SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8::2"),
	}
	m := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(1, 4)}
	if err := m.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	x.add(eth(layers.EthernetTypeIPv6), ip, m, gopacket.Payload(make([]byte, 4)))
	ping := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
	if err := ping.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	x.add(eth(layers.EthernetTypeIPv6), ip, ping, &layers.ICMPv6Echo{Identifier: 7, SeqNumber: 2})
	want = append(want, "ICMPv6 Destination Unreachable (Port unreachable)",
		"ICMPv6 Echo (ping) request  id=0x0007, seq=2, hop limit=63")
	c := x.open()
	all, _ := scan(t, c, "")
	rows, err := c.Rows(t.Context(), all, all, nil, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r.Protocol+" "+r.Info)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	p, err := c.Packet(t.Context(), all, 3)
	if err != nil {
		t.Fatal(err)
	}
	kind := dissect.Field{Name: "Type", Value: "3 (Destination unreachable)"}
	code := dissect.Field{Name: "Code", Value: "3 (Port unreachable)"}
	if f := plain(p.Layers[2].Fields); f[0] != kind || f[1] != code || len(f) != 3 {
		t.Errorf("%+v", f)
	}
}

func TestDNSTexts(t *testing.T) {
	x := newCaptureBuilder(t)
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: syslog,
		DstIP: esa}
	udp := &layers.UDP{SrcPort: 53, DstPort: 40000}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	type resourceRecord = layers.DNSResourceRecord
	record := func(kind layers.DNSType, fill func(*resourceRecord)) resourceRecord {
		r := resourceRecord{
			Name: []byte("example.net"), Type: kind, Class: layers.DNSClassIN, TTL: 300,
		}
		fill(&r)
		return r
	}
	answers := []resourceRecord{
		record(layers.DNSTypeMX, func(r *resourceRecord) {
			r.MX = layers.DNSMX{Preference: 10, Name: []byte("mx.example.net")}
		}),
		record(layers.DNSTypeA, func(r *resourceRecord) { r.IP = net.IPv4(10, 1, 1, 1) }),
		record(layers.DNSTypeTXT, func(r *resourceRecord) {
			r.TXTs = [][]byte{[]byte("v=spf1 -all")}
		}),
		record(layers.DNSTypeSRV, func(r *resourceRecord) {
			r.SRV = layers.DNSSRV{Priority: 1, Weight: 2, Port: 25, Name: []byte("a.example.net")}
		}),
		record(layers.DNSTypeSOA, func(r *resourceRecord) {
			r.SOA = layers.DNSSOA{
				MName: []byte("ns.example.net"), RName: []byte("root.example.net"),
				Serial: 1, Refresh: 2, Retry: 3, Expire: 4, Minimum: 5,
			}
		}),
	}
	x.add(eth(layers.EthernetTypeIPv4), ip, udp, &layers.DNS{
		ID: 0x1234, QR: true, RD: true, RA: true,
		Answers: answers, ANCount: uint16(len(answers)), QDCount: 1,
		Questions: []layers.DNSQuestion{
			{Name: []byte("example.net"), Type: layers.DNSTypeMX, Class: layers.DNSClassIN},
		},
	})
	c := x.open()
	all, _ := scan(t, c, "")
	p, err := c.Packet(t.Context(), all, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []dissect.Field{
		{Name: "Summary", Value: "Standard query response 0x1234 MX example.net " +
			"MX 10 mx.example.net A 10.1.1.1 TXT SRV 1 2 25 a.example.net …"},
		{Name: "Transaction ID", Value: "0x1234"},
		{Name: "Recursion desired", Value: "Yes"},
		{Name: "Recursion available", Value: "Yes"},
		{Name: "Authoritative", Value: "No"},
		{Name: "Response code", Value: "No Error"},
		{Name: "Question", Value: "example.net: type MX, class IN"},
		{Name: "Answer", Value: "example.net: type MX, class IN, TTL 300, " +
			"preference 10, mx mx.example.net"},
		{Name: "Answer", Value: "example.net: type A, class IN, TTL 300, addr 10.1.1.1"},
		{Name: "Answer", Value: `example.net: type TXT, class IN, TTL 300, text "v=spf1 -all"`},
		{Name: "Answer", Value: "example.net: type SRV, class IN, TTL 300, " +
			"priority 1, weight 2, port 25, target a.example.net"},
		{Name: "Answer", Value: "example.net: type SOA, class IN, TTL 300, mname ns.example.net, " +
			"rname root.example.net, serial 1, refresh 2, retry 3, expire 4, minimum 5"},
	}
	if diff := cmp.Diff(want, plain(p.Layers[3].Fields)); diff != "" {
		t.Error(diff)
	}
}

func TestPacket(t *testing.T) {
	c := seed(t).open()
	all, _ := scan(t, c, "")
	p, err := c.Packet(t.Context(), all, 4)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range p.Layers {
		names = append(names, l.Name)
	}
	const want = "Ethernet, Internet Protocol Version 4, Transmission Control Protocol, Data"
	if strings.Join(names, ", ") != want {
		t.Errorf("layers: %s", names)
	}
	line := dissect.DumpLine{
		Offset: "0000", Hex: "00 50 56 04 05 06 00 50  56 01 02 03 08 00 45 00",
		Text: ".PV....PV.....E.",
	}
	if p.Dump[0] != line {
		t.Errorf("%+v, want %+v", p.Dump[0], line)
	}
	for _, n := range []int{0, -1, 9} {
		if _, err := c.Packet(t.Context(), all, n); !errors.Is(err, io.EOF) {
			t.Errorf("packet %d: %v", n, err)
		}
	}
}

func TestPagesOfLargeFile(t *testing.T) {
	x := newCaptureBuilder(t)
	const packets = 3000
	for i := range packets {
		port := layers.UDPPort(1000 + i%2)
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: esa,
			DstIP: syslog}
		udp := &layers.UDP{SrcPort: 40000, DstPort: port}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		x.add(eth(layers.EthernetTypeIPv4), ip, udp, gopacket.Payload("x"))
	}
	c := x.open()
	all, _ := scan(t, c, "")
	even, f := scan(t, c, "udp port 1001") // the packets with even numbers
	for _, i := range []int{0, 1, 255, 256, 257, 1000, 1499} {
		rows, err := c.Rows(t.Context(), even, all, f, i, 3)
		if err != nil {
			t.Fatal(err)
		}
		if want := min(3, 1500-i); len(rows) != want || rows[0].Number != 2*i+2 {
			t.Errorf("from %d: %d rows, the first is %d", i, len(rows), rows[0].Number)
		}
	}
	if rows, err := c.Rows(t.Context(), even, all, f, 1500, 3); err != nil || rows != nil {
		t.Errorf("rows after the last: %v, %v", rows, err)
	}
	for number, want := range map[int]dissect.Neighbors{
		1:    {Next: 2},
		2:    {Next: 4},
		3:    {Previous: 2, Next: 4, Rank: 1},
		512:  {Previous: 510, Next: 514, Rank: 255},
		513:  {Previous: 512, Next: 514, Rank: 256},
		514:  {Previous: 512, Next: 516, Rank: 256},
		3000: {Previous: 2998, Rank: 1499},
	} {
		if got, err := c.Neighbors(t.Context(), even, f, number); err != nil || got != want {
			t.Errorf("neighbors of %d: %+v, %v, want %+v", number, got, err, want)
		}
	}
	want := dissect.Neighbors{Previous: 256, Next: 258, Rank: 256}
	if got, err := c.Neighbors(t.Context(), all, nil, 257); err != nil || got != want {
		t.Errorf("neighbors of 257: %+v, %v, want %+v", got, err, want)
	}
	sum := 0
	for _, col := range all.Columns {
		sum += col.Packets
	}
	duration := all.Last.Sub(all.First)
	if sum != packets || len(all.Columns) > 120 || duration != (packets-1)*time.Millisecond {
		t.Errorf("%d packets in %d columns over %v", sum, len(all.Columns), duration)
	}
}

// A countingReader counts the bytes that are read.
type countingReader struct {
	r io.ReaderAt
	n int
}

func (m *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.r.ReadAt(p, off)
	m.n += n
	return n, err
}

func TestRowsStopsAtTheLastSelectedPacket(t *testing.T) {
	x := seed(t)
	for range 20_000 {
		x.raw(make([]byte, 60))
	}
	m := &countingReader{r: bytes.NewReader(x.buf.Bytes())}
	c, err := dissect.Open(m, int64(x.buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	all, _ := scan(t, c, "")
	some, f := scan(t, c, "tcp")
	m.n = 0
	if rows, err := c.Rows(t.Context(), some, all, f, 0, 100); err != nil || len(rows) != 8 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if m.n > x.buf.Len()/2 {
		t.Errorf("%d of %d bytes were read", m.n, x.buf.Len())
	}
}

func TestScanContinuesAnOldIndex(t *testing.T) {
	x := seed(t)
	whole := x.buf.Bytes()
	for _, cut := range []int{24, 30, 100, 110, 200, len(whole) - 1, len(whole)} {
		part, err := dissect.Open(bytes.NewReader(whole[:cut]), int64(cut))
		if err != nil {
			t.Fatal(err)
		}
		old, _ := scan(t, part, "")
		c := x.open()
		grown, err := c.Scan(t.Context(), nil, old)
		if err != nil {
			t.Fatal(err)
		}
		fresh, _ := scan(t, c, "")
		unexported := cmp.Exporter(func(reflect.Type) bool { return true })
		if diff := cmp.Diff(fresh, grown, unexported); diff != "" {
			t.Errorf("cut at %d:\n%s", cut, diff)
		}
	}
}

func TestFilesOfAnotherFormat(t *testing.T) {
	good := seed(t).buf.Bytes()
	for name, data := range map[string][]byte{
		"empty": nil, "short": good[:23], "text": []byte(strings.Repeat("not a capture ", 10)),
		"another link type": append(append([]byte{}, good[:20]...), 113, 0, 0, 0),
	} {
		_, err := dissect.Open(bytes.NewReader(data), int64(len(data)))
		if !errors.Is(err, dissect.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := append([]byte{}, good...)
	copy(bad[24+8:], []byte{255, 255, 255, 127}) // a record of 2 GB
	c, err := dissect.Open(bytes.NewReader(bad), int64(len(bad)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Scan(t.Context(), nil, nil); !errors.Is(err, dissect.ErrFormat) {
		t.Error(err)
	}
}

// FuzzCapture checks that no file causes a panic.
func FuzzCapture(f *testing.F) {
	f.Add(seed(f).buf.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := dissect.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		all, err := c.Scan(t.Context(), nil, nil)
		if err != nil {
			return
		}
		rows, err := c.Rows(t.Context(), all, all, nil, 0, 1000)
		if err != nil || len(rows) != min(1000, all.Total) {
			t.Fatalf("%d rows of %d: %v", len(rows), all.Total, err)
		}
		for i := range min(20, all.Total) {
			if _, err := c.Packet(t.Context(), all, i+1); err != nil {
				t.Fatal(err)
			}
			s, err := c.Follow(t.Context(), all, i+1, 0, dissect.MaxStreamBytes)
			if err == nil && s.ToServer < 0 {
				t.Fatal(s)
			}
		}
	})
}

// plain returns fields without their places and filters.
func plain(fields []dissect.Field) (list []dissect.Field) {
	for _, f := range fields {
		list = append(list, dissect.Field{Name: f.Name, Value: f.Value})
	}
	return list
}
