package ether

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

const (
	// headerLen is the length of an Ethernet header.
	headerLen = 14
	// standardMTU is what a card receives whatever it may send.
	standardMTU = 1500
	// txRing is how many frames of one port may wait for the pump.
	txRing = 4096
)

// A Port is a network card with its cable. Its methods are safe for concurrent
// use.
type Port struct {
	name    string
	mac     MAC
	fabric  *Fabric
	segment *Segment
	vlan    int   // that the port is in; 0: it sees frames as they are on the wire
	parent  *Port // of a port that Port.NewVLANPort has made

	node   func(frame []byte)  // the owner, if it is written by hand
	trains func(t *Train) bool // likewise; nil: it takes none
	stack  link                // or the owner's link
	mtu    atomic.Int32        // 0: the parent's
	down   atomic.Uint32       // why nothing passes: switchedOff, unplugged
	queued atomic.Int32        // frames that wait for the pump

	counters counters
	cable    cable

	mu         sync.Mutex // guards changes of the lists
	taps       atomic.Pointer[[]*tap]
	allowRules atomic.Pointer[[]*allowRule]
	vlans      atomic.Pointer[map[int]*Port] // whose parent this is

	receiving sync.Mutex // held while the owner receives
	closed    bool       // guarded by receiving
}

type counters struct {
	rxPackets, rxBytes, rxErrors, rxDropped atomic.Uint64
	txPackets, txBytes, txErrors, txDropped atomic.Uint64
}

// Name is what the port was called when it was made.
func (p *Port) Name() string { return p.name }

// MAC is the port's address.
func (p *Port) MAC() MAC { return p.mac }

// Segment is where the port is plugged in.
func (p *Port) Segment() *Segment { return p.segment }

// MTU is the length of the largest packet, without the Ethernet header.
func (p *Port) MTU() int {
	mtu := int(p.mtu.Load())
	if p.parent == nil {
		return mtu
	}
	if limit := int(p.parent.mtu.Load()); mtu == 0 || mtu > limit {
		return limit
	}
	return mtu
}

// mru is the length of the largest packet that is received. As with real cards it
// is never less than the standard's: who lowers his MTU still hears his neighbours.
func (p *Port) mru() int { return max(p.MTU(), standardMTU) }

// SetMTU sets what MTU reports. Longer frames cannot be sent. What is longer than that
// and than 1500 cannot be received either. A port in a VLAN has no more than its
// parent, and as much with 0.
func (p *Port) SetMTU(mtu int) { p.mtu.Store(int32(mtu)) }

// Why a port is down.
const (
	switchedOff = 1 << iota
	unplugged
)

// Up reports whether the port is switched on and its cable plugged in.
func (p *Port) Up() bool {
	return p.down.Load() == 0 && (p.parent == nil || p.parent.down.Load() == 0)
}

// SetUp switches the port on or off: what is sent meanwhile is an error, what is on
// its way to the port is lost.
func (p *Port) SetUp(up bool) { p.setDown(switchedOff, !up) }

// SetPlugged plugs the cable in or pulls it, which is like SetUp and apart from it.
func (p *Port) SetPlugged(in bool) { p.setDown(unplugged, !in) }

// Plugged reports whether the cable is in, for a port in a VLAN its parent's.
func (p *Port) Plugged() bool {
	if p.parent != nil {
		p = p.parent
	}
	return p.down.Load()&unplugged == 0
}

func (p *Port) setDown(why uint32, down bool) {
	if down {
		p.down.Or(why)
		return
	}
	p.down.And(^why)
}

// Counters are the port's totals since it was made. Bytes are whole frames'.
func (p *Port) Counters() network.Counters {
	c := &p.counters
	return network.Counters{
		RxPackets: c.rxPackets.Load(), RxBytes: c.rxBytes.Load(),
		RxErrors: c.rxErrors.Load(), RxDropped: c.rxDropped.Load(),
		TxPackets: c.txPackets.Load(), TxBytes: c.txBytes.Load(),
		TxErrors: c.txErrors.Load(), TxDropped: c.txDropped.Load(),
	}
}

