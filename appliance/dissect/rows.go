package dissect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// A Row is a packet in the list (A3).
type Row struct {
	Number      int
	Time        time.Time
	Length      int // bytes on the wire
	Source      string
	Destination string
	Protocol    string
	Info        string
	HasStream   bool // the packet belongs to a TCP connection, so Follow is possible
	Trouble     Trouble
}

const pageBuffer = 1 << 16 // bytes that Rows reads at a time

// Rows returns up to n selected packets of x, beginning with the i-th, counted from 0. filter is
// the filter of x, or nil. all is the Index of the same file without a filter.
func (c *Capture) Rows(
	ctx context.Context, x, all *Index, filter *pcapfilter.Filter, i, n int,
) ([]Row, error) {
	at, skip, ok := x.locate(i)
	if !ok {
		return nil, nil
	}
	frames := c.framesFrom(at.off, pageBuffer)
	var rows []Row
	n = min(n, x.Selected-i) // do not read beyond the last selected packet
	for number := at.number; len(rows) < n; number++ {
		f, err := frames.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = contextError(ctx, number)
		}
		if err != nil {
			return nil, err
		}
		switch {
		case filter != nil && !filter.Match(f.data, f.wireLen):
		case skip > 0:
			skip--
		default:
			rows = append(rows, row(f, number, all))
		}
	}
	return rows, nil
}

// find returns the packet with the given number, and a reader of the packets after it. If there
// is none, the error is io.EOF.
func (c *Capture) find(all *Index, number int) (frame, *frameReader, error) {
	at, skip, ok := all.locate(number - 1)
	if !ok {
		return frame{}, nil, io.EOF
	}
	frames := c.framesFrom(at.off, pageBuffer)
	for {
		f, err := frames.next()
		if err != nil || skip == 0 {
			return f, frames, err
		}
		skip--
	}
}

// row decodes a frame for the list.
func row(f frame, number int, all *Index) Row {
	options := gopacket.DecodeOptions{Lazy: true, NoCopy: true}
	p := gopacket.NewPacket(f.data, layers.LayerTypeEthernet, options)
	r := Row{
		Number: number, Time: f.at, Length: f.wireLen, Protocol: "Unknown",
		Info: fmt.Sprintf("%d bytes", f.wireLen),
	}
	if e, ok := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet); ok {
		r.Source, r.Destination, r.Protocol = e.SrcMAC.String(), e.DstMAC.String(), "Ethernet"
		r.Info = "Type " + e.EthernetType.String()
	}
	var src, dst netip.Addr
	var proto layers.IPProtocol
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		src, dst, proto = address(ip.SrcIP), address(ip.DstIP), ip.Protocol
		r.Protocol = "IPv4"
	case *layers.IPv6:
		src, dst, proto = address(ip.SrcIP), address(ip.DstIP), ip.NextHeader
		r.Protocol = "IPv6"
	default:
		if a, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
			r.Protocol, r.Info = "ARP", arpInfo(a)
		}
		return r
	}
	if !src.IsValid() { // the header is cut off
		r.Protocol = "Ethernet"
		return r
	}
	r.Source, r.Destination, r.Info = src.String(), dst.String(), "Protocol "+proto.String()
	if p.Layer(gopacket.LayerTypeFragment) != nil {
		r.Info = "Fragment of " + proto.String()
		return r
	}
	switch t := p.TransportLayer().(type) {
	case *layers.TCP:
		r.HasStream, r.Trouble = true, all.troubleOf(number)
		r.Protocol, r.Info = tcpInfo(t, segmentOf(src, dst, t), number, all)
	case *layers.UDP:
		r.Protocol, r.Info = udpInfo(p, t)
	default:
		icmpInfo(p, &r)
	}
	return r
}

func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func arpInfo(a *layers.ARP) string {
	from, to := net.IP(a.SourceProtAddress), net.IP(a.DstProtAddress)
	switch {
	case a.Operation == layers.ARPRequest && from.Equal(to):
		return fmt.Sprintf("ARP announcement for %v", from)
	case a.Operation == layers.ARPRequest:
		return fmt.Sprintf("Who has %v? Tell %v", to, from)
	case a.Operation == layers.ARPReply:
		return fmt.Sprintf("%v is at %v", from, net.HardwareAddr(a.SourceHwAddress))
	}
	return fmt.Sprintf("Operation %d", a.Operation)
}

