package ether

import (
	"net"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
)

// A MAC is an Ethernet address.
type MAC [6]byte

// Broadcast is the address of everybody.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// String writes m as FreeBSD does: 02:00:00:00:00:01.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// IsMulticast reports whether m is the address of a group, Broadcast included.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// A Segment is a broadcast domain: a switch with ports, or a VLAN of it.
type Segment struct {
	Name string

	fabric *Fabric
	trunk  *Segment // of a VLAN: the switch
	vlan   int      // likewise, its ID
	mu     sync.RWMutex
	byMAC  map[MAC]*Port
	ports  []*Port // in the order in which they were plugged in
	groups map[MAC][]*Port
	vlans  map[int]*Segment
}

// NewSegment adds a segment to the wire.
func (w *Fabric) NewSegment(name string) *Segment {
	return &Segment{Name: name, fabric: w, byMAC: make(map[MAC]*Port)}
}

// NewPort plugs in a port for a stack, see Port.Endpoint. Two ports with one MAC
// are a mistake of the caller's: the later one gets the frames.
func (s *Segment) NewPort(name string, mac MAC, mtu int) *Port {
	return s.plug(&Port{name: name, mac: mac}, mtu)
}

// NewNodePort plugs in a port whose owner is written by hand: receive is called for
// every frame that arrives. It runs on the wire's pump, must not block, and may
// change the frame, which is valid during the call only.
func (s *Segment) NewNodePort(name string, mac MAC, mtu int, receive func(frame []byte)) *Port {
	return s.plug(&Port{name: name, mac: mac, node: receive}, mtu)
}

func (s *Segment) plug(p *Port, mtu int) *Port {
	p.segment, p.fabric, p.vlan = s, s.fabric, s.vlan
	p.stack.port = p
	p.mtu.Store(int32(mtu))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byMAC[p.mac] = p
	s.ports = append(s.ports, p)
	return p
}

func (s *Segment) unplug(p *Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byMAC[p.mac] == p {
		delete(s.byMAC, p.mac)
	}
	// New slices: the pump may be walking the old ones.
	s.ports = without(s.ports, p)
	for mac, ports := range s.groups {
		s.groups[mac] = without(ports, p)
	}
}

func without(ports []*Port, p *Port) []*Port {
	return slices.DeleteFunc(slices.Clone(ports), func(q *Port) bool { return q == p })
}

// JoinGroup tells the switch that frames to a group of machines are for this port.
// Frames to a group that no port has joined go to all ports.
func (p *Port) JoinGroup(mac MAC) {
	s := p.segment
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups == nil {
		s.groups = make(map[MAC][]*Port)
	}
	s.groups[mac] = append(slices.Clone(s.groups[mac]), p)
}

// forward hands a frame that p has sent to those it is for. It owns v.
func (s *Segment) forward(p *Port, v *buffer.View) {
	frame := v.AsSlice()
	dst := MAC(frame[:6])
	switch {
	case s.trunk != nil || tagLen(frame) > 0:
		s.forwardVLAN(p, frame)
	case dst.IsMulticast():
		for _, q := range s.members(dst) {
			if q != p {
				q.propagate(p, buffer.NewViewWithData(frame))
			}
		}
	default:
		if q := s.find(dst); q != nil && q != p {
			q.propagate(p, v)
			return
		}
	}
	v.Release()
}

func (s *Segment) find(mac MAC) *Port {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byMAC[mac]
}

// members are the ports that get what is sent to a group.
func (s *Segment) members(group MAC) []*Port {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if joined := s.groups[group]; len(joined) > 0 {
		return joined
	}
	return s.ports
}

// receivers are the ports that get what is sent to an address.
func (s *Segment) receivers(dst MAC) []*Port {
	if dst.IsMulticast() {
		return s.members(dst)
	}
	if q := s.find(dst); q != nil {
		return []*Port{q}
	}
	return nil
}
