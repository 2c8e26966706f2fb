package dissect

import (
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// A flow is one direction of a TCP connection.
type flow struct{ from, to netip.AddrPort }

func (f flow) reverse() flow { return flow{f.to, f.from} }

// A segment contains the fields of a TCP segment that Scan and Follow need.
type segment struct {
	flow
	seq, ack                           uint32
	synFlag, finFlag, rstFlag, ackFlag bool
	data                               []byte // part of the frame
}

// A decoder decodes TCP segments without allocating. It is not safe for concurrent use.
type decoder struct {
	eth  layers.Ethernet
	tag  layers.Dot1Q
	ip4  layers.IPv4
	ip6  layers.IPv6
	skip layers.IPv6ExtensionSkipper
	tcp  layers.TCP

	parser *gopacket.DecodingLayerParser
	found  []gopacket.LayerType
}

func newDecoder() *decoder {
	d := &decoder{}
	d.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet,
		&d.eth, &d.tag, &d.ip4, &d.ip6, &d.skip, &d.tcp)
	d.parser.IgnoreUnsupported = true
	return d
}

// segment decodes a frame and reports whether it contains a TCP segment. The result is valid as
// long as the frame is.
func (d *decoder) segment(data []byte) (segment, bool) {
	if err := d.parser.DecodeLayers(data, &d.found); err != nil {
		return segment{}, false
	}
	var src, dst netip.Addr
	for _, t := range d.found {
		switch t {
		case layers.LayerTypeIPv4:
			src, _ = netip.AddrFromSlice(d.ip4.SrcIP)
			dst, _ = netip.AddrFromSlice(d.ip4.DstIP)
		case layers.LayerTypeIPv6:
			src, _ = netip.AddrFromSlice(d.ip6.SrcIP)
			dst, _ = netip.AddrFromSlice(d.ip6.DstIP)
		case layers.LayerTypeTCP:
			return segmentOf(src, dst, &d.tcp), true
		}
	}
	return segment{}, false
}

func segmentOf(src, dst netip.Addr, t *layers.TCP) segment {
	return segment{
		flow: flow{
			from: netip.AddrPortFrom(src.Unmap(), uint16(t.SrcPort)),
			to:   netip.AddrPortFrom(dst.Unmap(), uint16(t.DstPort)),
		},
		seq: t.Seq, ack: t.Ack,
		synFlag: t.SYN, finFlag: t.FIN, rstFlag: t.RST, ackFlag: t.ACK,
		data: t.Payload,
	}
}
