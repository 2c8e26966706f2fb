package ether

import (
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/esasim/esasim/appliance/clock"
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
	impairment atomic.Pointer[Impairment]

	mu      sync.Mutex
	out, in lane
}

// A lane is one direction of a cable.
type lane struct {
	free clock.Mark // when the last frame's last bit will have been sent
	last clock.Mark // when the last frame arrives at the other end
}

// SetImpairment changes the cable from now on; the zero Impairment repairs it.
func (p *Port) SetImpairment(i Impairment) {
	if i == (Impairment{}) {
		p.cable.impairment.Store(nil)
		return
	}
	p.cable.impairment.Store(&i)
}

// carry brings a frame from port from to p. It owns v.
func (p *Port) carry(from *Port, v *buffer.View) {
	a, b := from.cable.impairment.Load(), p.cable.impairment.Load()
	if a == nil && b == nil {
		p.arrive(v)
		return
	}
	now := p.wire.machine.Mark()
	at, ok := now, true
	if a != nil {
		at, ok = from.cable.cross(&from.cable.out, a, p.wire, at, now, v.Size())
	}
	if ok && b != nil {
		at, ok = p.cable.cross(&p.cable.in, b, p.wire, at, now, v.Size())
	}
	switch {
	case !ok:
		v.Release()
	case at <= now:
		p.arrive(v)
	default:
		p.wire.scheduleAt(at, event{to: p, frame: v})
	}
}

// cross says when a frame that enters the lane at start comes out, or that it is
// lost.
func (c *cable) cross(l *lane, i *Impairment, w *Wire, start, now clock.Mark, size int) (clock.Mark, bool) {
	if i.Loss > 0 && w.rand.Float64() < i.Loss {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := start
	if i.Rate > 0 {
		at = max(at, l.free)
		queue := i.Queue
		if queue == 0 {
			queue = defaultQueue
		}
		if waiting := float64(at-start) * float64(i.Rate) / 8e9; waiting > float64(queue) {
			return 0, false
		}
		at += clock.Mark(int64(size) * 8 * int64(time.Second) / i.Rate)
		l.free = at
	}
	at += clock.Mark(i.Delay)
	if i.Jitter > 0 {
		at += clock.Mark(w.rand.Float64() * float64(i.Jitter))
	}
	l.last = max(at, l.last)
	return l.last, true
}
