package ether

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// An Impairment is a set of defects of the cable between a port and its segment. It applies
// in both directions; a frame meets the impairments of its sender's cable and of its
// receiver's.
type Impairment struct {
	Delay  time.Duration // one way
	Jitter time.Duration // maximum of a random additional delay; frames keep their order
	Loss   float64       // fraction of the frames that are lost, 0 to 1
	Rate   int64         // bits per second; 0: no limit
	Queue  int           // bytes that may wait for a limited rate; 0: 256 KiB
}

// defaultQueue is the capacity of a queue in bytes: a few thousand small frames or 170
// full ones.
const defaultQueue = 256 << 10

// A cable is the state of a port's cable.
type cable struct {
	quality atomic.Pointer[quality] // nil: a perfect cable of unlimited rate

	changing sync.Mutex // held while quality is replaced

	// Used by the pump only.
	impairOut, impairIn lane // occupation by the impairment
	mediumTx, mediumRx  lane // occupation by the medium; half duplex uses mediumTx only
}

// A quality is everything that delays or loses frames on a cable. It is replaced, never
// changed.
type quality struct {
	Impairment
	media  network.Media
	filter FrameFilter // nil: none
}

// A FrameFilter decides about a frame between two ports: whether it passes and, if so,
// with which additional delay. It runs on the pump and must not block. The frame must not
// be retained or changed.
type FrameFilter func(from, to *Port, frame []byte) (delay time.Duration, pass bool)

// isLimited reports whether the medium has a rate that is simulated.
func (q *quality) isLimited() bool {
	return q != nil && q.media.Rate > 0 && (q.media.HalfDuplex || q.media.Rate < unlimitedRate)
}

// unlimitedRate is the rate from which on a full duplex medium is not simulated: frames
// travel as fast as the process works.
const unlimitedRate = 1_000_000_000

// A lane is one direction of a cable.
type lane struct {
	freeAt      clock.Mark // when the last bit of the latest frame has been sent
	lastArrival clock.Mark // when the latest frame arrives at the other end
}

// SetImpairment replaces the impairment of the port's cable. It applies to later frames.
// The zero Impairment repairs the cable.
func (p *Port) SetImpairment(i Impairment) {
	p.cable.update(func(q *quality) { q.Impairment = i })
}

// SetMedia sets the medium of the port and of the switch's port at the other end of its
// cable. The cable's impairment is unaffected. Frames that do not fit into the queue of
// 256 KiB before a slow port are dropped.
func (p *Port) SetMedia(m network.Media) {
	p.cable.update(func(q *quality) { q.media = m })
}

// SetFrameFilter makes f decide about each later frame on the port's cable, in both
// directions. If f is nil, all frames pass.
func (p *Port) SetFrameFilter(f FrameFilter) {
	p.cable.update(func(q *quality) { q.filter = f })
}

// update replaces the cable's quality by a copy that f has changed.
func (c *cable) update(f func(q *quality)) {
	c.changing.Lock()
	defer c.changing.Unlock()
	var q quality
	if old := c.quality.Load(); old != nil {
		q = *old
	}
	if f(&q); q.Impairment == (Impairment{}) && q.filter == nil && !q.isLimited() {
		c.quality.Store(nil)
		return
	}
	c.quality.Store(&q)
}

// propagate takes a frame along the cables of from and p, and lets it ingress at p when
// it arrives there. It owns v.
func (p *Port) propagate(from *Port, v *buffer.View) {
	if v.Size() < minFrameLen+vlanTagLen && isARP(v.AsSlice()) &&
		from.uplink == nil && p.uplink == nil {
		pad(v)
	}
	a, b := from.cable.quality.Load(), p.cable.quality.Load()
	if a == nil && b == nil {
		p.ingress(v)
		return
	}
	now := p.fabric.machineClock.Mark()
	at, ok := now, true
	if a != nil {
		at, ok = a.impair(&from.cable.impairOut, at, from, p, v.AsSlice())
	}
	if ok && b.isLimited() {
		at, ok = p.cable.serialize(&p.cable.mediumRx, b, at, v.Size())
	}
	if ok && b != nil {
		at, ok = b.impair(&p.cable.impairIn, at, from, p, v.AsSlice())
	}
	switch {
	case !ok:
		v.Release()
	case at <= now:
		p.ingress(v)
	default:
		p.fabric.scheduleAt(at, event{to: p, frame: v})
	}
}

// impair returns the time at which a frame that enters the lane at start arrives at its
// other end. ok is false if the frame is lost.
func (q *quality) impair(
	l *lane, start clock.Mark, from, to *Port, frame []byte,
) (arrival clock.Mark, ok bool) {
	i, rand, at := &q.Impairment, to.fabric.rand, start
	if i.Loss > 0 && rand.Float64() < i.Loss {
		return 0, false
	}
	if i.Rate > 0 {
		if at, ok = l.serialize(start, i.Rate, cmp.Or(i.Queue, defaultQueue), len(frame)); !ok {
			return 0, false
		}
	}
	at += clock.Mark(i.Delay)
	if i.Jitter > 0 {
		at += clock.Mark(rand.Float64() * float64(i.Jitter))
	}
	if q.filter != nil {
		delay, pass := q.filter(from, to, frame)
		if !pass {
			return 0, false
		}
		at += clock.Mark(delay)
	}
	l.lastArrival = max(at, l.lastArrival)
	return l.lastArrival, true
}

// serialize returns the time at which the medium has sent the last bit of a frame that is
// ready at start. ok is false if the frame finds the queue full.
func (c *cable) serialize(
	l *lane, q *quality, start clock.Mark, size int,
) (sent clock.Mark, ok bool) {
	if q.media.HalfDuplex {
		l = &c.mediumTx
	}
	return l.serialize(start, q.media.Rate, defaultQueue, size)
}

// serialize returns the time at which the last bit of a frame of size bytes that is ready
// at start has been sent. ok is false if queue bytes are waiting already.
func (l *lane) serialize(
	start clock.Mark, rate int64, queue, size int,
) (sent clock.Mark, ok bool) {
	at := max(start, l.freeAt)
	if waiting := float64(at-start) * float64(rate) / 8e9; waiting > float64(queue) {
		return 0, false
	}
	at += clock.Mark(int64(size) * 8 * int64(time.Second) / rate)
	l.freeAt = at
	return at, true
}

// serialize paces a frame at the rate of the port's medium and then lets it egress. It
// owns v.
func (p *Port) serialize(v *buffer.View) {
	q := p.cable.quality.Load()
	if !q.isLimited() {
		p.egress(v)
		return
	}
	at, ok := p.cable.serialize(&p.cable.mediumTx, q, p.fabric.machineClock.Mark(), v.Size())
	if !ok {
		p.counters.txDropped.Add(1)
		v.Release()
		return
	}
	p.fabric.scheduleAt(at, event{call: func() { p.egress(v) }})
}
