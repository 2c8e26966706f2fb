package vnet

import (
	"cmp"
	"context"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

const (
	defaultBacklog = 10
	// wideQueue is what may wait while somebody is in Accept.
	wideQueue = 1024
	// attended is how long a listener counts as looked after once Accept has
	// returned: its caller will come back.
	attended = 100 * time.Millisecond
)

// A listener accepts TCP connections.
type listener struct {
	host    *Host
	ep      tcpip.Endpoint
	sock    *socket
	addr    *net.TCPAddr
	receive int // the receive buffer of what is accepted
	accepts gate

	mu   sync.Mutex // guards the length of the queue
	wide bool
	turn int         // counts calls of Accept
	stop func() bool // stops the timer that narrows the queue
}

var _ network.Listener = (*listener)(nil)

// Listen implements network.Transport. 0.0.0.0 listens on all IPv4 addresses,
// :: on all IPv6 ones.
func (h *Host) Listen(ctx context.Context, c network.ListenConfig) (network.Listener, error) {
	c.Addr = unmap(c.Addr)
	fail := func(call string, err error) (network.Listener, error) {
		return nil, opError("listen", call, "tcp", nil, net.TCPAddrFromAddrPort(c.Addr), err)
	}
	if ctx.Err() != nil {
		return fail("listen", context.Cause(ctx))
	}
	if c.Backlog <= 0 {
		c.Backlog = defaultBacklog
	}
	proto := protocolOf(c.Addr.Addr())
	q := new(waiter.Queue)
	ep, terr := h.stack.NewEndpoint(tcp.ProtocolNumber, proto, q)
	if terr != nil {
		return fail("socket", errno(terr))
	}
	ep.SocketOptions().SetReuseAddress(true)
	ep.SocketOptions().SetV6Only(true)
	l := &listener{host: h, ep: ep, receive: cmp.Or(c.ReceiveBuffer, h.options.MaxReceiveBuffer)}
	l.sock = &socket{ep: ep, tcp: true, end: func() { l.Close() }, owner: c.Owner, user: c.User, mapped: c.Mapped, backlog: c.Backlog}
	l.sock.pid, l.sock.workers = c.PID, slices.Clone(c.Workers)
	l.accepts.open(q, waiter.ReadableEvents)
	if !h.sockets.add(l.sock) {
		l.Close()
		return fail("socket", net.ErrClosed)
	}
	if terr := ep.Bind(h.full(c.Addr, 0)); terr != nil {
		l.Close()
		return fail("bind", errno(terr))
	}
	if c.MSS != 0 {
		if terr := ep.SetSockOptInt(tcpip.MaxSegOption, c.MSS); terr != nil {
			l.Close()
			return fail("setsockopt", errno(terr))
		}
	}
	if terr := ep.Listen(l.narrowQueue()); terr != nil {
		l.Close()
		return fail("listen", errno(terr))
	}
	// When half open connections fill the backlog gVisor turns to SYN cookies. Data
	// on a connection made of a cookie stay charged to the listener's buffer, by
	// mistake; once that is full the listener drops every segment with data, and
	// with it any such connection whose last handshake segment was lost. Accepted connections do
	// not inherit the limit.
	ep.SocketOptions().SetReceiveBufferSize(math.MaxInt32, false)
	local, terr := ep.GetLocalAddress()
	if terr != nil {
		l.Close()
		return fail("getsockname", errno(terr))
	}
	l.addr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(fromAddress(local.Addr, proto), local.Port))
	return l, nil
}

// narrowQueue is how many connections may wait while nobody accepts: BSD lets
// half as many again wait as it was told, and one (sonewconn).
func (l *listener) narrowQueue() int { return l.sock.backlog*3/2 + 1 }

// attend makes room in the queue while somebody accepts. The backlog is meant
// for services that do not; a service that does can be kept from running for a
// while, here where all machines share the processors, and a connection that
// finds the queue full then costs its client a second.
func (l *listener) attend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn++
	l.stopTimer()
	if !l.wide {
		l.wide = l.ep.Listen(max(wideQueue, l.narrowQueue())) == nil
	}
}

// unattend narrows the queue if nobody comes back.
func (l *listener) unattend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accepts.closed.Load() {
		return
	}
	turn := l.turn
	l.stop = l.host.timers.AfterFunc(clock.System(), attended, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.turn != turn || l.accepts.closed.Load() {
			return
		}
		// It fails while more are waiting: then it stays as it is until somebody
		// accepts.
		l.wide = l.ep.Listen(l.narrowQueue()) != nil
	})
}

// stopTimer is called with mu held.
func (l *listener) stopTimer() {
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) { return l.AcceptConn() }

// AcceptConn implements network.Listener.
func (l *listener) AcceptConn() (network.Conn, error) {
	l.accepts.mu.Lock()
	defer l.accepts.mu.Unlock()
	l.attend()
	defer l.unattend()
	for {
		if err := l.accepts.ready(); err != nil {
			return nil, l.opError("accept", err)
		}
		ep, q, err := l.ep.Accept(nil)
		switch {
		case err == nil:
			s := &socket{owner: l.sock.owner, user: l.sock.user, mapped: l.sock.mapped}
			c := l.host.newConn(ep, q, s)
			c.established(l.receive)
			if !l.host.sockets.add(s) {
				c.Close()
				return nil, l.opError("accept", net.ErrClosed)
			}
			l.host.sockets.identify(s)
			return c, nil
		case wouldBlock(err):
			l.accepts.wait()
		case l.accepts.closed.Load():
			return nil, l.opError("accept", net.ErrClosed)
		default:
			return nil, l.opError("accept", errno(err))
		}
	}
}

// Close implements net.Listener. Connections that wait to be accepted are reset.
func (l *listener) Close() error {
	if !l.accepts.close() {
		return l.opError("close", net.ErrClosed)
	}
	l.mu.Lock()
	l.stopTimer()
	l.mu.Unlock()
	l.ep.Close()
	l.host.sockets.release(l.sock)
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) opError(op string, err error) error {
	return opError(op, op, "tcp", nil, l.addr, err)
}
