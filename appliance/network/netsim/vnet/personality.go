package vnet

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// Kinds of TCP options.
const (
	OptionMSS           = 2
	OptionWindowScale   = 3
	OptionSACKPermitted = 4
	OptionTimestamps    = 8
)

// A Personality is what identifies the TCP of a machine's operating system on the wire.
type Personality struct {
	// Window is the window of a SYN, and later the most that is offered. It must not be more
	// than half of the host's receive buffer. If it is 0, windows and SYNs are those of the stack.
	Window int
	// WholeSegments rounds the window of an established connection up to a multiple of the
	// peer's segment size, as BSD does.
	WholeSegments bool
	// Options are the kinds of the options of a SYN, in their order. A SYN has those of them
	// that the stack would send, and the stack is not told of others that the peer sends.
	Options []byte
	// ACKDelay is how long a segment with data may stay without an acknowledgement. Until then a
	// segment that the machine sends anyway acknowledges it. A second segment is acknowledged at
	// once, and so is everything that tells the peer of a loss. 0: there is no delay.
	ACKDelay time.Duration
	// DelaysAnswersOnly makes the delay apply only from when the machine has answered data within
	// ACKDelay until it does not do so once, as Linux does.
	DelaysAnswersOnly bool
}

// Headers of TCP: offsets and flags.
const (
	tcpSeqAt, tcpAckAt       = 4, 8
	tcpFlagsAt, tcpWindowAt  = 13, 14
	tcpOptionsAt             = 20
	tcpFlagFIN, tcpFlagSYN   = 0x01, 0x02
	tcpFlagRST, tcpFlagACK   = 0x04, 0x10
	maxPersonalityFlows      = 4096
	optionEnd, optionNothing = 0, 1
)

// personalities are those of the machines of a host. They rewrite the segments at its ports:
// options, and windows, which the stack computes from the memory that it uses and not from the
// bytes that its owner has not read.
type personalities struct {
	of map[netip.Addr]*Personality // by local address; that of the zero Addr is for all others
	// ofClients is for addresses in clients that are not in of.
	ofClients *Personality
	clients   []netip.Prefix

	mu      sync.Mutex // guards the following and the fields of flows
	flows   map[flowKey]*flow
	delayed []*flow // see transmitDelayed
}

// A portRewriter rewrites the segments of one port.
type portRewriter struct {
	*personalities
	port *ether.Port
}

// A flowKey identifies a connection.
type flowKey struct{ local, remote netip.AddrPort }

// A flow is what the windows and the acknowledgements of a connection are computed from.
type flow struct {
	personality *Personality

	window  int    // the most that is offered; 0: windows are those of the stack
	segment int    // the peer's segment size
	first   uint32 // sequence number of the first byte that the peer sends
	acked   uint32 // the latest acknowledgement
	read    uint32 // bytes that the owner of the connection has read
	offered int    // the latest window

	port   *ether.Port
	latest []byte // headers of the latest segment, as those of a pure acknowledgement
	acks   ackState
}

func (p *personalities) find(local netip.Addr) *Personality {
	if x := p.of[local]; x != nil {
		return x
	}
	for _, n := range p.clients {
		if n.Contains(local) {
			return p.ofClients
		}
	}
	return p.of[netip.Addr{}]
}

// segmentEnds returns the source and the destination of a segment.
func segmentEnds(h []byte, tcp int) (from, to netip.AddrPort) {
	ports := h[tcp:]
	var a, b netip.Addr
	if h[tcp-20]>>4 == 4 && h[12] == 0x08 {
		a, b = netip.AddrFrom4([4]byte(h[tcp-8:])), netip.AddrFrom4([4]byte(h[tcp-4:]))
	} else {
		a, b = netip.AddrFrom16([16]byte(h[tcp-32:])), netip.AddrFrom16([16]byte(h[tcp-16:]))
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(ports)),
		netip.AddrPortFrom(b, binary.BigEndian.Uint16(ports[2:]))
}

// eachOption calls f for each TCP option, with its kind and its whole text.
func eachOption(options []byte, f func(kind byte, option []byte)) {
	for len(options) > 0 && options[0] != optionEnd {
		if options[0] == optionNothing {
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return
		}
		n := int(options[1])
		f(options[0], options[:n])
		options = options[n:]
	}
}

