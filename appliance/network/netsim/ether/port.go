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
	// standardMTU is the least length of packets that a card receives, even if its MTU is
	// less.
	standardMTU = 1500
	// minFrameLen is the least length of a frame on an Ethernet cable, without checksum and tag.
	minFrameLen = 60
	// txRingSize is the number of frames of one port that may wait for the pump.
	txRingSize = 4096
)

// A Port is a network card and the cable that connects it to its segment. Its methods are
// safe for concurrent use unless they say otherwise.
type Port struct {
	name    string
	mac     MAC
	fabric  *Fabric
	segment *Segment
	vlan    int   // the VLAN that the port is in; 0: the port sees frames with their tags
	parent  *Port // the port of the trunk, if Port.NewVLANPort made this one

	receive     func(frame []byte)  // of a node; nil: the owner is a stack, attached to link
	uplink      *uplink             // nil: the port is no uplink
	handleTrain func(t *Train) bool // of a node; nil: the node takes no trains
	link        link
	mtu         atomic.Int32  // 0: the parent's
	downReasons atomic.Uint32 // a set of switchedOff, unplugged and noCarrier; 0: the port is up
	queued      atomic.Int32  // frames in the transmit ring, which wait for the pump

	counters counters
	cable    cable

	mu         sync.Mutex // guards changes of the following lists
	taps       atomic.Pointer[[]*tap]
	allowRules atomic.Pointer[[]*allowRule]
	vlans      atomic.Pointer[map[int]*Port] // the ports in VLANs whose parent this is
	watches    atomic.Pointer[[]*func()]     // of WatchCarrier; nil: none

	receiving sync.Mutex // held while the owner receives
	closed    bool       // guarded by receiving
}

type counters struct {
	rxPackets, rxBytes, rxErrors, rxDropped atomic.Uint64
	txPackets, txBytes, txErrors, txDropped atomic.Uint64
}

// Name returns the name that the port was created with.
func (p *Port) Name() string { return p.name }

// Fabric returns the fabric that the port belongs to.
func (p *Port) Fabric() *Fabric { return p.fabric }

// MAC returns the port's address.
func (p *Port) MAC() MAC { return p.mac }

// Segment returns the segment that the port is attached to.
func (p *Port) Segment() *Segment { return p.segment }

// MTU returns the length of the longest packet that the port transmits, without the
// Ethernet header.
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

// mru returns the length of the longest packet that the port receives. As with real cards
// it is never less than the standard MTU: a machine whose MTU has been lowered still
// receives what its neighbors send.
func (p *Port) mru() int { return max(p.MTU(), standardMTU) }

// SetMTU sets the MTU. Longer packets are not transmitted, and packets that are longer than
// both the MTU and 1500 are not received. The MTU of a port in a VLAN is limited by its
// parent's; with 0 it is the parent's.
func (p *Port) SetMTU(mtu int) { p.mtu.Store(int32(mtu)) }

// Reasons for which a port is down.
const (
	switchedOff = 1 << iota
	unplugged
	noCarrier
)

// Up reports whether the port is switched on and its cable plugged in.
func (p *Port) Up() bool {
	return p.downReasons.Load() == 0 && (p.parent == nil || p.parent.downReasons.Load() == 0)
}

// SetUp switches the port on or off. While it is off, frames that its owner transmits count
// as errors and frames that arrive are lost.
func (p *Port) SetUp(up bool) { p.setDown(switchedOff, !up) }

// SetPlugged plugs the cable in or unplugs it. An unplugged cable has the effect of SetUp;
// the two states are independent.
func (p *Port) SetPlugged(in bool) { p.setDown(unplugged, !in) }

// SetCarrier says whether the other end of the cable is up. Without it, the cable has the effect
// of an unplugged one. The two states are independent. At first there is a carrier.
func (p *Port) SetCarrier(on bool) { p.setDown(noCarrier, !on) }

// Plugged reports whether the cable is plugged in and has a carrier. For a port in a VLAN it is
// the parent's cable.
func (p *Port) Plugged() bool {
	if p.parent != nil {
		p = p.parent
	}
	return p.downReasons.Load()&(unplugged|noCarrier) == 0
}

