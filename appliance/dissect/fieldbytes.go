package dissect

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// A span is a part of a header.
type span struct{ offset, length int }

// spansOf returns where the fields of a header are, by their names. Fields that are not listed are
// shown with the whole header.
func spansOf(t gopacket.LayerType) map[string]span {
	switch t {
	case layers.LayerTypeEthernet:
		return map[string]span{"Destination": {0, 6}, "Source": {6, 6}, "Type": {12, 2}}
	case layers.LayerTypeDot1Q:
		return map[string]span{"VLAN": {0, 2}, "Priority": {0, 1}, "Type": {2, 2}}
	case layers.LayerTypeARP:
		return map[string]span{"Operation": {6, 2}, "Sender": {8, 10}, "Target": {18, 10}}
	case layers.LayerTypeIPv4:
		return map[string]span{
			"Header length": {0, 1}, "Type of service": {1, 1}, "Total length": {2, 2},
			"Identification": {4, 2}, "Flags": {6, 1}, "Fragment offset": {6, 2},
			"Time to live": {8, 1}, "Protocol": {9, 1}, "Header checksum": {10, 2},
			"Source": {12, 4}, "Destination": {16, 4},
		}
	case layers.LayerTypeIPv6:
		return map[string]span{
			"Traffic class": {0, 2}, "Flow label": {1, 3}, "Payload length": {4, 2},
			"Next header": {6, 1}, "Hop limit": {7, 1}, "Source": {8, 16}, "Destination": {24, 16},
		}
	case layers.LayerTypeTCP:
		return map[string]span{
			"Source port": {0, 2}, "Destination port": {2, 2}, "Sequence number": {4, 4},
			"Acknowledgement number": {8, 4}, "Header length": {12, 1}, "Flags": {12, 2},
			"Window": {14, 2}, "Checksum": {16, 2}, "Urgent pointer": {18, 2},
		}
	case layers.LayerTypeUDP:
		return map[string]span{
			"Source port": {0, 2}, "Destination port": {2, 2}, "Length": {4, 2}, "Checksum": {6, 2},
		}
	}
	return nil
}

// locate sets where the fields of a layer are in a packet. at is the place of the layer in it.
func (l *Layer) locate(layer gopacket.Layer, at, size int) {
	whole := span{at, len(layer.LayerContents())}
	spans := spansOf(layer.LayerType())
	option := 20 // TCP options follow the fixed part
	for i := range l.Fields {
		f, s := &l.Fields[i], whole
		if known, ok := spans[f.Name]; ok {
			s = span{at + known.offset, known.length}
		}
		if t, ok := layer.(*layers.TCP); ok {
			switch f.Name {
			case "Option":
				s = span{at + option, optionLength(t.Options, l.Fields[:i])}
				option += s.length
			case "Data":
				s = span{at + len(t.Contents), len(t.Payload)}
			}
		}
		s.offset = min(s.offset, size)
		f.Offset, f.Length = s.offset, min(s.length, size-s.offset)
	}
}

// optionLength returns the length of the option that follows those among the given fields.
func optionLength(options []layers.TCPOption, before []Field) int {
	n := 0
	for _, f := range before {
		if f.Name == "Option" {
			n++
		}
	}
	if n >= len(options) {
		return 0
	}
	return max(1, int(options[n].OptionLength))
}

// setFilters sets the filters of fields, in the syntax of tcpdump.
func (l *Layer) setFilters(layer gopacket.Layer) {
	for i := range l.Fields {
		f := &l.Fields[i]
		value, _, _ := strings.Cut(f.Value, " ")
		switch layer.LayerType() {
		case layers.LayerTypeEthernet:
			f.Filter = sided(f.Name, "ether", "host", value)
		case layers.LayerTypeDot1Q:
			if f.Name == "VLAN" {
				f.Filter = "vlan " + value
			}
		case layers.LayerTypeARP:
			if a, err := netip.ParseAddr(value); err == nil {
				f.Filter = "arp host " + a.String()
			}
		case layers.LayerTypeIPv4, layers.LayerTypeIPv6:
			f.Filter = sided(f.Name, "", "host", value)
			if f.Name == "Protocol" {
				_, number, _ := strings.Cut(f.Value, "(")
				f.Filter = "ip proto " + strings.TrimSuffix(number, ")")
			}
		case layers.LayerTypeTCP, layers.LayerTypeUDP:
			protocol := strings.ToLower(layer.LayerType().String())
			name, isPort := strings.CutSuffix(f.Name, " port")
			if _, err := strconv.Atoi(value); isPort && err == nil {
				f.Filter = sided(name, protocol, "port", value)
			}
			if f.Name == "Flags" && strings.Contains(f.Value, "RST") {
				f.Filter = "tcp[tcpflags] & tcp-rst != 0"
			}
		}
	}
}

// sided returns a filter for the source or the destination, "" for another field.
func sided(name, protocol, kind, value string) string {
	side := map[string]string{"Source": "src", "Destination": "dst"}[name]
	if side == "" || value == "" {
		return ""
	}
	return strings.TrimSpace(strings.Join([]string{protocol, side, kind, value}, " "))
}

// offsetOf returns where a part of a packet begins. Both share their memory up to its end.
func offsetOf(packet, part []byte) int { return cap(packet) - cap(part) }