// Transmitted implements ether.SegmentRewriter.
func (p portRewriter) Transmitted(h []byte, tcp int) []byte {
	local, remote := segmentEnds(h, tcp)
	segment := h[tcp:]
	key := flowKey{local, remote}
	if segment[tcpFlagsAt]&tcpFlagSYN != 0 {
		x := p.find(local.Addr())
		if x == nil || x.Window == 0 {
			return h
		}
		binary.BigEndian.PutUint16(segment[tcpWindowAt:], uint16(x.Window))
		return x.orderOptions(h, tcp)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.flows[key]
	if f == nil {
		p.rewriteUnknown(segment, local.Addr())
		return h
	}
	if f.window != 0 {
		p.rewriteWindow(f, h, tcp)
	}
	if p.delays(f, h, tcp) {
		return nil
	}
	if segment[tcpFlagsAt]&tcpFlagRST != 0 && f.acks.endpoint == nil {
		delete(p.flows, key) // the connection has been refused
	}
	return h
}

// rewriteUnknown rewrites the TCP header of a segment of a connection without a flow, which local
// transmits.
func (p *personalities) rewriteUnknown(segment []byte, local netip.Addr) {
	x := p.find(local)
	if x != nil && x.Window != 0 && segment[tcpFlagsAt]&tcpFlagRST == 0 {
		binary.BigEndian.PutUint16(segment[tcpWindowAt:], uint16(x.Window))
	}
}

// rewriteWindow sets the window of a segment of an established connection. Like a kernel, the
// machine acknowledges a segment before its program has read it. p.mu is held.
func (p portRewriter) rewriteWindow(f *flow, h []byte, tcp int) {
	segment := h[tcp:]
	window := segment[tcpWindowAt:]
	if segment[tcpFlagsAt]&tcpFlagRST != 0 {
		binary.BigEndian.PutUint16(window, uint16(f.window))
		return
	}
	own := int(binary.BigEndian.Uint16(window))
	ack := binary.BigEndian.Uint32(segment[tcpAckAt:])
	unread := max(int32(ack-f.first-f.read), int32(ack-f.acked), 0)
	f.acked = ack
	f.offered = max(0, f.window-int(unread))
	if own < f.offered/2 {
		f.offered = own // the stack has less memory left than the window says
	}
	binary.BigEndian.PutUint16(window, uint16(f.offered))
	f.port, f.latest = p.port, append(f.latest[:0], h...)
	acknowledgement(f.latest, tcp)
}

// dataLen returns the length of the data of the segment whose headers are h.
func dataLen(h []byte, tcp int) int {
	ip := h[14:]
	if ip[0]>>4 == 6 {
		return int(binary.BigEndian.Uint16(ip[4:])) - (len(h) - tcp)
	}
	return int(binary.BigEndian.Uint16(ip[2:])) - (len(h) - 14)
}

// tcpAt returns where the TCP header begins in the headers of a segment.
func tcpAt(h []byte) int {
	if h[14]>>4 == 6 {
		return 54
	}
	return 34
}

// acknowledgement turns the headers of a segment into those of an acknowledgement that follows
// it. Their checksums are not set.
func acknowledgement(h []byte, tcp int) {
	ip, segment := h[14:tcp], h[tcp:]
	data := dataLen(h, tcp)
	if ip[0]>>4 == 6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(segment)))
	} else {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(h)-14))
	}
	if segment[tcpFlagsAt]&tcpFlagFIN != 0 {
		data++
	}
	seq := segment[tcpSeqAt:]
	binary.BigEndian.PutUint32(seq, binary.BigEndian.Uint32(seq)+uint32(data))
	segment[tcpFlagsAt] = tcpFlagACK
}

// consumed counts n bytes that the owner of a connection has read. If the window was small and
// has grown, it tells the peer. The stack does not: it computes windows from its memory.
func (p *personalities) consumed(f *flow, n int) {
	if f.window == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f.read += uint32(n)
	if f.offered >= f.window/2 || f.latest == nil {
		return
	}
	if f.currentWindow()-f.offered < min(f.window/2, 2*f.segment) {
		return
	}
	f.acks.held, f.acks.sent = false, f.acked
	f.transmitLatest()
}

