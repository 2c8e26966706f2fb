package vnet

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/esasim/esasim/appliance/network"
)

// A registry knows what the stack does not: whose a socket is, and what it owes.
type registry struct {
	mu     sync.RWMutex
	closed bool
	// byEndpoint holds sockets that somebody has open, and those closed ones
	// that may still have something to send (lingering).
	byEndpoint map[tcpip.Endpoint]*socket
	byID       map[stack.TransportEndpointID]*socket
	lingering  int
}

// A socket is what is known of one.
type socket struct {
	ep          tcpip.Endpoint
	end         func() // closes it
	owner, user string
	mapped      bool
	backlog     int
	id          stack.TransportEndpointID // of a connection
	released    bool                      // closed by its owner; guarded by registry.mu

	mu      sync.Mutex
	pending int // bytes in the send buffer when the last segment arrived
	since   int // bytes written after that
}

// manyLingering is how many closed sockets are kept before the dead ones among
// them are looked for.
const manyLingering = 128

// wrote notes n bytes given to the stack.
func (s *socket) wrote(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since += n
}

// probe notes the stack's own account, which it gives with every segment that
// arrives. It counts a FIN that was acknowledged as minus one byte.
func (s *socket) probe(pending int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.since = pending, 0
}

func (s *socket) sendQ() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, s.pending+s.since)
}

// add enters s. It reports false when the host is closed.
func (r *registry) add(s *socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if r.byEndpoint == nil {
		r.byEndpoint = make(map[tcpip.Endpoint]*socket)
		r.byID = make(map[stack.TransportEndpointID]*socket)
	}
	r.byEndpoint[s.ep] = s
	return true
}

// identify lets the probe find s, whose connection has its addresses now.
func (r *registry) identify(s *socket) {
	info, ok := s.ep.Info().(*stack.TransportEndpointInfo)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.released {
		s.id = info.ID
		r.byID[s.id] = s
	}
}

// release says that the owner of s has closed it. The row in the table loses its
// owner, and keeps its send queue while there is one.
func (r *registry) release(s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.released || r.byEndpoint[s.ep] != s {
		return
	}
	s.released = true
	if s.sendQ() == 0 {
		r.forget(s)
		return
	}
	r.lingering++
	if r.lingering%manyLingering == 0 {
		for _, x := range r.byEndpoint {
			if x.released && dead(x.ep) {
				r.forget(x)
				r.lingering--
			}
		}
	}
}

// forget is called with mu held.
func (r *registry) forget(s *socket) {
	delete(r.byEndpoint, s.ep)
	if r.byID[s.id] == s {
		delete(r.byID, s.id)
	}
}

func dead(ep tcpip.Endpoint) bool {
	state := tcp.EndpointState(ep.State())
	return state == tcp.StateClose || state == tcp.StateError || state == tcp.StateTimeWait
}

// probe is the stack's TCP probe.
func (r *registry) probe(st *tcp.TCPEndpointState) {
	r.mu.RLock()
	s := r.byID[stack.TransportEndpointID(st.ID)]
	r.mu.RUnlock()
	if s != nil {
		s.probe(st.SndBufState.SndBufUsed)
	}
}

func (r *registry) find(ep tcpip.Endpoint) *socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byEndpoint[ep]
}

// open lists the sockets that somebody has open.
func (r *registry) open() []*socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []*socket
	for _, s := range r.byEndpoint {
		if !s.released {
			all = append(all, s)
		}
	}
	return all
}

// close closes every socket; none can be added any more.
func (r *registry) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for _, s := range r.open() {
		s.end()
	}
}

// endpoints lists the stack's TCP and UDP sockets, each once: one that has both
// families is registered twice.
func (h *Host) endpoints() []tcpip.Endpoint {
	seen := make(map[tcpip.Endpoint]bool)
	var all []tcpip.Endpoint
	for _, te := range h.stack.RegisteredEndpoints() {
		if ep, ok := te.(tcpip.Endpoint); ok && !seen[ep] {
			seen[ep] = true
			all = append(all, ep)
		}
	}
	return all
}

