package vnet

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/network"
)

// A conn is a TCP connection.
type conn struct {
	host          *Host
	ep            tcpip.Endpoint
	sock          *socket
	local, remote *net.TCPAddr
	reads, writes gate
	flow          *flow // nil: the machine has no personality
	watch         watch

	// What the stack writes to, and reads from. They are here so that they are not allocated with
	// each call.
	readTo    tcpip.SliceWriter // guarded by reads.mu
	writeFrom bytes.Reader      // guarded by writes.mu

	received atomic.Int64 // bytes that have been read
	opened   uint64       // the number of the event that it was opened; 0: none was published
	process  string       // of that event
}

var _ network.Conn = (*conn)(nil)

func (h *Host) newConn(ep tcpip.Endpoint, q *waiter.Queue, s *socket) *conn {
	c := &conn{host: h, ep: ep, sock: s}
	s.queue, s.ep, s.tcp, s.closeFunc = q, ep, true, func() { c.Close() }
	c.reads.attach(q, waiter.ReadableEvents)
	c.writes.attach(q, waiter.WritableEvents)
	return c
}

// finishHandshake is called when the connection has been established. buffer is the size of
// its receive buffer. finishHandshake stores the addresses, which the stack forgets after a
// reset, and sets the receive buffer to its full size: if gVisor grew the buffer by itself
// (ModerateRecvBuf), it could fail to announce the new window. The peer would then wait for a
// closed window until its probe timer fires.
func (c *conn) finishHandshake(buffer int) {
	c.ep.SocketOptions().SetReceiveBufferSize(int64(buffer), true)
	c.sock.start()
	info, ok := c.ep.Info().(*stack.TransportEndpointInfo)
	if !ok {
		return
	}
	id := info.ID
	local := netip.AddrPortFrom(fromAddress(id.LocalAddress, info.NetProto), id.LocalPort)
	remote := netip.AddrPortFrom(fromAddress(id.RemoteAddress, info.NetProto), id.RemotePort)
	c.local, c.remote = net.TCPAddrFromAddrPort(local), net.TCPAddrFromAddrPort(remote)
	c.flow = c.host.personalities.own(flowKey{local, remote}, c.ep)
}

func (c *conn) opError(op, call string, err error) error {
	return opError(op, call, "tcp", c.local, c.remote, err)
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) { return c.read(b, true) }

// read is Read. If wait is false it returns ErrWouldBlock instead of waiting.
func (c *conn) read(b []byte, wait bool) (int, error) {
	c.reads.mu.Lock()
	defer c.reads.mu.Unlock()
	c.readTo = b
	defer func() { c.readTo = nil }()
	for {
		if err := c.reads.err(); err != nil {
			return 0, c.opError("read", "read", err)
		}
		if len(b) == 0 {
			return 0, nil
		}
		res, err := c.ep.Read(&c.readTo, tcpip.ReadOptions{})
		switch {
		case err == nil:
			if c.flow != nil {
				c.host.personalities.consumed(c.flow, res.Count)
			}
			c.received.Add(int64(res.Count))
			return res.Count, nil
		case wouldBlock(err) && !wait:
			return 0, ErrWouldBlock
		case wouldBlock(err):
			c.reads.wait()
		case errno(err) == io.EOF:
			return 0, io.EOF
		case c.reads.closed.Load():
			return 0, c.opError("read", "read", net.ErrClosed)
		default:
			return 0, c.opError("read", "read", errno(err))
		}
	}
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	r := &c.writeFrom
	defer r.Reset(nil)
	n := 0
	for {
		if err := c.writes.err(); err != nil {
			return n, c.opError("write", "write", err)
		}
		if n == len(b) {
			return n, nil
		}
		r.Reset(b[n:])
		k, err := c.write(r)
		n += k
		switch {
		case err == nil:
			if n == len(b) {
				return n, nil
			}
		case wouldBlock(err):
			c.writes.wait()
		case c.writes.closed.Load():
			return n, c.opError("write", "write", net.ErrClosed)
		default:
			return n, c.opError("write", "write", errno(err))
		}
	}
}

// maxHeldWrite is the length of the longest Write whose data the caller moves to its destination
// itself. While more is written at a time, it is faster if other goroutines move, receive and
// acknowledge what has been written before. A Write of 4096 bytes is a full buffer of package bufio,
// so more will follow.
const maxHeldWrite = 4095

// write hands as much of r to the stack as its buffer takes.
func (c *conn) write(r *bytes.Reader) (int, tcpip.Error) {
	ReserveStack()
	if r.Len() <= maxHeldWrite {
		c.host.hold()
		defer c.host.release()
	}
	n, err := c.ep.Write(r, tcpip.WriteOptions{})
	c.sock.addWritten(int(n)) // before release, which lets the acknowledgement arrive
	return int(n), err
}

// Close implements net.Conn. Data that has been written is still sent.
func (c *conn) Close() error {
	if !c.writes.close() {
		return c.opError("close", "close", net.ErrClosed)
	}
	c.reads.close()
	end := c.endOf()
	c.ep.Close()
	if c.flow != nil {
		c.host.personalities.remove(flowKey{c.local.AddrPort(), c.remote.AddrPort()}, c.flow)
	}
	c.host.sockets.release(c.sock)
	c.watch.close()
	c.publishClosed(end)
	return nil
}

// CloseRead implements network.Conn.
func (c *conn) CloseRead() error { return c.shutdown(tcpip.ShutdownRead) }

// CloseWrite implements network.Conn.
func (c *conn) CloseWrite() error { return c.shutdown(tcpip.ShutdownWrite) }

func (c *conn) shutdown(how tcpip.ShutdownFlags) error {
	if c.writes.closed.Load() {
		return c.opError("close", "shutdown", net.ErrClosed)
	}
	if err := c.ep.Shutdown(how); err != nil {
		return c.opError("close", "shutdown", errno(err))
	}
	return nil
}

// SetLinger implements network.Conn. A positive time has no effect: data that has been
// written is sent in the background.
func (c *conn) SetLinger(sec int) error {
	if c.writes.closed.Load() {
		return c.opError("set", "setsockopt", net.ErrClosed)
	}
	c.ep.SocketOptions().SetLinger(tcpip.LingerOption{
		Enabled: sec >= 0, Timeout: time.Duration(max(sec, 0)) * time.Second,
	})
	return nil
}

// Abort implements network.Conn.
func (c *conn) Abort() {
	c.ep.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true})
	_ = c.Close()
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return setDeadline(t, "tcp", c.local, &c.reads, &c.writes)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	return setDeadline(t, "tcp", c.local, &c.reads)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	return setDeadline(t, "tcp", c.local, &c.writes)
}

func setDeadline(t time.Time, proto string, local net.Addr, gates ...*gate) error {
	for _, g := range gates {
		if g.closed.Load() {
			return opError("set", "setsockopt", proto, local, nil, net.ErrClosed)
		}
		g.setDeadline(t)
	}
	return nil
}

// connectError returns the error of a failed connect. If the owner or the host has closed the
// socket meanwhile, the error says so, and not that the connection was aborted.
func (c *conn) connectError(err tcpip.Error) error {
	if e := c.writes.err(); e != nil {
		return e
	}
	if e := errno(err); e != io.EOF {
		return e
	}
	return syscall.ECONNABORTED
}
