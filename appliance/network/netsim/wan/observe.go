package wan

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// An observer is shown the packets of a path on the far side of the gateways.
type observer struct {
	mu      sync.Mutex // held while show runs
	show    func(at time.Time, out bool, frame []byte)
	removed bool
}

// observers are those of all paths, by the name of the path. The map is replaced, never changed.
type observers map[string][]*observer

// Observe calls show for each later packet of a path on the far side of the gateways: between the
// gateway and the next router. out tells whether the packet comes from the gateway. The frame is the
// packet as it is there, behind an Ethernet header without addresses. The section "Observers" of the
// package's documentation says at which side of faults this is. show runs on the pump and must not
// block; it may retain the frame. After remove has returned, show is not called any more. show must
// not call remove.
func (w *WAN) Observe(path string, show func(at time.Time, out bool, frame []byte)) (remove func()) {
	o := &observer{show: show}
	closeTap := w.fabric.OpenTap()
	w.changeObservers(path, func(list []*observer) []*observer { return append(list, o) })
	return func() {
		o.mu.Lock()
		again := o.removed
		o.removed = true
		o.mu.Unlock()
		if !again {
			w.changeObservers(path, func(list []*observer) []*observer {
				return slices.DeleteFunc(list, func(x *observer) bool { return x == o })
			})
			closeTap()
		}
	}
}

func (w *WAN) changeObservers(path string, f func([]*observer) []*observer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(observers)
	if old := w.observers.Load(); old != nil {
		maps.Copy(all, *old)
	}
	if all[path] = f(slices.Clone(all[path])); len(all[path]) == 0 {
		delete(all, path)
	}
	if len(all) == 0 {
		w.observers.Store(nil)
		return
	}
	w.observers.Store(&all)
}

// observersOf returns the observers of a path, which may be nil.
func (w *WAN) observersOf(p *path) []*observer {
	all := w.observers.Load()
	if all == nil || p == nil {
		return nil
	}
	return (*all)[p.Name]
}

// isObserved reports whether an observer is shown the packet.
func (tr *transit) isObserved() bool {
	w := tr.in.wan
	return w.observersOf(tr.outPath) != nil || w.observersOf(tr.backPath) != nil
}

// showTransit shows a packet on its way to the observers of p, which is the packet's outPath if out
// is set, otherwise its backPath.
func (w *WAN) showTransit(tr *transit, p *path, out bool) {
	list := w.observersOf(p)
	if list == nil {
		return
	}
	routers := tr.gatewayStep
	if out {
		routers++
	}
	delay := tr.steps[tr.gatewayStep].arrival + tr.faultDelay
	if l := tr.faultLane; l != nil { // keeps the order, as it does for the packets themselves
		now := w.machineClock.Mark()
		l.shown = max(l.shown, now+clock.Mark(delay))
		delay = time.Duration(l.shown - now)
	}
	w.showAfter(delay, list, out, observedFrame(tr.frame, -routers))
}

// observedFrame returns a copy of a frame without Ethernet addresses, whose TTL is greater by ttl.
func observedFrame(frame []byte, ttl int) []byte {
	frame = slices.Clone(frame)
	clear(frame[:12])
	ip := frame[etherLen:]
	if ip[0]>>4 == 6 {
		ip[7] = uint8(int(ip[7]) + ttl)
		return frame
	}
	ip[8] = uint8(int(ip[8]) + ttl)
	setIPv4Checksum(ip)
	return frame
}

// showAfter shows a frame to observers once delay has passed.
func (w *WAN) showAfter(delay time.Duration, list []*observer, out bool, frame []byte) {
	show := func() {
		at := w.fabric.Timestamp()
		for _, o := range list {
			o.mu.Lock()
			if !o.removed {
				o.show(at, out, frame)
			}
			o.mu.Unlock()
		}
	}
	if delay <= 0 {
		show()
		return
	}
	w.fabric.After(delay, show)
}

// A crossing is a place with observers that the answer of a router passes.
type crossing struct {
	observers []*observer
	out       bool
	lead      time.Duration // how long the answer is there before it is transmitted
	ttl       int           // by how much its TTL is greater there
}

// crossingsToSource returns the observed places between a router of the packet's and its source.
func (tr *transit) crossingsToSource(router int) (list []crossing) {
	if tr.in.wan.observers.Load() == nil {
		return nil
	}
	gateway := tr.gatewayStep
	c := crossing{lead: tr.gatewayArrival(), ttl: gateway + 1}
	if c.observers = tr.in.wan.observersOf(tr.outPath); c.observers != nil && router > gateway {
		list = append(list, c)
	}
	c.out, c.ttl = true, gateway
	if c.observers = tr.in.wan.observersOf(tr.backPath); c.observers != nil && router >= gateway {
		list = append(list, c)
	}
	return list
}

// crossingsToDestination returns the observed places between a router of the packet's and its
// destination.
func (tr *transit) crossingsToDestination(router int) (list []crossing) {
	if tr.in.wan.observers.Load() == nil {
		return nil
	}
	gateway := tr.gatewayStep
	c := crossing{lead: tr.pathDelay - tr.gatewayArrival(), ttl: len(tr.steps) - gateway}
	if c.observers = tr.in.wan.observersOf(tr.backPath); c.observers != nil && router < gateway {
		list = append(list, c)
	}
	c.out, c.ttl = true, len(tr.steps)-1-gateway
	if c.observers = tr.in.wan.observersOf(tr.outPath); c.observers != nil && router <= gateway {
		list = append(list, c)
	}
	return list
}

// gatewayArrival returns the delay of the path up to the gateway.
func (tr *transit) gatewayArrival() time.Duration {
	if tr.gatewayStep < len(tr.steps) {
		return tr.steps[tr.gatewayStep].arrival
	}
	return tr.pathDelay // the destination is the gateway
}

// showAnswer shows an answer that is about to be transmitted after delay.
func (w *WAN) showAnswer(crossings []crossing, delay time.Duration, frame []byte) {
	for _, c := range crossings {
		w.showAfter(delay-c.lead, c.observers, c.out, observedFrame(frame, c.ttl))
	}
}

// showToGateway shows a packet from a far host to the gateway itself, and returns the places that the
// answer passes.
func (w *WAN) showToGateway(g *gateway, p *packet) []crossing {
	if !g.isSite || w.observers.Load() == nil {
		return nil
	}
	list := w.observersOf(w.table.Load().path(p.src))
	if list == nil {
		return nil
	}
	w.showAfter(0, list, false, observedFrame(p.frame, 0))
	return []crossing{{observers: list, out: true}}
}
