package vnet

import (
	"encoding/binary"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/esasim/esasim/appliance/clock"
)

// gVisor acknowledges data as soon as it has processed a segment. BSD and Linux wait for a while,
// because the program often answers, and the answer acknowledges the data as well. For a machine
// whose personality says so, an acknowledgement without data is therefore held between the stack
// and the port, where nothing has counted or seen it yet, until a later segment of the connection
// acknowledges as much, or the time is over.

const optionSACK = 5

// ackTick is the precision of the delay, that of the timers of a kernel. Without it the timer would
// fire for nearly each connection.
const ackTick = 10 * time.Millisecond

// An ackState is what is known of the acknowledgements of a flow.
type ackState struct {
	endpoint tcpip.Endpoint // nil: the connection has no owner yet, and no acknowledgement is held
	made     uint32         // the latest acknowledgement of the stack
	sent     uint32         // the latest one that has been transmitted
	at       clock.Mark     // the time of the latest one for data that has none itself; 0: never
	held     bool           // that acknowledgement has not been transmitted
	listed   bool           // the flow is in personalities.delayed
	answers  bool           // see Personality.DelaysAnswersOnly
	gap      bool           // a segment has arrived out of order
	finished bool           // the peer has sent a FIN: everything is acknowledged at once
}

// delays reports whether the segment whose headers are h must not be transmitted, because it only
// acknowledges data that a later segment can acknowledge. p.mu is held.
func (p portRewriter) delays(f *flow, h []byte, tcp int) bool {
	x, a, segment := f.personality, &f.acks, h[tcp:]
	if x.ACKDelay == 0 || segment[tcpFlagsAt]&tcpFlagACK == 0 {
		return false
	}
	ack := binary.BigEndian.Uint32(segment[tcpAckAt:])
	fresh := int(int32(ack - a.sent)) // bytes that no transmitted segment has acknowledged
	again := ack == a.made
	a.made = ack
	now := clock.System().Mark()
	switch {
	case segment[tcpFlagsAt] != tcpFlagACK || dataLen(h, tcp) > 0:
		a.answers = a.answers || fresh > 0 || a.at != 0 && now-a.at < clock.Mark(x.ACKDelay)
	case again:
		a.gap = a.endpoint != nil // otherwise it ends the handshake
	default:
		a.at = now
		gap := a.gap
		a.gap = false
		if !a.held && !gap && fresh <= p.mostInOne(f, h, tcp) && f.mayDelay(segment) {
			a.held = true
			f.port, f.latest = p.port, append(f.latest[:0], h...)
			p.list(f)
			return true
		}
	}
	a.held, a.sent = false, ack
	return false
}

// mostInOne returns how much data a single segment from the peer can have, given the headers of an
// acknowledgement: the peer sends no more than fits the MTU, and the same options.
func (p portRewriter) mostInOne(f *flow, h []byte, tcp int) int {
	return min(f.segment, p.port.MTU()-(tcp-14)-tcpOptionsAt) - (len(h) - tcp - tcpOptionsAt)
}

// mayDelay reports whether the flow's machine delays an acknowledgement at this time, whose TCP
// header is segment.
func (f *flow) mayDelay(segment []byte) bool {
	a := &f.acks
	if a.endpoint == nil || a.finished || f.personality.DelaysAnswersOnly && !a.answers ||
		binary.BigEndian.Uint16(segment[tcpWindowAt:]) == 0 {
		return false
	}
	lost := false
	eachOption(segment[tcpOptionsAt:], func(kind byte, _ []byte) { lost = lost || kind == optionSACK })
	return !lost
}

// list ensures that the acknowledgement of f is transmitted when its time is over. p.mu is held.
func (p *personalities) list(f *flow) {
	if f.acks.listed {
		return
	}
	f.acks.listed = true
	p.delayed = append(p.delayed, f)
	if len(p.delayed) == 1 {
		p.schedule(f, f.personality.ACKDelay)
	}
}

// schedule makes transmitDelayed be called at the first tick after d.
func (p *personalities) schedule(f *flow, d time.Duration) {
	due := time.Duration(clock.System().Mark()) + d
	f.port.Fabric().After(d+ackTick-due%ackTick, p.transmitDelayed)
}

// transmitDelayed transmits the acknowledgements whose time is over. A flow whose acknowledgement
// has been transmitted in another segment is still listed until now: this is cheaper than to change
// the list with each segment.
func (p *personalities) transmitDelayed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, next := clock.System().Mark(), time.Duration(0)
	listed := p.delayed
	p.delayed = listed[:0]
	for _, f := range listed {
		left := f.acks.at + clock.Mark(f.personality.ACKDelay) - now
		if f.acks.held && left > 0 {
			p.delayed = append(p.delayed, f)
			if next == 0 || time.Duration(left) < next {
				next = time.Duration(left)
			}
			continue
		}
		f.acks.listed = false
		if f.acks.held {
			f.acks.answers = false
			f.transmitHeld()
		}
	}
	clear(listed[len(p.delayed):])
	if len(p.delayed) > 0 {
		p.schedule(p.delayed[0], next)
	}
}

// transmitHeld transmits the acknowledgement that is held, if there is one and the connection still
// exists. personalities.mu is held.
func (f *flow) transmitHeld() {
	a := &f.acks
	if !a.held {
		return
	}
	a.held = false
	switch tcp.EndpointState(a.endpoint.State()) {
	case tcp.StateEstablished, tcp.StateCloseWait, tcp.StateFinWait1, tcp.StateFinWait2,
		tcp.StateClosing, tcp.StateLastAck:
		a.sent = binary.BigEndian.Uint32(f.latest[tcpAt(f.latest)+tcpAckAt:])
		f.transmitLatest()
	}
}

// finish makes a flow whose peer has sent a FIN acknowledge everything at once.
func (p *personalities) finish(key flowKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flows[key]; f != nil {
		f.acks.finished = true
	}
}