// tcpInfo returns the form of A3, or that of the protocol if the ports belong to one that is
// known.
func tcpInfo(t *layers.TCP, s segment, number int, all *Index) (protocol, info string) {
	if len(s.data) > 0 {
		if protocol, info := applicationInfo(t, s.data); protocol != "" {
			return protocol, info
		}
	}
	var b strings.Builder
	seq, ack := s.seq, s.ack
	if o, ok := all.lastSYN(s.flow, number); ok {
		seq -= o.seq
	}
	if o, ok := all.lastSYN(s.reverse(), number); ok {
		ack -= o.seq
	}
	fmt.Fprintf(&b, "%s > %s [%s] Seq=%d",
		tcpPort(t.SrcPort), tcpPort(t.DstPort), flagNames(t), seq)
	if t.ACK {
		fmt.Fprintf(&b, " Ack=%d", ack)
	}
	fmt.Fprintf(&b, " Win=%d Len=%d", t.Window, len(s.data))
	for _, o := range t.Options {
		switch {
		case o.OptionType == layers.TCPOptionKindMSS && len(o.OptionData) == 2:
			fmt.Fprintf(&b, " MSS=%d", uint16(o.OptionData[0])<<8|uint16(o.OptionData[1]))
		case o.OptionType == layers.TCPOptionKindWindowScale && len(o.OptionData) == 1:
			fmt.Fprintf(&b, " WS=%d", o.OptionData[0])
		case o.OptionType == layers.TCPOptionKindSACKPermitted:
			b.WriteString(" SACK_PERM")
		}
	}
	return "TCP", b.String()
}

func flagNames(t *layers.TCP) string {
	var names []string
	for _, f := range []struct {
		on   bool
		name string
	}{
		{t.FIN, "FIN"}, {t.SYN, "SYN"}, {t.RST, "RST"}, {t.PSH, "PSH"},
		{t.ACK, "ACK"}, {t.URG, "URG"}, {t.ECE, "ECE"}, {t.CWR, "CWR"},
	} {
		if f.on {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ", ")
}

// tcpPort and udpPort return the name of a port, or its number if it has none.
func tcpPort(p layers.TCPPort) string {
	if name, ok := layers.TCPPortNames(p); ok && p < 1024 {
		return name
	}
	return strconv.Itoa(int(p))
}

func udpPort(p layers.UDPPort) string {
	if name, ok := layers.UDPPortNames(p); ok && p < 1024 {
		return name
	}
	return strconv.Itoa(int(p))
}

// applicationInfo describes the data of protocols that are recognized by their ports.
func applicationInfo(t *layers.TCP, data []byte) (protocol, info string) {
	toServer := true
	port := t.DstPort
	if port >= 1024 && port != 7025 || t.SrcPort < 1024 && t.SrcPort < port {
		port, toServer = t.SrcPort, false
	}
	direction := "Server -> Client"
	prefix := "Response: "
	if toServer {
		direction, prefix = "Client -> Server", "Request: "
	}
	switch port {
	case 514:
		return "RSH", direction + " data"
	case 22:
		if strings.HasPrefix(string(data[:min(4, len(data))]), "SSH-") {
			return "SSH", "Protocol " + firstLine(data)
		}
		return "SSH", fmt.Sprintf("%s packet, %d bytes", direction, len(data))
	case 21:
		return "FTP", prefix + firstLine(data)
	case 20:
		return "FTP-DATA", fmt.Sprintf("%d bytes", len(data))
	case 25, 7025:
		return "SMTP", prefix + firstLine(data)
	case 80:
		return "HTTP", firstLine(data)
	case 443:
		return "TLS", tlsInfo(data)
	}
	return "", ""
}

// tlsInfo describes the record at the beginning of data (RFC 8446, 5.1).
func tlsInfo(data []byte) string {
	if len(data) < 6 || data[1] != 3 {
		return fmt.Sprintf("Continuation data, %d bytes", len(data))
	}
	switch data[0] {
	case 20:
		return "Change Cipher Spec"
	case 21:
		return "Alert"
	case 22:
		switch data[5] {
		case 1:
			return "Client Hello"
		case 2:
			return "Server Hello"
		}
		return "Handshake message"
	case 23:
		return fmt.Sprintf("Application Data, %d bytes", len(data))
	}
	return fmt.Sprintf("Continuation data, %d bytes", len(data))
}

// firstLine returns the first line of a text, printable and shortened.
func firstLine(data []byte) string {
	const longest = 160
	line, _, _ := strings.Cut(string(data[:min(len(data), 4*longest)]), "\n")
	line = strings.TrimRight(Printable(line), " .")
	if utf8.RuneCountInString(line) > longest {
		line = string([]rune(line)[:longest]) + "…"
	}
	return line
}

// Printable replaces every character that is not printable by a dot, except for line ends and
// tabs.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError, !unicode.IsPrint(r):
			return '.'
		case unicode.Is(unicode.M, r): // a mark combines with the character before it
			return '.'
		}
		return r
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}

func udpInfo(p gopacket.Packet, u *layers.UDP) (protocol, info string) {
	switch {
	case u.DstPort == 53 || u.SrcPort == 53:
		if d, ok := p.ApplicationLayer().(*layers.DNS); ok {
			return "DNS", dnsInfo(d)
		}
	case u.DstPort == 514:
		return "Syslog", firstLine(u.Payload)
	case u.DstPort == 123 || u.SrcPort == 123:
		if n, ok := p.ApplicationLayer().(*layers.NTP); ok {
			mode := map[layers.NTPMode]string{3: "client", 4: "server"}[n.Mode]
			return "NTP", strings.TrimSuffix(
				fmt.Sprintf("NTP Version %d, %s", n.Version, mode), ", ")
		}
	}
	return "UDP", fmt.Sprintf("%s > %s Len=%d",
		udpPort(u.SrcPort), udpPort(u.DstPort), len(u.Payload))
}
