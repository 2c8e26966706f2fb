package ether

import (
	"encoding/binary"
	"fmt"
	"maps"

	"gvisor.dev/gvisor/pkg/buffer"
)

const (
	// vlanTagLen is the length of a tag (IEEE 802.1Q), which follows the addresses.
	vlanTagLen = 4
	tagAt      = 12
	vlanIDBits = 0x0fff
)

// tagLen returns the length of a frame's tag, 0 if it has none.
func tagLen(frame []byte) int {
	if len(frame) >= headerLen+vlanTagLen && frame[tagAt] == 0x81 && frame[tagAt+1] == 0 {
		return vlanTagLen
	}
	return 0
}

// vlanID returns the ID in the tag of a tagged frame.
func vlanID(frame []byte) int {
	return int(binary.BigEndian.Uint16(frame[tagAt+2:]) & vlanIDBits)
}

// insertTag returns a copy of the frame with a tag.
func insertTag(frame []byte, id int) *buffer.View {
	v := buffer.NewViewSize(len(frame) + vlanTagLen)
	b := v.AsSlice()
	copy(b, frame[:tagAt])
	binary.BigEndian.PutUint16(b[tagAt:], 0x8100)
	binary.BigEndian.PutUint16(b[tagAt+2:], uint16(id))
	copy(b[tagAt+vlanTagLen:], frame[tagAt:])
	return v
}

// removeTag removes the tag of a frame in place. It owns v and returns it.
func removeTag(v *buffer.View) *buffer.View {
	b := v.AsSlice()
	copy(b[vlanTagLen:], b[:tagAt])
	v.TrimFront(vlanTagLen)
	return v
}

// VLAN returns the part of the segment that is VLAN id, from 1 to 4094. Ports that are
// attached to it are access ports: their owners transmit and receive frames without tags.
// The ports of the segment itself are trunks: each gets the tagged frames of all VLANs.
func (s *Segment) VLAN(id int) *Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.vlans[id]
	if v == nil {
		v = &Segment{
			Name: fmt.Sprintf("%s VLAN %d", s.Name, id), fabric: s.fabric, parent: s, vlan: id,
			byMAC: make(map[MAC]*Port),
		}
		if s.vlans == nil {
			s.vlans = make(map[int]*Segment)
		}
		s.vlans[id] = v
	}
	return v
}

// findVLAN returns VLAN id, nil if the segment has none.
func (s *Segment) findVLAN(id int) *Segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.vlans[id]
}

// forwardVLAN is forward for a frame of a VLAN: a frame from an access port, or a tagged
// one from a trunk. It copies frame.
func (s *Segment) forwardVLAN(p *Port, frame []byte) {
	dst := MAC(frame[:6])
	trunks, vlan, id, tagged := s.parent, s, s.vlan, false
	if trunks == nil {
		id, tagged = vlanID(frame), true
		trunks, vlan = s, s.findVLAN(id)
	}
	var access []*Port
	if vlan != nil {
		access = vlan.destinations(dst)
	}
	for _, q := range access {
		v := buffer.NewViewWithData(frame)
		if tagged {
			v = removeTag(v)
		}
		forwardTo(q, p, v)
	}
	if len(access) > 0 && !dst.IsMulticast() {
		return
	}
	for _, q := range trunks.destinations(dst) {
		if !tagged {
			forwardTo(q, p, insertTag(frame, id))
		} else {
			forwardTo(q, p, buffer.NewViewWithData(frame))
		}
	}
}

// forwardTo sends a frame on to q unless q is the port that transmitted it, or an uplink is at one
// end that is not for the port at the other. It owns v.
func forwardTo(q, from *Port, v *buffer.View) {
	if q == from || !q.uplink.isFor(from) || !from.uplink.isFor(q) {
		v.Release()
		return
	}
	q.propagate(from, v)
}

// NewVLANPort returns a port for a stack in VLAN id of the trunk p. The new port has p's
// MAC and uses p's cable: its frames pass p too, with a tag. Close removes it. p has at most
// one port for each VLAN.
func (p *Port) NewVLANPort(name string, id int) *Port {
	q := &Port{name: name, mac: p.mac, fabric: p.fabric, segment: p.segment, vlan: id, parent: p}
	q.link.port = q
	p.updateVLANs(func(m map[int]*Port) { m[id] = q })
	return q
}

func (p *Port) removeVLAN(q *Port) {
	p.updateVLANs(func(m map[int]*Port) {
		if m[q.vlan] == q {
			delete(m, q.vlan)
		}
	})
}

// updateVLANs replaces the map of ports in VLANs, which the pump reads without a lock, by a
// copy that f has changed.
func (p *Port) updateVLANs(f func(map[int]*Port)) {
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

// vlanPort returns the port in the VLAN that a frame is tagged with, nil if there is none.
func (p *Port) vlanPort(frame []byte) *Port {
	m := p.vlans.Load()
	if m == nil || tagLen(frame) == 0 {
		return nil
	}
	return (*m)[vlanID(frame)]
}
