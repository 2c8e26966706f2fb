package vnet

import (
	"cmp"
	"context"
	"errors"
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
	// wideQueueLen is the number of connections that may wait while a caller is in Accept.
	wideQueueLen = 1024
	// acceptGrace is the time after Accept has returned for which the queue stays wide,
	// because the next call is expected.
	acceptGrace = 100 * time.Millisecond
)

// A listener accepts TCP connections.
type listener struct {
	host    *Host
	config  network.ListenConfig
	sock    *socket
	addr    *net.TCPAddr
	queue   waiter.Queue
	accepts gate
	serving serving

	mu            sync.Mutex     // guards what follows, and the length of the queue
	ep            tcpip.Endpoint // nil while the listener is asleep, see sleep.go
	wide          bool
	acceptCalls   int
	stopNarrowing func() bool // stops the timer that narrows the queue
}

var (
	_ network.Server        = (*listener)(nil)
	_ network.BacklogSetter = (*listener)(nil)
)

// Listen implements network.Transport. The address 0.0.0.0 stands for all IPv4 addresses and
// :: for all IPv6 addresses.
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
	h.wakeFor(c.Addr.Addr())
	l := &listener{host: h, config: c, addr: net.TCPAddrFromAddrPort(c.Addr)}
	l.sock = &socket{
		tcp: true, closeFunc: func() { l.Close() },
		owner: c.Owner, user: c.User, pid: c.PID, workers: slices.Clone(c.Workers),
		mapped: c.Mapped,
	}
	l.sock.backlog.Store(int64(c.Backlog))
	l.accepts.attach(&l.queue, waiter.ReadableEvents)
	if !h.putToSleep(l) {
		if call, err := l.open(); err != nil {
			l.Close()
			return fail(call, err)
		}
	}
	h.publishSocket(l.sock, "tcp", l.addr, nil)
	return l, nil
}

// open makes the endpoint of a listener, unless it has one. An error comes with the name of the
// system call that failed.
func (l *listener) open() (call string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ep != nil || l.accepts.closed.Load() {
		return "", nil
	}
	proto := protocolOf(l.config.Addr.Addr())
	ep, terr := l.host.stack.NewEndpoint(tcp.ProtocolNumber, proto, &l.queue)
	if terr != nil {
		return "socket", errno(terr)
	}
	ep.SocketOptions().SetReuseAddress(true)
	ep.SocketOptions().SetV6Only(true)
	if terr := ep.Bind(l.host.fullAddress(l.config.Addr, 0)); terr != nil {
		ep.Close()
		return "bind", errno(terr)
	}
	if l.config.MSS != 0 {
		if terr := ep.SetSockOptInt(tcpip.MaxSegOption, l.config.MSS); terr != nil {
			ep.Close()
			return "setsockopt", errno(terr)
		}
	}
	length := l.narrowQueueLen()
	if l.wide {
		length = l.wideQueueLen()
	}
	if terr := ep.Listen(length); terr != nil {
		ep.Close()
		return "listen", errno(terr)
	}
	// When half open connections fill the backlog, gVisor uses SYN cookies. Data on a
	// connection that was made from a cookie stays charged to the listener's buffer, which is
	// a bug. Once the buffer is full, the listener drops every segment with data, and with it
	// any such connection whose last handshake segment was lost. Accepted connections do not
	// inherit the size of the buffer.
	ep.SocketOptions().SetReceiveBufferSize(math.MaxInt32, false)
	if a := l.config.Addr; a.Port() == 0 || a.Addr().Zone() != "" { // then it was not asleep
		local, terr := ep.GetLocalAddress()
		if terr != nil {
			ep.Close()
			return "getsockname", errno(terr)
		}
		l.addr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(fromAddress(local.Addr, proto), local.Port))
	}
	if !l.host.sockets.wake(l, ep) {
		ep.Close()
		return "socket", net.ErrClosed
	}
	l.ep = ep
	return "", nil
}

// endpoint returns the listener's endpoint, or nil if it is asleep.
func (l *listener) endpoint() tcpip.Endpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ep
}

// setQueueLen sets the number of connections that may wait, and reports whether the stack accepts
// that. It is called with mu held.
func (l *listener) setQueueLen(n int) bool { return l.ep == nil || l.ep.Listen(n) == nil }

// wideQueueLen is narrowQueueLen while a caller is in Accept.
func (l *listener) wideQueueLen() int { return max(wideQueueLen, l.narrowQueueLen()) }

