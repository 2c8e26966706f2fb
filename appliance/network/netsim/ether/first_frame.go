package ether

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// A firstFrame is what OnFirstFrame has set.
type firstFrame struct {
	addrs  []netip.Addr
	attach func()
}

// OnFirstFrame makes the port call attach before it delivers the first frame, so that a stack on
// which nothing happens need not be attached: attach attaches it, and it receives that frame. A
// machine with the addresses addrs ignores ARP requests about others, so the port drops those as
// long as no stack is attached. attach is called on the pump, without a lock of this package. It
// must be safe to call again.
func (p *Port) OnFirstFrame(addrs []netip.Addr, attach func()) {
	p.link.firstFrame.Store(&firstFrame{addrs, attach})
}

// awake has the stack attached if a frame that arrives is for one that is not attached yet. It
// returns false if that stack would ignore the frame. nil stands for a train.
func (l *link) awake(frame []byte) bool {
	f := l.firstFrame.Load()
	if f == nil {
		return true
	}
	if l.IsAttached() {
		l.firstFrame.CompareAndSwap(f, nil)
		return true
	}
	if len(frame) >= arpLen && frame[12] == 0x08 && frame[13] == 0x06 &&
		binary.BigEndian.Uint16(frame[arpOp:]) == arpRequest &&
		!slices.Contains(f.addrs, netip.AddrFrom4([4]byte(frame[arpTargetIP:]))) {
		return false
	}
	f.attach()
	return true
}