// Sockets implements network.Inspector. Rows are in the order of opening.
func (h *Host) Sockets() ([]network.Socket, error) {
	var rows []network.Socket
	for _, ep := range h.endpoints() {
		if row, ok := h.row(ep); ok {
			rows = append(rows, row)
		}
	}
	countQueues(rows)
	slices.SortFunc(rows, func(a, b network.Socket) int { return cmp.Compare(a.Seq, b.Seq) })
	return rows, nil
}

// row describes one endpoint; false for what is neither TCP nor UDP.
func (h *Host) row(ep tcpip.Endpoint) (network.Socket, bool) {
	info, ok := ep.Info().(*stack.TransportEndpointInfo)
	if !ok {
		return network.Socket{}, false
	}
	row := network.Socket{
		Local:  netip.AddrPortFrom(fromAddress(info.ID.LocalAddress, info.NetProto), info.ID.LocalPort),
		Remote: netip.AddrPortFrom(fromAddress(info.ID.RemoteAddress, info.NetProto), info.ID.RemotePort),
	}
	if u, ok := ep.(interface{ UniqueID() uint64 }); ok {
		row.Seq = u.UniqueID()
	}
	version := "4"
	if info.NetProto == ipv6.ProtocolNumber {
		version = "6"
	}
	switch info.TransProto {
	case tcp.ProtocolNumber:
		row.Proto, row.State = "tcp"+version, stateName(tcp.EndpointState(ep.State()))
	case udp.ProtocolNumber:
		row.Proto = "udp" + version
	default:
		return network.Socket{}, false
	}
	if row.State != "LISTEN" {
		row.RecvQ, _ = ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	}
	if s := h.sockets.find(ep); s != nil {
		row.SendQ = s.sendQ()
		if row.State == "LISTEN" {
			row.MaxQLen = s.backlog
		}
		if !h.sockets.isReleased(s) {
			row.Owner, row.User, row.Mapped = s.owner, s.user, s.mapped
		}
	} else if row.State == "ESTABLISHED" || row.State == "CLOSE_WAIT" {
		row.QLen = 1 // nobody has it yet: countQueues counts it
	}
	return row, true
}

func (r *registry) isReleased(s *socket) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return s.released
}

// countQueues adds up what waits in each listener's queues. A connection that
// nobody has taken yet is marked by QLen 1.
func countQueues(rows []network.Socket) {
	for i := range rows {
		c := &rows[i]
		waits, half := c.QLen == 1 && c.State != "LISTEN", c.State == "SYN_RCVD"
		if !waits && !half {
			continue
		}
		c.QLen = 0
		l := listenerOf(rows, c)
		switch {
		case l == nil:
		case half:
			l.IncQLen++
		default:
			l.QLen++
		}
	}
}

// listenerOf finds the listener at c's local address, or at all addresses.
func listenerOf(rows []network.Socket, c *network.Socket) *network.Socket {
	var wild *network.Socket
	for i := range rows {
		l := &rows[i]
		if l.State != "LISTEN" || l.Proto != c.Proto || l.Local.Port() != c.Local.Port() {
			continue
		}
		if l.Local.Addr() == c.Local.Addr() {
			return l
		}
		if l.Local.Addr().IsUnspecified() {
			wild = l
		}
	}
	return wild
}

// stateName is BSD's name of a state.
func stateName(s tcp.EndpointState) string {
	switch s {
	case tcp.StateListen:
		return "LISTEN"
	case tcp.StateConnecting, tcp.StateSynSent:
		return "SYN_SENT"
	case tcp.StateSynRecv:
		return "SYN_RCVD"
	case tcp.StateEstablished:
		return "ESTABLISHED"
	case tcp.StateFinWait1:
		return "FIN_WAIT_1"
	case tcp.StateFinWait2:
		return "FIN_WAIT_2"
	case tcp.StateTimeWait:
		return "TIME_WAIT"
	case tcp.StateCloseWait:
		return "CLOSE_WAIT"
	case tcp.StateLastAck:
		return "LAST_ACK"
	case tcp.StateClosing:
		return "CLOSING"
	}
	return "CLOSED"
}
