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

// An Impairment is what is wrong with the cable between a port and its segment,
// in both directions. A frame suffers from its sender's cable and its receiver's.
type Impairment struct {
	Delay  time.Duration // one way
	Jitter time.Duration // up to this much more, by chance; frames keep their order
	Loss   float64       // share of the frames that are lost, 0 to 1
	Rate   int64         // bits a second; 0: no limit
	Queue  int           // bytes that may wait for a limited rate; 0: 256 KiB
}

// defaultQueue is about a thousand small frames or 170 full ones.
const defaultQueue = 256 << 10

// A cable is the state of a port's cable.
type cable struct {
	quality atomic.Pointer[quality] // nil: perfect, and as fast as it gets

	changing sync.Mutex // held while quality is replaced

	// The pump's.
	out, in lane // as what is wrong has it
	tx, rx  lane // as the media have it; half duplex has only tx
}

// A quality is what slows a cable. It is replaced, never changed.
type quality struct {
	Impairment
	media  network.Media
	filter FrameFilter // nil: none
}

// A FrameFilter decides about a frame on its way between two ports: how much later it
// arrives, or that it does not. It runs on the wire's pump, must not block, and must
// not keep or change the frame.
type FrameFilter func(from, to *Port, frame []byte) (delay time.Duration, pass bool)

// limited reports whether the medium has a rate that counts.
func (q *quality) limited() bool {
	return q != nil && q.media.Rate > 0 && (q.media.HalfDuplex || q.media.Rate < fullRate)
}

// fullRate is the rate that is not worth counting: as fast as the process.
const fullRate = 1_000_000_000

// A lane is one direction of a cable.
type lane struct {
	free clock.Mark // when the last frame's last bit will have been sent
	last clock.Mark // when the last frame arrives at the other end
}

// SetImpairment changes the cable from now on; the zero Impairment repairs it.
func (p *Port) SetImpairment(i Impairment) {
	p.cable.change(func(q *quality) { q.Impairment = i })
}

// SetMedia makes the port and the switch's at the other end of its cable work like
// this. Whatever is wrong with the cable besides stays as it is. What does not fit the
// queue of 256 KiB before a slow port is lost.
func (p *Port) SetMedia(m network.Media) {
	p.cable.change(func(q *quality) { q.media = m })
}

// SetFrameFilter lets f decide about every frame that crosses the port's cable from now
// on, in both directions; nil lets all pass.
func (p *Port) SetFrameFilter(f FrameFilter) {
	p.cable.change(func(q *quality) { q.filter = f })
}

func (c *cable) change(f func(q *quality)) {
	c.changing.Lock()
	defer c.changing.Unlock()
	var q quality
	if old := c.quality.Load(); old != nil {
		q = *old
	}
	if f(&q); q.Impairment == (Impairment{}) && q.filter == nil && !q.limited() {
		c.quality.Store(nil)
		return
	}
	c.quality.Store(&q)
}

// propagate brings a frame from port from to p. It owns v.
func (p *Port) propagate(from *Port, v *buffer.View) {
	a, b := from.cable.quality.Load(), p.cable.quality.Load()
	if a == nil && b == nil {
		p.ingress(v)
		return
	}
	now := p.fabric.machine.Mark()
	at, ok := now, true
	if a != nil {
		at, ok = a.impair(&from.cable.out, at, from, p, v.AsSlice())
	}
	if ok && b.limited() {
		at, ok = p.cable.serialize(&p.cable.rx, b, at, v.Size())
	}
	if ok && b != nil {
		at, ok = b.impair(&p.cable.in, at, from, p, v.AsSlice())
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

// impair says when a frame that enters the lane at start comes out, or that it is
// lost.
func (q *quality) impair(l *lane, start clock.Mark, from, to *Port, frame []byte) (clock.Mark, bool) {
	i, w, at := &q.Impairment, to.fabric, start
	if i.Loss > 0 && w.rand.Float64() < i.Loss {
		return 0, false
	}
	if i.Rate > 0 {
		var ok bool
		if at, ok = l.serialize(start, i.Rate, cmp.Or(i.Queue, defaultQueue), len(frame)); !ok {
			return 0, false
		}
	}
	at += clock.Mark(i.Delay)
	if i.Jitter > 0 {
		at += clock.Mark(w.rand.Float64() * float64(i.Jitter))
	}
	if q.filter != nil {
		delay, pass := q.filter(from, to, frame)
		if !pass {
			return 0, false
		}
		at += clock.Mark(delay)
	}
	l.last = max(at, l.last)
	return l.last, true
}

// serialize says when the last bit of a frame has been sent by the medium, or that it
// finds the queue full.
func (c *cable) serialize(l *lane, q *quality, start clock.Mark, size int) (clock.Mark, bool) {
	if q.media.HalfDuplex {
		l = &c.tx
	}
	return l.serialize(start, q.media.Rate, defaultQueue, size)
}

// serialize sends the bits of a frame one after the other.
func (l *lane) serialize(start clock.Mark, rate int64, queue, size int) (clock.Mark, bool) {
	at := max(start, l.free)
	if waiting := float64(at-start) * float64(rate) / 8e9; waiting > float64(queue) {
		return 0, false
	}
	at += clock.Mark(int64(size) * 8 * int64(time.Second) / rate)
	l.free = at
	return at, true
}

// serialize sends a frame of the port's at the rate of its medium. It owns v.
func (p *Port) serialize(v *buffer.View) {
	q := p.cable.quality.Load()
	if !q.limited() {
		p.egress(v)
		return
	}
	at, ok := p.cable.serialize(&p.cable.tx, q, p.fabric.machine.Mark(), v.Size())
	if !ok {
		p.counters.txDropped.Add(1)
		v.Release()
		return
	}
	p.fabric.scheduleAt(at, event{call: func() { p.egress(v) }})
}
