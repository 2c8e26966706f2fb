package ether

import (
	"net"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
)

// A MAC is an Ethernet address.
type MAC [6]byte

// Broadcast returns the address of all ports of a segment.
func Broadcast() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// String formats m as FreeBSD does: 02:00:00:00:00:01.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// IsMulticast reports whether m is a multicast address. Broadcast is one.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// A Segment is one Ethernet broadcast domain: a switch with its ports, or one VLAN of a
// switch.
type Segment struct {
	Name string

	fabric *Fabric
	parent *Segment // the switch, if the segment is a VLAN of it
	vlan   int      // the ID of that VLAN, otherwise 0
	mu     sync.RWMutex
	byMAC  map[MAC]*Port
	ports  []*Port         // in the order in which they were attached
	uplink *Port           // nil: none; also in ports
	groups map[MAC][]*Port // the ports that have joined a multicast group
	vlans  map[int]*Segment
}

// NewSegment adds a segment to the fabric.
func (f *Fabric) NewSegment(name string) *Segment {
	return &Segment{Name: name, fabric: f, byMAC: make(map[MAC]*Port)}
}

// NewPort attaches a port for a stack to the segment, see Port.Endpoint. Each port of a
// segment must have a MAC of its own; if two have the same, the later one gets the frames.
func (s *Segment) NewPort(name string, mac MAC, mtu int) *Port {
	return s.attach(&Port{name: name, mac: mac}, mtu)
}

// NewNodePort attaches a port whose owner is a node: receive is called for every frame
// that is delivered. It runs on the pump, must not block, and may change the frame, which
// must not be retained.
func (s *Segment) NewNodePort(name string, mac MAC, mtu int, receive func(frame []byte)) *Port {
	return s.attach(&Port{name: name, mac: mac, receive: receive}, mtu)
}

func (s *Segment) attach(p *Port, mtu int) *Port {
	p.segment, p.fabric, p.vlan = s, s.fabric, s.vlan
	p.link.port = p
	p.mtu.Store(int32(mtu))
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.uplink != nil {
		s.uplink = p
	} else {
		s.byMAC[p.mac] = p
	}
	s.ports = append(s.ports, p)
	return p
}

func (s *Segment) detach(p *Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byMAC[p.mac] == p {
		delete(s.byMAC, p.mac)
	}
	if s.uplink == p {
		s.uplink = nil
	}
	// New slices, because the pump may be iterating over the old ones.
	s.ports = withoutPort(s.ports, p)
	for mac, ports := range s.groups {
		s.groups[mac] = withoutPort(ports, p)
	}
}

// withoutPort returns a copy of ports that lacks p.
func withoutPort(ports []*Port, p *Port) []*Port {
	return slices.DeleteFunc(slices.Clone(ports), func(q *Port) bool { return q == p })
}

// JoinGroup makes the segment forward frames to the multicast address mac to this port.
// Frames to a multicast address that no port has joined are forwarded to all ports.
func (p *Port) JoinGroup(mac MAC) {
	s := p.segment
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups == nil {
		s.groups = make(map[MAC][]*Port)
	}
	s.groups[mac] = append(slices.Clone(s.groups[mac]), p)
}

// forward sends a frame from p on to the ports that it is addressed to. It owns v.
func (s *Segment) forward(p *Port, v *buffer.View) {
	frame := v.AsSlice()
	dst := MAC(frame[:6])
	switch {
	case s.parent != nil || tagLen(frame) > 0:
		s.forwardVLAN(p, frame)
	case dst.IsMulticast():
		for _, q := range s.groupPorts(dst) {
			forwardTo(q, p, buffer.NewViewWithData(frame))
		}
	default:
		if q := s.findPort(dst); q != nil {
			forwardTo(q, p, v)
			return
		}
	}
	v.Release()
}

// findPort returns the port to which frames to mac are forwarded. What the segment does not know
// may be outside. nil: none.
func (s *Segment) findPort(mac MAC) *Port {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.byMAC[mac]; p != nil {
		return p
	}
	return s.uplink
}

// groupPorts returns the ports to which frames to a multicast address are forwarded.
func (s *Segment) groupPorts(group MAC) []*Port {
	s.mu.RLock()
	defer s.mu.RUnlock()
	joined := s.groups[group]
	switch {
	case len(joined) == 0:
		return s.ports
	case s.uplink != nil:
		return append(slices.Clone(joined), s.uplink)
	}
	return joined
}

// destinations returns the ports to which frames to an address are forwarded.
func (s *Segment) destinations(dst MAC) []*Port {
	if dst.IsMulticast() {
		return s.groupPorts(dst)
	}
	if q := s.findPort(dst); q != nil {
		return []*Port{q}
	}
	return nil
}
