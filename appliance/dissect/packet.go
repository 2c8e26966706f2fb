package dissect

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// A Packet is one packet with all its layers.
type Packet struct {
	Row
	CapturedLen int // bytes in the file
	WireLen     int // bytes on the wire
	Layers      []Layer
	Dump        []DumpLine
	Data        []byte // the captured bytes
}

// A Layer is a header of a packet, or data that is not decoded.
type Layer struct {
	Name   string
	Fields []Field
}

// A Field is a value in a header.
type Field struct {
	Name, Value string
	// Offset and Length say where the field is in the packet, in bytes.
	Offset, Length int
	// Filter selects the packets with the same value, in the syntax of tcpdump; "" if there is none.
	Filter string
}

// A DumpLine shows 16 bytes of a packet.
type DumpLine struct{ Offset, Hex, Text string }

// Packet decodes the packet with the given number. If there is none, the error is io.EOF.
func (c *Capture) Packet(_ context.Context, all *Index, number int) (Packet, error) {
	f, _, err := c.find(all, number)
	if err != nil {
		return Packet{}, err
	}
	out := Packet{
		Row: row(f, number, all), CapturedLen: len(f.data), WireLen: f.wireLen, Dump: dump(f.data),
		Data: f.data,
	}
	p := gopacket.NewPacket(f.data, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	for _, l := range p.Layers() {
		out.Layers = append(out.Layers, layerOf(l))
		if t, ok := l.(*layers.TCP); ok {
			addRelative(&out.Layers[len(out.Layers)-1], t, p, number, all)
		}
		last := &out.Layers[len(out.Layers)-1]
		if contents := l.LayerContents(); len(contents) > 0 {
			last.locate(l, offsetOf(f.data, contents), len(f.data))
		}
		last.setFilters(l)
	}
	return out, nil
}

// addRelative adds the relative numbers to the fields of a TCP header.
func addRelative(l *Layer, t *layers.TCP, p gopacket.Packet, number int, all *Index) {
	s, ok := newDecoder().segment(p.Data())
	if !ok {
		return
	}
	seq, hasSeq := all.lastSYN(s.flow, number)
	ack, hasAck := all.lastSYN(s.reverse(), number)
	for i := range l.Fields {
		switch f := &l.Fields[i]; {
		case f.Name == "Sequence number" && hasSeq:
			f.Value = fmt.Sprintf("%d (relative), %d", t.Seq-seq.seq, t.Seq)
		case f.Name == "Acknowledgement number" && hasAck && t.ACK:
			f.Value = fmt.Sprintf("%d (relative), %d", t.Ack-ack.seq, t.Ack)
		}
	}
}

// layerNames are the names of layers for which gopacket has other names.
var layerNames = map[gopacket.LayerType]string{
	layers.LayerTypeEthernet:   "Ethernet",
	layers.LayerTypeDot1Q:      "VLAN tag (IEEE 802.1Q)",
	layers.LayerTypeARP:        "Address Resolution Protocol",
	layers.LayerTypeIPv4:       "Internet Protocol Version 4",
	layers.LayerTypeIPv6:       "Internet Protocol Version 6",
	layers.LayerTypeTCP:        "Transmission Control Protocol",
	layers.LayerTypeUDP:        "User Datagram Protocol",
	layers.LayerTypeICMPv4:     "Internet Control Message Protocol",
	layers.LayerTypeICMPv6:     "Internet Control Message Protocol for IPv6",
	layers.LayerTypeDNS:        "Domain Name System",
	gopacket.LayerTypePayload:  "Data",
	gopacket.LayerTypeFragment: "Fragment",
}

func layerOf(l gopacket.Layer) Layer {
	name, ok := layerNames[l.LayerType()]
	if !ok {
		name = l.LayerType().String()
	}
	out := Layer{Name: name}
	add := func(name, format string, a ...any) {
		out.Fields = append(out.Fields, Field{Name: name, Value: fmt.Sprintf(format, a...)})
	}
	switch l := l.(type) {
	case *layers.Ethernet, *layers.Dot1Q, *layers.ARP:
		linkFields(l, add)
	case *layers.IPv4, *layers.IPv6:
		networkFields(l, add)
	case *layers.TCP, *layers.UDP:
		transportFields(l, add)
	case *layers.ICMPv4, *layers.ICMPv6:
		icmpFields(l, add)
	case *layers.DNS:
		dnsFields(l, add)
	case *gopacket.DecodeFailure:
		out.Name = "Undecodable"
		add("Reason", "%s", Printable(l.Error().Error()))
	case *gopacket.Payload:
		add("Length", "%d bytes", len(l.Payload()))
	default:
		out.Fields = reflectFields(l)
	}
	return out
}

// An addField adds a field to a layer.
type addField func(name, format string, a ...any)

func linkFields(l gopacket.Layer, add addField) {
	switch l := l.(type) {
	case *layers.Ethernet:
		add("Destination", "%v", l.DstMAC)
		add("Source", "%v", l.SrcMAC)
		add("Type", "%v (0x%04x)", l.EthernetType, uint16(l.EthernetType))
	case *layers.Dot1Q:
		add("VLAN", "%d", l.VLANIdentifier)
		add("Priority", "%d", l.Priority)
		add("Type", "%v", l.Type)
	case *layers.ARP:
		add("Summary", "%s", arpInfo(l))
		add("Operation", "%d", l.Operation)
		add("Sender", "%v at % x", address(l.SourceProtAddress), l.SourceHwAddress)
		add("Target", "%v at % x", address(l.DstProtAddress), l.DstHwAddress)
	}
}

func networkFields(l gopacket.Layer, add addField) {
	switch l := l.(type) {
	case *layers.IPv4:
		add("Source", "%v", l.SrcIP)
		add("Destination", "%v", l.DstIP)
		add("Header length", "%d bytes", int(l.IHL)*4)
		add("Total length", "%d bytes", l.Length)
		add("Identification", "0x%04x", l.Id)
		add("Flags", "%s", orNone(l.Flags.String()))
		add("Fragment offset", "%d", int(l.FragOffset)*8)
		add("Time to live", "%d", l.TTL)
		add("Type of service", "0x%02x", l.TOS)
		add("Protocol", "%v (%d)", l.Protocol, uint8(l.Protocol))
		add("Header checksum", "0x%04x", l.Checksum)
	case *layers.IPv6:
		add("Source", "%v", l.SrcIP)
		add("Destination", "%v", l.DstIP)
		add("Payload length", "%d bytes", l.Length)
		add("Next header", "%v (%d)", l.NextHeader, uint8(l.NextHeader))
		add("Hop limit", "%d", l.HopLimit)
		add("Traffic class", "0x%02x", l.TrafficClass)
		add("Flow label", "0x%05x", l.FlowLabel)
	}
}

func transportFields(l gopacket.Layer, add addField) {
	switch l := l.(type) {
	case *layers.TCP:
		add("Source port", "%s", portText(uint16(l.SrcPort), tcpPort(l.SrcPort)))
		add("Destination port", "%s", portText(uint16(l.DstPort), tcpPort(l.DstPort)))
		add("Sequence number", "%d", l.Seq)
		add("Acknowledgement number", "%d", l.Ack)
		add("Header length", "%d bytes", int(l.DataOffset)*4)
		add("Flags", "%s", orNone(flagNames(l)))
		add("Window", "%d", l.Window)
		add("Checksum", "0x%04x", l.Checksum)
		add("Urgent pointer", "%d", l.Urgent)
		for _, o := range l.Options {
			add("Option", "%s", strings.Trim(strings.TrimPrefix(o.String(), "TCPOption"), "(: )"))
		}
		add("Data", "%d bytes", len(l.Payload))
	case *layers.UDP:
		add("Source port", "%s", portText(uint16(l.SrcPort), udpPort(l.SrcPort)))
		add("Destination port", "%s", portText(uint16(l.DstPort), udpPort(l.DstPort)))
		add("Length", "%d bytes", l.Length)
		add("Checksum", "0x%04x", l.Checksum)
	}
}

// reflectFields lists the exported fields of a header that has no format here.
func reflectFields(l gopacket.Layer) []Field {
	v := reflect.Indirect(reflect.ValueOf(l))
	if v.Kind() != reflect.Struct {
		text := fmt.Sprintf("%d bytes", len(l.LayerContents()))
		return []Field{{Name: "Length", Value: text}}
	}
	var list []Field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || f.Anonymous {
			continue
		}
		text := Printable(fmt.Sprint(v.Field(i).Interface()))
		if len(text) > 200 {
			text = text[:200] + "…"
		}
		list = append(list, Field{Name: f.Name, Value: strings.ToValidUTF8(text, "")})
	}
	return list
}

// portText returns a port with its name, if it has one.
func portText(port uint16, name string) string {
	number := strconv.Itoa(int(port))
	if name == number {
		return number
	}
	return number + " (" + name + ")"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// dump formats bytes in hexadecimal and as text, 16 in a line.
func dump(data []byte) []DumpLine {
	var lines []DumpLine
	for off := 0; off < len(data); off += 16 {
		part := data[off:min(off+16, len(data))]
		text := make([]byte, len(part))
		for i, c := range part {
			if text[i] = c; c < ' ' || c > '~' {
				text[i] = '.'
			}
		}
		hex := fmt.Sprintf("% x", part[:min(8, len(part))])
		if len(part) > 8 {
			hex += "  " + fmt.Sprintf("% x", part[8:])
		}
		lines = append(lines, DumpLine{fmt.Sprintf("%04x", off), hex, string(text)})
	}
	return lines
}