// narrowQueueLen returns the number of connections that may wait while no caller is in
// Accept. BSD allows one and a half times the backlog, plus one (sonewconn).
func (l *listener) narrowQueueLen() int { return int(l.sock.backlog.Load())*3/2 + 1 }

// SetBacklog implements network.BacklogSetter.
func (l *listener) SetBacklog(n int) {
	if n <= 0 {
		n = defaultBacklog
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sock.backlog.Store(int64(n))
	if !l.wide && !l.accepts.closed.Load() {
		l.wide = !l.setQueueLen(l.narrowQueueLen()) // see narrowQueueLater
	}
}

// widenQueue makes the queue long while a caller is in Accept. The backlog is meant for
// services that do not accept. A service that does can be kept from running for a moment,
// because all machines share the processors, and a connection that finds the queue full costs
// its client a second.
func (l *listener) widenQueue() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acceptCalls++
	l.stopTimer()
	if !l.wide {
		l.wide = l.setQueueLen(l.wideQueueLen())
	}
}

// narrowQueueLater makes the queue short again after acceptGrace, unless Accept is called
// before.
func (l *listener) narrowQueueLater() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accepts.closed.Load() {
		return
	}
	call := l.acceptCalls
	l.stopNarrowing = l.host.timers.AfterFunc(clock.System(), acceptGrace, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.acceptCalls != call || l.accepts.closed.Load() {
			return
		}
		// This fails while more connections are waiting. Then the queue stays wide until
		// the next call of Accept has returned.
		l.wide = !l.setQueueLen(l.narrowQueueLen())
	})
}

// stopTimer stops the timer that narrows the queue. It is called with mu held.
func (l *listener) stopTimer() {
	if l.stopNarrowing != nil {
		l.stopNarrowing()
		l.stopNarrowing = nil
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) { return l.AcceptConn() }

// AcceptConn implements network.Listener.
func (l *listener) AcceptConn() (network.Conn, error) {
	l.accepts.mu.Lock()
	defer l.accepts.mu.Unlock()
	l.widenQueue()
	defer l.narrowQueueLater()
	for {
		c, err := l.acceptNow()
		if err != errNoneWaits {
			return c, err
		}
		l.accepts.wait()
	}
}

// errNoneWaits is the error of acceptNow if no connection waits.
var errNoneWaits = errors.New("vnet: no connection waits")

// acceptNow accepts a connection that waits.
func (l *listener) acceptNow() (network.Conn, error) {
	if err := l.accepts.err(); err != nil {
		return nil, l.opError("accept", err)
	}
	listening := l.endpoint()
	if listening == nil {
		return nil, errNoneWaits
	}
	ep, q, err := listening.Accept(nil)
	switch {
	case err == nil:
		s := &socket{owner: l.sock.owner, user: l.sock.user, mapped: l.sock.mapped}
		c := l.host.newConn(ep, q, s)
		c.finishHandshake(cmp.Or(l.config.ReceiveBuffer, l.host.receiveBuffer))
		if !l.host.sockets.add(s) {
			c.Close()
			return nil, l.opError("accept", net.ErrClosed)
		}
		l.host.sockets.setID(s)
		c.publishOpened(0, 0, "in", s.owner)
		return c, nil
	case wouldBlock(err):
		return nil, errNoneWaits
	case l.accepts.closed.Load():
		return nil, l.opError("accept", net.ErrClosed)
	default:
		return nil, l.opError("accept", errno(err))
	}
}

// Close implements net.Listener. Connections that wait to be accepted are reset.
func (l *listener) Close() error {
	if !l.accepts.close() {
		return l.opError("close", net.ErrClosed)
	}
	l.stopServing()
	l.mu.Lock()
	l.stopTimer()
	ep := l.ep
	l.mu.Unlock()
	if ep == nil { // it is asleep, and stays so because it is closed
		l.host.sockets.forget(l)
		l.host.publishSocketClosed(l.sock)
		return nil
	}
	// While gVisor closes a listener, it drops the last segment of a handshake if it processes it
	// between two steps of that: the client would then have a connection that no machine knows, and
	// wait forever.
	l.host.pauseSegments(ep.Close)
	l.host.sockets.release(l.sock)
	l.host.publishSocketClosed(l.sock)
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) opError(op string, err error) error {
	return opError(op, op, "tcp", nil, l.addr, err)
}