// Transmit sends a copy of frame, a whole Ethernet frame without its checksum. It
// never blocks. A frame that does not fit the MTU, or is sent with the cable
// pulled, counts as an error; one that finds the ring full as dropped.
func (p *Port) Transmit(frame []byte) { p.transmit(buffer.NewViewWithData(frame)) }

// TransmitAfter is Transmit once d has passed, without a closure. Frames of equal delay
// keep their order.
func (p *Port) TransmitAfter(d time.Duration, frame []byte) {
	if v := buffer.NewViewWithData(frame); p.admit(v) {
		p.fabric.enqueueAfter(d, event{from: p, frame: v})
	}
}

// TransmitAt is Transmit at the time that the machine's clock gives as at, or now. Frames keep the
// order of their times, however long it takes to hand them over.
func (p *Port) TransmitAt(at clock.Mark, frame []byte) {
	if v := buffer.NewViewWithData(frame); p.admit(v) {
		p.fabric.enqueueAt(at, event{from: p, frame: v})
	}
}

// RelayAfter is TransmitAfter for the frame that a node is just receiving, or the
// first part of it, whose memory it takes over; others are copied. It is called on
// the pump only.
func (p *Port) RelayAfter(d time.Duration, frame []byte) {
	v := p.fabric.held
	if v == nil || len(frame) == 0 || &frame[0] != &v.AsSlice()[0] {
		p.TransmitAfter(d, frame)
		return
	}
	p.fabric.held = nil
	v.CapLength(len(frame))
	if p.admit(v) {
		p.fabric.enqueueAfter(d, event{from: p, frame: v})
	}
}

// InjectAfter lets a copy of frame, which has no tag, arrive at the port once d has passed,
// as if from had sent it and no cable were in between.
func (p *Port) InjectAfter(d time.Duration, from *Port, frame []byte) {
	v := buffer.NewViewWithData(frame)
	if from.segment.trunk != nil && p.segment.trunk == nil {
		v = insertTag(frame, from.segment.vlan)
	}
	p.fabric.enqueueAfter(d, event{to: p, frame: v})
}

// transmit owns v.
func (p *Port) transmit(v *buffer.View) {
	if p.admit(v) {
		p.fabric.enqueue(event{from: p, frame: v})
	}
}

// admit reports whether v may be sent, and gives it up if not.
func (p *Port) admit(v *buffer.View) bool {
	switch n := v.Size(); {
	case !p.Up() || n < headerLen || n > headerLen+p.MTU() && n > headerLen+tagLen(v.AsSlice())+p.MTU():
		p.counters.txErrors.Add(1)
	case p.queued.Add(1) > txRing:
		p.queued.Add(-1)
		p.counters.txDropped.Add(1)
	default:
		return true
	}
	v.Release()
	return false
}

// dequeue lets a frame of the port's go that waited for the pump. It owns v.
func (p *Port) dequeue(v *buffer.View) {
	p.queued.Add(-1)
	p.serialize(v)
}

// egress puts a frame of the port's on the segment. It owns v.
func (p *Port) egress(v *buffer.View) {
	frame := v.AsSlice()
	p.counters.txPackets.Add(1)
	p.counters.txBytes.Add(uint64(len(frame)))
	p.show(network.Out, frame)
	switch {
	case !p.allows(network.Out, frame):
		v.Release()
	case p.parent != nil:
		tagged := insertTag(frame, p.vlan)
		v.Release()
		p.parent.serialize(tagged)
	default:
		p.segment.forward(p, v)
	}
}

