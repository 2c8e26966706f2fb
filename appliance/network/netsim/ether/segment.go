package ether

import (
	"net"
	"slices"
	"sync"
)

// A MAC is an Ethernet address.
type MAC [6]byte

// Broadcast is the address of everybody.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// String writes m as FreeBSD does: 02:00:00:00:00:01.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// IsMulticast reports whether m is the address of a group, Broadcast included.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// A Segment is a broadcast domain: a switch with ports.
type Segment struct {
	Name string

	wire  *Wire
	mu    sync.RWMutex
	byMAC map[MAC]*Port
	ports []*Port // in the order in which they were plugged in
}

// Segment adds a segment to the wire.
func (w *Wire) Segment(name string) *Segment {
	return &Segment{Name: name, wire: w, byMAC: make(map[MAC]*Port)}
}

// NewPort plugs in a port for a stack, see Port.Endpoint. Two ports with one MAC
// are a mistake of the caller's: the later one gets the frames.
func (s *Segment) NewPort(name string, mac MAC, mtu int) *Port {
	return s.plug(&Port{name: name, mac: mac}, mtu)
}

// NewNode plugs in a port whose owner is written by hand: receive is called for
// every frame that arrives. It runs on the wire's pump, must not block, and may
// change the frame, which is valid during the call only.
func (s *Segment) NewNode(name string, mac MAC, mtu int, receive func(frame []byte)) *Port {
	return s.plug(&Port{name: name, mac: mac, node: receive}, mtu)
}

func (s *Segment) plug(p *Port, mtu int) *Port {
	p.segment, p.wire = s, s.wire
	p.stack.port = p
	p.mtu.Store(int32(mtu))
	p.up.Store(true)
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
	// A new slice: the pump may be walking the old one.
	s.ports = slices.DeleteFunc(slices.Clone(s.ports), func(q *Port) bool { return q == p })
}

func (s *Segment) find(mac MAC) *Port {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byMAC[mac]
}

func (s *Segment) all() []*Port {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ports
}
