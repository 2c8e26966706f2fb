package vnet

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// A registry holds what the stack does not know of sockets: their owners and the length of
// their send queues.
type registry struct {
	mu      sync.RWMutex
	closed  bool
	lastSeq uint64 // seq of the latest socket
	// byEndpoint holds the sockets that their owners have not closed, and closed ones that
	// the stack may not have finished with.
	byEndpoint  map[tcpip.Endpoint]*socket
	byID        map[stack.TransportEndpointID]*socket
	asleep      map[netip.AddrPort]*listener // listeners without endpoint, see putToSleep
	closedCount int                          // number of closed sockets in byEndpoint
	sweepAt     int                          // value of closedCount at which to look for sockets that are done

	timers        clock.Group
	stopSweep     func() bool   // stops the timer of the next sweep; nil if none is set
	sweepInterval time.Duration // 0 means defaultSweepInterval

	setTimeWait   func(time.Duration) // sets how long connections stay in TIME-WAIT from now on
	briefly       bool                // they stay for briefTimeWait
	briefTimeWait time.Duration       // 0 means defaultBriefTimeWait
}

// A socket is the registry's entry of a TCP or UDP endpoint.
type socket struct {
	ep          tcpip.Endpoint
	queue       *waiter.Queue // of a connection
	closeFunc   func()        // closes the endpoint as its owner does
	tcp         bool
	owner, user string
	pid         int
	workers     []string
	mapped      bool
	backlog     atomic.Int64              // of a listener
	id          stack.TransportEndpointID // of a connection
	seq         uint64                    // in the order of opening, from 1
	released    bool                      // closed by its owner; guarded by registry.mu
	opening     SocketOpened              // of a listener or UDP socket; of the event opened
	opened      uint64

	ackWaiters atomic.Int32 // callers of AwaitAcknowledged
	mu         sync.Mutex
	acks       ackTracker
}

// minSweep is the number of closed sockets from which on the registry looks for sockets that
// the stack has finished with.
const minSweep = 64

// maxClosed is the number of closed sockets from which on connections stay in TIME-WAIT for
// defaultBriefTimeWait only. Each takes several KiB, so a flood of short connections would cost
// hundreds of MiB in the minute of TIME-WAIT. Kernels have such a limit, too.
const (
	maxClosed            = 1024
	defaultBriefTimeWait = time.Second
)

// defaultSweepInterval is the time after which the registry looks again for sockets that the stack
// has finished with. It is a little longer than the state TIME-WAIT. Without it, what many
// connections have left would be kept until as many others are closed.
const defaultSweepInterval = 65 * time.Second

// addWritten counts n bytes that have been handed to the stack.
func (s *socket) addWritten(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acks.addWritten(n)
}

// add registers s. It returns false if the host is closed.
func (r *registry) add(s *socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addLocked(s)
}

// addLocked is add for callers that hold mu.
func (r *registry) addLocked(s *socket) bool {
	if r.closed {
		return false
	}
	if r.byEndpoint == nil {
		r.byEndpoint = make(map[tcpip.Endpoint]*socket)
		r.byID = make(map[stack.TransportEndpointID]*socket)
	}
	if s.seq == 0 {
		r.lastSeq++
		s.seq = r.lastSeq
	}
	r.byEndpoint[s.ep] = s
	return true
}

// setID registers s, whose connection now has its addresses, for LockConnection.
func (r *registry) setID(s *socket) {
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

// release marks s as closed by its owner. The list of sockets shows it without an owner until
// the stack has finished with it.
func (r *registry) release(s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.released || r.byEndpoint[s.ep] != s {
		return
	}
	s.released = true
	if s.isDone() {
		r.remove(s)
		return
	}
	if r.closedCount++; r.closedCount >= max(r.sweepAt, minSweep) {
		r.sweep()
	}
	r.boundTimeWait()
	r.scheduleSweep()
}

// boundTimeWait shortens TIME-WAIT if there are too many closed sockets, and restores it when there
// are few. r.mu is held.
func (r *registry) boundTimeWait() {
	switch {
	case !r.briefly && r.closedCount > maxClosed:
		r.briefly = true
		r.setTimeWait(cmp.Or(r.briefTimeWait, defaultBriefTimeWait))
	case r.briefly && r.closedCount < maxClosed/2:
		r.briefly = false
		r.setTimeWait(tcp.DefaultTCPTimeWaitTimeout)
	}
}

// sweep removes the closed sockets that the stack has finished with. r.mu is held.
func (r *registry) sweep() {
	for _, x := range r.byEndpoint {
		if x.released && x.isDone() {
			r.remove(x)
			r.closedCount--
		}
	}
	r.sweepAt = min(2*r.closedCount, r.closedCount+maxClosed)
}

// scheduleSweep ensures that sweep is called later, if there are closed sockets. r.mu is held.
func (r *registry) scheduleSweep() {
	if r.stopSweep != nil || r.closed || r.closedCount == 0 {
		return
	}
	interval := cmp.Or(r.sweepInterval, defaultSweepInterval)
	r.stopSweep = r.timers.AfterFunc(clock.System(), interval, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stopSweep = nil
		if !r.closed {
			r.sweep()
			r.boundTimeWait()
			r.scheduleSweep()
		}
	})
}