func (p *Port) setDown(reason uint32, down bool) {
	var before, after uint32
	if down {
		before = p.downReasons.Or(reason)
		after = before | reason
	} else {
		before = p.downReasons.And(^reason)
		after = before &^ reason
	}
	const cable = unplugged | noCarrier
	watches := p.watches.Load()
	if watches == nil || (before&cable == 0) == (after&cable == 0) {
		return
	}
	for _, changed := range *watches {
		(*changed)()
	}
}

// WatchCarrier has changed called whenever Plugged returns something else, until cancel is called. It
// must not block. For a port in a VLAN it watches the parent's cable.
func (p *Port) WatchCarrier(changed func()) (cancel func()) {
	if p.parent != nil {
		p = p.parent
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var watches []*func()
	if old := p.watches.Load(); old != nil {
		watches = slices.Clone(*old)
	}
	watches = append(watches, &changed)
	p.watches.Store(&watches)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		left := slices.DeleteFunc(slices.Clone(*p.watches.Load()), func(f *func()) bool { return f == &changed })
		p.watches.Store(&left)
	}
}

// Counters returns the port's totals since it was created. Bytes include Ethernet headers.
func (p *Port) Counters() network.Counters {
	c := &p.counters
	return network.Counters{
		RxPackets: c.rxPackets.Load(), RxBytes: c.rxBytes.Load(),
		RxErrors: c.rxErrors.Load(), RxDropped: c.rxDropped.Load(),
		TxPackets: c.txPackets.Load(), TxBytes: c.txBytes.Load(),
		TxErrors: c.txErrors.Load(), TxDropped: c.txDropped.Load(),
	}
}

// Transmit transmits a copy of frame, a whole Ethernet frame without its checksum. It never
// blocks. A frame that does not fit the MTU, or is transmitted while the port is down,
// counts as an error. A frame that finds the transmit ring full counts as dropped.
func (p *Port) Transmit(frame []byte) { p.transmit(buffer.NewViewWithData(frame)) }

// TransmitAfter transmits a copy of frame once d has passed, without allocating a closure.
// Frames with the same delay keep their order.
func (p *Port) TransmitAfter(d time.Duration, frame []byte) {
	if v := buffer.NewViewWithData(frame); p.admit(v) {
		p.fabric.enqueueAfter(d, event{from: p, frame: v})
	}
}

// TransmitAt transmits a copy of frame at the time at of the machine's clock, or immediately
// if that has passed. Frames keep the order of their times, however long the calls take.
func (p *Port) TransmitAt(at clock.Mark, frame []byte) {
	if v := buffer.NewViewWithData(frame); p.admit(v) {
		p.fabric.enqueueAt(at, event{from: p, frame: v})
	}
}

// RelayAfter is TransmitAfter for the frame that a node is receiving, or the beginning of
// that frame: it takes over the memory instead of copying it. Other frames are copied. It
// must be called on the pump.
func (p *Port) RelayAfter(d time.Duration, frame []byte) {
	v := p.fabric.nodeFrame
	if v == nil || len(frame) == 0 || &frame[0] != &v.AsSlice()[0] {
		p.TransmitAfter(d, frame)
		return
	}
	p.fabric.nodeFrame = nil
	v.CapLength(len(frame))
	if p.admit(v) {
		p.fabric.enqueueAfter(d, event{from: p, frame: v})
	}
}

// InjectAfter lets a copy of frame, which has no VLAN tag, ingress at the port once d has
// passed, as if from had transmitted it and no cable were between the two.
func (p *Port) InjectAfter(d time.Duration, from *Port, frame []byte) {
	v := buffer.NewViewWithData(frame)
	if from.segment.parent != nil && p.segment.parent == nil {
		v = insertTag(frame, from.segment.vlan)
	}
	p.fabric.enqueueAfter(d, event{to: p, frame: v})
}

// transmit is Transmit without copying. It owns v.
func (p *Port) transmit(v *buffer.View) {
	if p.admit(v) {
		p.fabric.enqueue(event{from: p, frame: v})
	}
}

// admit reports whether v may be transmitted. If so, v has a place in the transmit ring;
// otherwise it is counted and released.
func (p *Port) admit(v *buffer.View) bool {
	switch n := v.Size(); {
	case !p.Up() || n < headerLen,
		n > headerLen+p.MTU() && n > headerLen+tagLen(v.AsSlice())+p.MTU():
		p.counters.txErrors.Add(1)
	case p.queued.Add(1) > txRingSize:
		p.queued.Add(-1)
		p.counters.txDropped.Add(1)
	default:
		return true
	}
	v.Release()
	return false
}

