package vnet

import (
	"encoding/binary"
	_ "unsafe" // for go:linkname

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// The following functions of gVisor process segments. They are not exported: gVisor calls them
// on goroutines of its own, to which it hands each segment over. completeState is not exported
// either; gVisor offers its result only with each segment that arrives, which costs more than to
// process most segments. A test compares the signatures with gVisor's source.

//go:linkname handleSegments gvisor.dev/gvisor/pkg/tcpip/transport/tcp.(*Endpoint).handleSegmentsLocked
func handleSegments(e *tcp.Endpoint) tcpip.Error

//go:linkname resetConnection gvisor.dev/gvisor/pkg/tcpip/transport/tcp.(*Endpoint).resetConnectionLocked
func resetConnection(e *tcp.Endpoint, err tcpip.Error)

//go:linkname startTimeWait gvisor.dev/gvisor/pkg/tcpip/transport/tcp.startTimeWait
func startTimeWait(e *tcp.Endpoint)

// completeState describes the state of a connection that has been established.
//
//go:noescape
//go:linkname completeState gvisor.dev/gvisor/pkg/tcpip/transport/tcp.(*Endpoint).completeStateLocked
func completeState(e *tcp.Endpoint, s *tcp.TCPEndpointState)

// LockConnection implements ether.SegmentReceiver. While an endpoint is locked as if by its
// owner, the stack queues the segments that arrive for it, and wakes no goroutine.
func (r *registry) LockConnection(h []byte, at int) ether.LockedConnection {
	id := stack.TransportEndpointID{
		RemotePort: binary.BigEndian.Uint16(h[at:]), LocalPort: binary.BigEndian.Uint16(h[at+2:]),
	}
	if h[at-20]>>4 == 4 && h[12] == 0x08 {
		id.RemoteAddress = tcpip.AddrFrom4Slice(h[at-8 : at-4])
		id.LocalAddress = tcpip.AddrFrom4Slice(h[at-4 : at])
	} else {
		id.RemoteAddress = tcpip.AddrFrom16Slice(h[at-32 : at-16])
		id.LocalAddress = tcpip.AddrFrom16Slice(h[at-16 : at])
	}
	r.mu.RLock()
	s := r.byID[id]
	r.mu.RUnlock()
	if s == nil {
		return nil
	}
	s.ep.(*tcp.Endpoint).LockUser()
	return s
}

// ProcessSegments implements ether.LockedConnection. It does what gVisor's own goroutine does
// for a connection that has been established. Segments of others are left to that goroutine,
// which UnlockUser wakes.
func (s *socket) ProcessSegments() {
	e := s.ep.(*tcp.Endpoint)
	ended := false
	switch e.EndpointState() {
	case tcp.StateEstablished, tcp.StateCloseWait, tcp.StateFinWait1, tcp.StateFinWait2,
		tcp.StateClosing, tcp.StateLastAck:
		if err := handleSegments(e); err != nil {
			resetConnection(e, err)
			ended = true
		}
		switch e.EndpointState() {
		case tcp.StateClose:
			ended = true
		case tcp.StateTimeWait:
			startTimeWait(e)
		}
	}
	e.UnlockUser()
	s.acknowledged()
	if ended {
		s.queue.Notify(
			waiter.EventHUp | waiter.EventErr | waiter.ReadableEvents | waiter.WritableEvents)
	}
}