// currentWindow returns the window that the machine can offer now.
func (f *flow) currentWindow() int {
	return f.window - int(max(int32(f.acked-f.first-f.read), 0))
}

// transmitLatest transmits an acknowledgement that follows the latest segment, with the window of
// now. personalities.mu is held.
func (f *flow) transmitLatest() {
	if f.window != 0 {
		f.offered = f.currentWindow()
		binary.BigEndian.PutUint16(f.latest[tcpAt(f.latest)+tcpWindowAt:], uint16(f.offered))
	}
	f.port.TransmitSegment(f.latest)
}

// orderOptions returns the headers of a SYN with the personality's options in its order, aligned
// and filled as BSD does.
func (x *Personality) orderOptions(h []byte, tcp int) []byte {
	out := slices.Clone(h[:tcp+tcpOptionsAt])
	start := len(out)
	for _, kind := range x.Options {
		eachOption(h[tcp+tcpOptionsAt:], func(k byte, option []byte) {
			if k != kind {
				return
			}
			for k == OptionWindowScale && (len(out)-start)%2 == 0 ||
				k == OptionTimestamps && (len(out)-start)%4 != 2 ||
				k == OptionSACKPermitted && (len(out)-start)%2 != 0 {
				out = append(out, optionNothing)
			}
			out = append(out, option...)
		})
	}
	for (len(out)-start)%4 != 0 {
		out = append(out, optionEnd)
	}
	out[tcp+12] = byte((len(out)-tcp)/4)<<4 | out[tcp+12]&0x0f
	return out
}

// Received implements ether.SegmentRewriter. It hides the options that the machine does not
// know, and remembers where the peer's data begins and that it ends.
func (p portRewriter) Received(h []byte, tcp int) {
	remote, local := segmentEnds(h, tcp)
	key := flowKey{local, remote}
	if h[tcp+tcpFlagsAt]&tcpFlagSYN == 0 {
		p.finish(key)
		return
	}
	x := p.find(local.Addr())
	if x == nil {
		return
	}
	segment := 536
	eachOption(h[tcp+tcpOptionsAt:], func(kind byte, option []byte) {
		switch {
		case kind == OptionMSS && len(option) == 4:
			segment = max(1, int(binary.BigEndian.Uint16(option[2:])))
		case x.Window != 0 && !slices.Contains(x.Options, kind):
			for i := range option {
				option[i] = optionNothing
			}
		}
	})
	window := x.Window
	if x.WholeSegments {
		window = min((window+segment-1)/segment*segment, 65535)
	}
	first := binary.BigEndian.Uint32(h[tcp+tcpSeqAt:]) + 1
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flows[key]; f != nil && f.first == first {
		return // a retransmission
	}
	p.makeRoom()
	p.flows[key] = &flow{
		personality: x, window: window, segment: segment, first: first, acked: first, offered: window,
		acks: ackState{made: first, sent: first},
	}
}

// makeRoom makes room for another flow. If there are too many, it forgets those of connections that
// no program has: a scan of ports begins many. If programs have most of them, it forgets all.
// p.mu is held.
func (p *personalities) makeRoom() {
	if p.flows == nil {
		p.flows = make(map[flowKey]*flow)
	}
	if len(p.flows) < maxPersonalityFlows {
		return
	}
	maps.DeleteFunc(p.flows, func(_ flowKey, f *flow) bool { return f.acks.endpoint == nil })
	if len(p.flows) > maxPersonalityFlows/2 {
		for _, f := range p.flows {
			f.transmitHeld()
		}
		p.flows = make(map[flowKey]*flow)
	}
}

// own gives a connection's flow its owner, whose endpoint is ep, and returns it; nil if its machine
// has no personality.
func (p *personalities) own(key flowKey, ep tcpip.Endpoint) *flow {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.flows[key]
	if f != nil {
		f.acks.endpoint = ep
	}
	return f
}

// remove forgets a flow.
func (p *personalities) remove(key flowKey, f *flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.transmitHeld()
	if p.flows[key] == f {
		delete(p.flows, key)
	}
}