// dequeue takes a frame out of the transmit ring and sends it on. It owns v.
func (p *Port) dequeue(v *buffer.View) {
	p.queued.Add(-1)
	p.serialize(v)
}

// egress lets a frame of the owner's leave the port for the segment, or for the parent port
// if the port is in a VLAN. It owns v.
func (p *Port) egress(v *buffer.View) {
	frame := v.AsSlice()
	p.counters.txPackets.Add(1)
	p.counters.txBytes.Add(uint64(len(frame)))
	p.showToTaps(network.Out, frame)
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

// ingress lets a frame from the cable enter the port. It owns v.
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
	p.showToTaps(network.In, frame)
	if q := p.vlanPort(frame); q != nil {
		q.ingress(removeTag(v))
		return
	}
	if p.receive == nil {
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

// deliver hands a frame to the node that owns the port. It owns v. It is called with
// receiving held.
func (p *Port) deliver(v *buffer.View) {
	f := p.fabric
	f.nodeFrame = v
	p.receive(v.AsSlice())
	if f.nodeFrame != nil {
		f.nodeFrame.Release()
		f.nodeFrame = nil
	}
}

// Close detaches the port from its segment. Once Close has returned, the owner receives
// nothing any more. Close must not be called from a receive function.
func (p *Port) Close() {
	if p.parent != nil {
		p.parent.removeVLAN(p)
	} else {
		p.segment.detach(p)
	}
	p.SetUp(false)
	p.receiving.Lock()
	defer p.receiving.Unlock()
	p.closed = true
}

// A tap is shown the frames that pass a port.
type tap struct {
	mu      sync.Mutex // held while show runs
	show    func(at time.Time, dir network.Direction, frame []byte)
	removed bool
}

// Tap calls show for each later frame that passes the port. show runs on the pump and must
// not block. The frame must not be retained or changed. After remove has returned, show is
// not called any more. show must not call remove.
func (p *Port) Tap(show func(at time.Time, dir network.Direction, frame []byte)) (remove func()) {
	t := &tap{show: show}
	p.fabric.tapOpened()
	addItem(p, &p.taps, t)
	return func() {
		t.mu.Lock()
		again := t.removed
		t.removed = true
		t.mu.Unlock()
		if !again {
			removeItem(p, &p.taps, t)
			p.fabric.openTaps.Add(-1)
		}
	}
}

// showToTaps shows a frame to the port's taps.
func (p *Port) showToTaps(dir network.Direction, frame []byte) {
	taps := p.taps.Load()
	if taps == nil {
		return
	}
	at := p.fabric.timestamp()
	for _, t := range *taps {
		t.mu.Lock()
		if !t.removed {
			t.show(at, dir, frame)
		}
		t.mu.Unlock()
	}
}

// An allowRule is a function given to AllowOnly.
type allowRule struct {
	allow func(dir network.Direction, frame []byte) bool
}

// AllowOnly drops the frames for which allow returns false, until remove is called. The
// port's taps are shown dropped outgoing frames, but not dropped incoming ones. allow runs
// on the pump and must not block. If AllowOnly is called several times, a frame passes
// only if every function allows it.
func (p *Port) AllowOnly(allow func(dir network.Direction, frame []byte) bool) (remove func()) {
	r := &allowRule{allow}
	addItem(p, &p.allowRules, r)
	return func() { removeItem(p, &p.allowRules, r) }
}

// allows reports whether all functions given to AllowOnly allow a frame.
func (p *Port) allows(dir network.Direction, frame []byte) bool {
	rules := p.allowRules.Load()
	if rules == nil {
		return true
	}
	for _, r := range *rules {
		if !r.allow(dir, frame) {
			return false
		}
	}
	return true
}

// addItem and removeItem replace a list that the pump iterates over without a lock. An
// empty list is stored as nil.
func addItem[T any](p *Port, list *atomic.Pointer[[]*T], x *T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var l []*T
	if old := list.Load(); old != nil {
		l = slices.Clone(*old)
	}
	l = append(l, x)
	list.Store(&l)
}

func removeItem[T any](p *Port, list *atomic.Pointer[[]*T], x *T) {
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
