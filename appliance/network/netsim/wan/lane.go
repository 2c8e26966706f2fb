package wan

import (
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A lane keeps the packets of one direction of a path in order in spite of jitter: when a
// delay ends, the packet that has waited longest is sent.
type lane struct {
	queue []queuedPacket
	shown clock.Mark // when the last packet is shown to observers
}

// A queuedPacket is a packet that waits in a lane.
type queuedPacket struct {
	gateway *gateway // which sends the packet
	to      netip.Addr
	frame   []byte
	reply   replyPath
}

// orderingLane returns the lane that the packet has to take, nil if nothing could change
// the order of packets.
func (tr *transit) orderingLane() *lane {
	switch {
	case tr.outPath != nil && tr.outPath.Jitter > 0:
		return &tr.outPath.outLane
	case tr.backPath != nil && tr.backPath.Jitter > 0:
		return &tr.backPath.backLane
	}
	return tr.faultLane
}

// push appends a packet to the lane and makes it send one packet once delay has passed.
func (l *lane) push(w *WAN, delay time.Duration, q queuedPacket) {
	l.queue = append(l.queue, q)
	w.fabric.After(delay, l.pop)
}

// pop sends the packet that has waited longest.
func (l *lane) pop() {
	q := l.queue[0]
	l.queue[0] = queuedPacket{}
	l.queue = l.queue[1:]
	q.gateway.send(q.to, q.frame, 0, q.reply)
}