// ingress hands a frame to the port's owner. It owns v.
func (p *Port) ingress(v *buffer.View) {
	frame := v.AsSlice()
	if !p.Up() || !p.allows(network.In, frame) {
		v.Release()
		return
	}
	if n := len(frame) - headerLen; n > p.mru() && n > p.mru()+tagLen(frame) {
		p.counters.rxErrors.Add(1)
		v.Release()
		return
	}
	p.counters.rxPackets.Add(1)
	p.counters.rxBytes.Add(uint64(len(frame)))
	p.show(network.In, frame)
	if q := p.vlanOf(frame); q != nil {
		q.ingress(removeTag(v))
		return
	}
	if p.node == nil {
		p.fabric.merger.deliver(p, v)
		return
	}
	p.receiving.Lock()
	defer p.receiving.Unlock()
	if p.closed {
		v.Release()
		return
	}
	p.deliver(v)
}

// deliver hands a frame to a node. It owns v. It is called with receiving held.
func (p *Port) deliver(v *buffer.View) {
	w := p.fabric
	w.held = v
	p.node(v.AsSlice())
	if w.held != nil {
		w.held.Release()
		w.held = nil
	}
}

// Close pulls the port out of its segment. Once it has returned, the owner
// receives nothing any more. It must not be called from a receive function.
func (p *Port) Close() {
	if p.parent != nil {
		p.parent.dropVLAN(p)
	} else {
		p.segment.unplug(p)
	}
	p.SetUp(false)
	p.receiving.Lock()
	defer p.receiving.Unlock()
	p.closed = true
}

// A tap sees what passes a port.
type tap struct {
	mu   sync.Mutex // held while see runs
	see  func(at time.Time, dir network.Direction, frame []byte)
	gone bool
}

// Tap calls see for every frame that passes the port from now on. It runs on the
// wire's pump: it must not block, nor keep or change the frame. After remove has
// returned see is not called any more; remove must not be called by see.
func (p *Port) Tap(see func(at time.Time, dir network.Direction, frame []byte)) (remove func()) {
	t := &tap{see: see}
	p.fabric.tapOpened()
	add(p, &p.taps, t)
	return func() {
		t.mu.Lock()
		gone := t.gone
		t.gone = true
		t.mu.Unlock()
		if !gone {
			drop(p, &p.taps, t)
			p.fabric.taps.Add(-1)
		}
	}
}

// show gives a frame to the taps.
func (p *Port) show(dir network.Direction, frame []byte) {
	taps := p.taps.Load()
	if taps == nil {
		return
	}
	at := p.fabric.stampNow()
	for _, t := range *taps {
		t.mu.Lock()
		if !t.gone {
			t.see(at, dir, frame)
		}
		t.mu.Unlock()
	}
}

// A filter is a fault of the cable.
type allowRule struct {
	pass func(dir network.Direction, frame []byte) bool
}

// AllowOnly lets pass decide which frames get through the cable: the others are
// lost, after the port's taps have seen them on their way out, or before they
// see them on their way in. pass runs on the wire's pump and must not block.
func (p *Port) AllowOnly(pass func(dir network.Direction, frame []byte) bool) (remove func()) {
	f := &allowRule{pass}
	add(p, &p.allowRules, f)
	return func() { drop(p, &p.allowRules, f) }
}

func (p *Port) allows(dir network.Direction, frame []byte) bool {
	filters := p.allowRules.Load()
	if filters == nil {
		return true
	}
	for _, f := range *filters {
		if !f.pass(dir, frame) {
			return false
		}
	}
	return true
}

// add and drop replace a list that the pump walks without a lock; an empty one
// is nil.
func add[T any](p *Port, list *atomic.Pointer[[]*T], x *T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var l []*T
	if old := list.Load(); old != nil {
		l = slices.Clone(*old)
	}
	l = append(l, x)
	list.Store(&l)
}

func drop[T any](p *Port, list *atomic.Pointer[[]*T], x *T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := list.Load()
	if old == nil {
		return
	}
	l := slices.DeleteFunc(slices.Clone(*old), func(y *T) bool { return y == x })
	if len(l) == 0 {
		list.Store(nil)
		return
	}
	list.Store(&l)
}
