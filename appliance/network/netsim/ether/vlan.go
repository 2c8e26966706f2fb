package ether

import (
	"encoding/binary"
	"fmt"
	"maps"

	"gvisor.dev/gvisor/pkg/buffer"
)

const (
	// vlanTagLen is what a tag (IEEE 802.1Q) adds to a frame, after the addresses.
	vlanTagLen = 4
	tagAt      = 12
	vlanIDBits = 0x0fff
)

// tagLen is how much longer a frame is for being tagged.
func tagLen(frame []byte) int {
	if len(frame) >= headerLen+vlanTagLen && frame[tagAt] == 0x81 && frame[tagAt+1] == 0 {
		return vlanTagLen
	}
	return 0
}

// vlanID is the ID in a tagged frame's tag.
func vlanID(frame []byte) int {
	return int(binary.BigEndian.Uint16(frame[tagAt+2:]) & vlanIDBits)
}

// insertTag returns the frame with a tag.
func insertTag(frame []byte, id int) *buffer.View {
	v := buffer.NewViewSize(len(frame) + vlanTagLen)
	b := v.AsSlice()
	copy(b, frame[:tagAt])
	binary.BigEndian.PutUint16(b[tagAt:], 0x8100)
	binary.BigEndian.PutUint16(b[tagAt+2:], uint16(id))
	copy(b[tagAt+vlanTagLen:], frame[tagAt:])
	return v
}

// removeTag takes the tag out of a frame that is nobody else's.
func removeTag(v *buffer.View) *buffer.View {
	b := v.AsSlice()
	copy(b[vlanTagLen:], b[:tagAt])
	v.TrimFront(vlanTagLen)
	return v
}

// VLAN is the part of a switch that is VLAN number id, from 1 to 4094. What is
// plugged in there sends and receives frames without tags, as at an access port. The
// switch's other ports are trunks: each gets the frames of all VLANs, tagged.
func (s *Segment) VLAN(id int) *Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.vlans[id]
	if v == nil {
		v = &Segment{Name: fmt.Sprintf("%s VLAN %d", s.Name, id), fabric: s.fabric, trunk: s, vlan: id, byMAC: make(map[MAC]*Port)}
		if s.vlans == nil {
			s.vlans = make(map[int]*Segment)
		}
		s.vlans[id] = v
	}
	return v
}

// findVLAN is VLAN number id, nil if nobody is in it.
func (s *Segment) findVLAN(id int) *Segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.vlans[id]
}

// forwardVLAN is forward for a frame of a VLAN: one from an access port, or a tagged
// one from a trunk.
func (s *Segment) forwardVLAN(p *Port, frame []byte) {
	dst := MAC(frame[:6])
	trunk, access, id, bare := s.trunk, s, s.vlan, true
	if trunk == nil {
		id, bare = vlanID(frame), false
		trunk, access = s, s.findVLAN(id)
	}
	var inside []*Port
	if access != nil {
		inside = access.receivers(dst)
	}
	for _, q := range inside {
		v := buffer.NewViewWithData(frame)
		if !bare {
			v = removeTag(v)
		}
		forwardTo(q, p, v)
	}
	if len(inside) > 0 && !dst.IsMulticast() {
		return
	}
	for _, q := range trunk.receivers(dst) {
		if bare {
			forwardTo(q, p, insertTag(frame, id))
		} else {
			forwardTo(q, p, buffer.NewViewWithData(frame))
		}
	}
}

// forwardTo carries a frame to q unless it came from there. It owns v.
func forwardTo(q, from *Port, v *buffer.View) {
	if q == from {
		v.Release()
		return
	}
	q.propagate(from, v)
}

// VLAN makes a port in VLAN number id of what is plugged in as p, for a stack. It
// has p's address and shares p's cable: its frames pass p too, with a tag. Close
// removes it; a port has one for each ID at most.
func (p *Port) NewVLANPort(name string, id int) *Port {
	q := &Port{name: name, mac: p.mac, fabric: p.fabric, segment: p.segment, vlan: id, parent: p}
	q.stack.port = q
	p.changeVLANs(func(m map[int]*Port) { m[id] = q })
	return q
}

func (p *Port) dropVLAN(q *Port) {
	p.changeVLANs(func(m map[int]*Port) {
		if m[q.vlan] == q {
			delete(m, q.vlan)
		}
	})
}

// changeVLANs replaces a map that the pump reads without a lock.
func (p *Port) changeVLANs(f func(map[int]*Port)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := make(map[int]*Port)
	if old := p.vlans.Load(); old != nil {
		m = maps.Clone(*old)
	}
	if f(m); len(m) == 0 {
		p.vlans.Store(nil)
		return
	}
	p.vlans.Store(&m)
}

// vlanOf is the port in whose VLAN a frame is, nil for none.
func (p *Port) vlanOf(frame []byte) *Port {
	m := p.vlans.Load()
	if m == nil || tagLen(frame) == 0 {
		return nil
	}
	return (*m)[vlanID(frame)]
}
