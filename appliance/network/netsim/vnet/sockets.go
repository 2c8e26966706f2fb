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
	last   uint64 // number of the newest socket
	// byEndpoint holds sockets that somebody has open, and those closed ones
	// that the stack may still be busy with.
	byEndpoint map[tcpip.Endpoint]*socket
	byID       map[stack.TransportEndpointID]*socket
	lingering  int // closed ones
	sweepAt    int // number of closed ones at which to look for dead ones
}

// A socket is what is known of one.
type socket struct {
	ep          tcpip.Endpoint
	end         func() // closes it
	tcp         bool
	owner, user string
	pid         int
	workers     []string
	mapped      bool
	backlog     int
	id          stack.TransportEndpointID // of a connection
	seq         uint64
	released    bool // closed by its owner; guarded by registry.mu

	mu      sync.Mutex
	pending int // bytes in the send buffer when the last segment arrived
	since   int // bytes written after that
	acks    acks
}

// fewLingering closed sockets are not worth looking through.
const fewLingering = 64

// wrote notes n bytes given to the stack.
func (s *socket) wrote(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since += n
	s.acks.wrote(n)
}

// probe notes the stack's own account, which it gives with every segment that
// arrives. It counts a FIN that was acknowledged as minus one byte.
func (s *socket) probe(st *tcp.TCPEndpointState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.since = st.SndBufState.SndBufUsed, 0
	s.acks.probe(&st.Sender)
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
	r.last++
	s.seq = r.last
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

// release says that the owner of s has closed it. Its row in the table loses the
// owner and stays until the stack is done.
func (r *registry) release(s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.released || r.byEndpoint[s.ep] != s {
		return
	}
	s.released = true
	if s.dead() {
		r.forget(s)
		return
	}
	if r.lingering++; r.lingering < max(r.sweepAt, fewLingering) {
		return
	}
	for _, x := range r.byEndpoint {
		if x.released && x.dead() {
			r.forget(x)
			r.lingering--
		}
	}
	r.sweepAt = 2 * r.lingering
}

// forget is called with mu held.
func (r *registry) forget(s *socket) {
	delete(r.byEndpoint, s.ep)
	if r.byID[s.id] == s {
		delete(r.byID, s.id)
	}
}

// dead reports whether the stack is done with a closed socket. A UDP socket it
// is done with at once.
func (s *socket) dead() bool {
	if !s.tcp {
		return true
	}
	state := tcp.EndpointState(s.ep.State())
	return state == tcp.StateClose || state == tcp.StateError
}

// probe is the stack's TCP probe.
func (r *registry) probe(st *tcp.TCPEndpointState) {
	r.mu.RLock()
	s := r.byID[stack.TransportEndpointID(st.ID)]
	r.mu.RUnlock()
	if s != nil {
		s.probe(st)
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
	registered := h.stack.RegisteredEndpoints()
	seen := make(map[tcpip.Endpoint]bool, len(registered))
	all := make([]tcpip.Endpoint, 0, len(registered))
	for _, te := range registered {
		if ep, ok := te.(tcpip.Endpoint); ok && !seen[ep] {
			seen[ep] = true
			all = append(all, ep)
		}
	}
	return all
}

// Sockets implements network.Inspector. Rows are in the order of opening;
// connections that nobody has accepted yet come last.
func (h *Host) Sockets() ([]network.Socket, error) {
	endpoints := h.endpoints()
	rows := make([]network.Socket, 0, len(endpoints))
	for _, ep := range endpoints {
		if row, ok := h.row(ep); ok {
			rows = append(rows, row)
		}
	}
	countQueues(rows)
	rows = inOrder(rows)
	last := uint64(0)
	for i := range rows {
		if rows[i].Seq == 0 {
			rows[i].Seq = last + 1
		}
		last = rows[i].Seq
	}
	return rows, nil
}

// inOrder sorts rows by Seq, 0 last. Rows are large and there may be thousands, so
// they are moved once.
func inOrder(rows []network.Socket) []network.Socket {
	places := make([]int, len(rows))
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(i, j int) int {
		a, b := &rows[i], &rows[j]
		if a.Seq != b.Seq {
			return cmp.Compare(a.Seq-1, b.Seq-1)
		}
		return cmp.Or(a.Local.Compare(b.Local), a.Remote.Compare(b.Remote))
	})
	sorted := make([]network.Socket, len(rows))
	for to, from := range places {
		sorted[to] = rows[from]
	}
	return sorted
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
	h.sockets.describe(ep, &row)
	return row, true
}

// describe fills in what the registry knows of ep. A connection that nobody has
// accepted yet is marked by QLen 1, for countQueues.
func (r *registry) describe(ep tcpip.Endpoint, row *network.Socket) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.byEndpoint[ep]
	if s == nil {
		if row.State == "ESTABLISHED" || row.State == "CLOSE_WAIT" {
			row.QLen = 1
		}
		return
	}
	row.Seq, row.SendQ, row.MaxQLen = s.seq, s.sendQ(), s.backlog
	if !s.released {
		row.Owner, row.User, row.Mapped = s.owner, s.user, s.mapped
		row.PID, row.Workers = s.pid, slices.Clone(s.workers)
	}
}

// A listening says where a listener is.
type listening struct {
	proto string
	at    netip.AddrPort
}

// countQueues adds up what waits in each listener's queues: connections to its
// address, or for one on all addresses, to those on which nobody else listens.
func countQueues(rows []network.Socket) {
	listeners := make(map[listening]*network.Socket)
	for i := range rows {
		if l := &rows[i]; l.State == "LISTEN" {
			listeners[listening{l.Proto, l.Local}] = l
		}
	}
	for i := range rows {
		c := &rows[i]
		waits, half := c.QLen == 1 && c.State != "LISTEN", c.State == "SYN_RCVD"
		if !waits && !half {
			continue
		}
		c.QLen = 0
		l := listeners[listening{c.Proto, c.Local}]
		if l == nil {
			l = listeners[listening{c.Proto, netip.AddrPortFrom(anyAddr(c.Local.Addr()), c.Local.Port())}]
		}
		switch {
		case l == nil:
		case half:
			l.IncQLen++
		default:
			l.QLen++
		}
	}
}

// anyAddr is the unspecified address of a's family.
func anyAddr(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
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