// remove removes s from the registry. It is called with mu held.
func (r *registry) remove(s *socket) {
	delete(r.byEndpoint, s.ep)
	if r.byID[s.id] == s {
		delete(r.byID, s.id)
	}
}

// isDone reports whether the stack has finished with a closed socket. For a UDP socket that is
// immediately.
func (s *socket) isDone() bool {
	if !s.tcp {
		return true
	}
	state := tcp.EndpointState(s.ep.State())
	return state == tcp.StateClose || state == tcp.StateError
}

func (r *registry) find(ep tcpip.Endpoint) *socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byEndpoint[ep]
}

// openSockets returns the sockets that their owners have not closed.
func (r *registry) openSockets() []*socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []*socket
	for _, s := range r.byEndpoint {
		if !s.released {
			all = append(all, s)
		}
	}
	for _, l := range r.asleep {
		all = append(all, l.sock)
	}
	return all
}

// close closes all sockets. No more sockets can be added.
func (r *registry) close() {
	r.mu.Lock()
	r.closed = true
	if r.stopSweep != nil {
		r.stopSweep()
	}
	r.mu.Unlock()
	for _, s := range r.openSockets() {
		s.closeFunc()
	}
}

// endpoints returns the stack's TCP and UDP endpoints, each once, although an endpoint of both
// address families is registered twice.
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

// Sockets implements network.Inspector. Rows are in the order in which sockets were opened.
// Connections that have not been accepted yet come last.
func (h *Host) Sockets() ([]network.Socket, error) {
	asleep := h.sockets.asleepRows()
	endpoints := h.endpoints()
	rows := make([]network.Socket, 0, len(asleep)+len(endpoints))
	rows = append(rows, asleep...)
	for _, ep := range endpoints {
		row, ok := h.row(ep)
		woken := row.State == "LISTEN" && slices.ContainsFunc(asleep, func(a network.Socket) bool {
			return a.Proto == row.Proto && a.Local == row.Local
		})
		if ok && !woken {
			rows = append(rows, row)
		}
	}
	countQueues(rows)
	rows = sortBySeq(rows)
	last := uint64(0)
	for i := range rows {
		if rows[i].Seq == 0 {
			rows[i].Seq = last + 1
		}
		last = rows[i].Seq
	}
	return rows, nil
}

// sortBySeq returns rows sorted by Seq, with 0 last. Rows are large and there can be
// thousands, so each is moved only once.
func sortBySeq(rows []network.Socket) []network.Socket {
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

// row returns the row of an endpoint. It returns false for an endpoint that is neither TCP
// nor UDP.
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
	if s := h.sockets.describe(ep, &row); s != nil {
		row.SendQ = s.sendQ()
	}
	return row, true
}

// describe fills in the fields that the registry knows, except for SendQ, and returns the socket. It
// marks a connection that has not been accepted yet by QLen 1, for countQueues; then there is no
// socket.
func (r *registry) describe(ep tcpip.Endpoint, row *network.Socket) *socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.byEndpoint[ep]
	if s == nil {
		if row.State == "ESTABLISHED" || row.State == "CLOSE_WAIT" {
			row.QLen = 1
		}
		return nil
	}
	s.describe(row)
	return s
}

// describe fills in the fields that s knows, except for SendQ. It is called with registry.mu held.
func (s *socket) describe(row *network.Socket) {
	row.Seq, row.MaxQLen = s.seq, int(s.backlog.Load())
	if !s.released {
		row.Owner, row.User, row.Mapped = s.owner, s.user, s.mapped
		row.PID, row.Workers = s.pid, slices.Clone(s.workers)
	}
}

// A listenerKey identifies a listener.
type listenerKey struct {
	proto string
	at    netip.AddrPort
}

// countQueues sets the length of each listener's queues. A connection waits in the queue of
// the listener on its local address, or else of the listener on all addresses.
func countQueues(rows []network.Socket) {
	listeners := make(map[listenerKey]*network.Socket)
	for i := range rows {
		if l := &rows[i]; l.State == "LISTEN" {
			listeners[listenerKey{l.Proto, l.Local}] = l
		}
	}
	for i := range rows {
		c := &rows[i]
		waits, half := c.QLen == 1 && c.State != "LISTEN", c.State == "SYN_RCVD"
		if !waits && !half {
			continue
		}
		c.QLen = 0
		l := listeners[listenerKey{c.Proto, c.Local}]
		if l == nil {
			l = listeners[listenerKey{c.Proto, netip.AddrPortFrom(anyAddr(c.Local.Addr()), c.Local.Port())}]
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

// anyAddr returns the unspecified address of a's family.
func anyAddr(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// stateName returns BSD's name of a state.
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
