package dissect

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// MaxConversations bounds the number of conversations that Conversations tells apart.
const MaxConversations = 2000

// A Conversation is the packets that two ends have exchanged with one protocol.
type Conversation struct {
	Protocol string         // "TCP", "UDP" or "IP"
	A, B     netip.AddrPort // A has sent the first packet; ports are 0 if the protocol has none
	FromA    Column         // packets and bytes
	FromB    Column
	First    time.Time
	Last     time.Time // the latest one
	Number   int       // of the first packet
}

// Bytes returns the number of bytes in both directions.
func (c Conversation) Bytes() int64 { return c.FromA.Bytes + c.FromB.Bytes }

// ends are the two ends of a packet.
type ends struct {
	protocol string
	from, to netip.AddrPort
}

// Conversations reads the file and returns the conversations of the packets that a filter selects;
// nil selects all. Those with most bytes come first. more is the number of packets of further
// conversations, beyond MaxConversations.
func (c *Capture) Conversations(ctx context.Context, filter *pcapfilter.Filter) (
	list []Conversation, more int, err error) {
	found := map[ends]*Conversation{} // both directions lead to it
	d := newEndsDecoder()
	frames := c.framesFrom(fileHeaderLen, scanBuffer)
	for number := 1; ; number++ {
		f, err := frames.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = contextError(ctx, number)
		}
		if err != nil {
			return nil, 0, err
		}
		if filter != nil && !filter.Match(f.data, f.wireLen) {
			continue
		}
		e, ok := d.decode(f.data)
		if !ok {
			continue
		}
		x := found[e]
		if x == nil {
			if len(found) >= 2*MaxConversations {
				more++
				continue
			}
			x = &Conversation{Protocol: e.protocol, A: e.from, B: e.to, First: f.at, Number: number}
			found[e], found[ends{e.protocol, e.to, e.from}] = x, x
		}
		x.add(e.from == x.A, f)
	}
	for e, x := range found {
		if e.from == x.A {
			list = append(list, *x)
		}
	}
	slices.SortFunc(list, func(a, b Conversation) int {
		return cmp.Or(cmp.Compare(b.Bytes(), a.Bytes()), cmp.Compare(a.Number, b.Number))
	})
	same := func(a, b Conversation) bool { return a.Number == b.Number }
	return slices.CompactFunc(list, same), more, nil
}

func (c *Conversation) add(fromA bool, f frame) {
	side := &c.FromB
	if fromA {
		side = &c.FromA
	}
	side.Packets++
	side.Bytes += int64(f.wireLen)
	if f.at.After(c.Last) {
		c.Last = f.at
	}
}

// An endsDecoder decodes the ends of packets without allocating.
type endsDecoder struct {
	decoder
	udp layers.UDP
}

func newEndsDecoder() *endsDecoder {
	d := &endsDecoder{}
	d.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet,
		&d.eth, &d.tag, &d.ip4, &d.ip6, &d.skip, &d.tcp, &d.udp)
	d.parser.IgnoreUnsupported = true
	return d
}

// decode reports whether a frame contains an IP packet, and returns its ends.
func (d *endsDecoder) decode(data []byte) (e ends, ok bool) {
	if err := d.parser.DecodeLayers(data, &d.found); err != nil && len(d.found) == 0 {
		return ends{}, false
	}
	var src, dst netip.Addr
	for _, t := range d.found {
		switch t {
		case layers.LayerTypeIPv4:
			src, _ = netip.AddrFromSlice(d.ip4.SrcIP)
			dst, _ = netip.AddrFromSlice(d.ip4.DstIP)
			e = ends{"IP", netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)}
		case layers.LayerTypeIPv6:
			src, _ = netip.AddrFromSlice(d.ip6.SrcIP)
			dst, _ = netip.AddrFromSlice(d.ip6.DstIP)
			e = ends{"IP", netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)}
		case layers.LayerTypeTCP:
			return ends{"TCP", netip.AddrPortFrom(src, uint16(d.tcp.SrcPort)),
				netip.AddrPortFrom(dst, uint16(d.tcp.DstPort))}, true
		case layers.LayerTypeUDP:
			return ends{"UDP", netip.AddrPortFrom(src, uint16(d.udp.SrcPort)),
				netip.AddrPortFrom(dst, uint16(d.udp.DstPort))}, true
		}
	}
	return e, src.IsValid()
}
