package vnet

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/network"
)

// A packetConn is a UDP socket.
type packetConn struct {
	host          *Host
	ep            tcpip.Endpoint
	sock          *socket
	proto         tcpip.NetworkProtocolNumber
	nic           tcpip.NICID // 0: by the route
	local, remote *net.UDPAddr
	reads, writes gate
}

var _ network.PacketConn = (*packetConn)(nil)

func (h *Host) newPacketConn(
	ep tcpip.Endpoint, q *waiter.Queue, proto tcpip.NetworkProtocolNumber, s *socket,
) *packetConn {
	c := &packetConn{host: h, ep: ep, sock: s, proto: proto}
	s.ep, s.closeFunc = ep, func() { c.Close() }
	c.reads.attach(q, waiter.ReadableEvents)
	c.writes.attach(q, waiter.WritableEvents)
	return c
}

// ListenPacket implements network.Transport. If there is no local address, the socket has the
// address family of the remote address, or else IPv4.
func (h *Host) ListenPacket(ctx context.Context, c network.DialConfig) (network.PacketConn, error) {
	c.Local, c.Remote = unmap(c.Local), unmap(c.Remote)
	fail := func(call string, err error) (network.PacketConn, error) {
		return nil, opError("listen", call, "udp", nil, net.UDPAddrFromAddrPort(c.Local), err)
	}
	if ctx.Err() != nil {
		return fail("socket", context.Cause(ctx))
	}
	h.wakeFor(c.Local.Addr())
	if c.Remote.IsValid() {
		h.wakeFor(c.Remote.Addr())
	}
	nic, err := h.nicID(c.Interface)
	if err != nil {
		return fail("bind", err)
	}
	family := c.Local.Addr()
	if c.Remote.IsValid() {
		family = c.Remote.Addr()
	}
	q := new(waiter.Queue)
	ep, terr := h.stack.NewEndpoint(udp.ProtocolNumber, protocolOf(family), q)
	if terr != nil {
		return fail("socket", errno(terr))
	}
	s := &socket{owner: c.Owner, user: c.User}
	x := h.newPacketConn(ep, q, protocolOf(family), s)
	if !h.sockets.add(s) {
		x.Close()
		return fail("socket", net.ErrClosed)
	}
	if call, err := x.configure(c, nic); err != nil {
		x.Close()
		return fail(call, err)
	}
	x.setAddrs()
	h.publishSocket(s, "udp", x.local, x.RemoteAddr())
	return x, nil
}

// configure binds and connects the socket. If it fails, it returns the name of the system
// call too.
func (c *packetConn) configure(d network.DialConfig, nic tcpip.NICID) (string, error) {
	c.nic = nic
	setTTL(c.ep, d.TTL, c.proto)
	c.ep.SocketOptions().SetV6Only(true)
	c.ep.SocketOptions().SetBroadcast(true)
	if nic != 0 {
		if err := c.ep.SocketOptions().SetBindToDevice(int32(nic)); err != nil {
			return "bind", errno(err)
		}
	}
	if bound(d.Local) || !d.Remote.IsValid() {
		if err := c.ep.Bind(c.host.fullAddress(d.Local, nic)); err != nil {
			return "bind", errno(err)
		}
	}
	if d.Remote.IsValid() {
		if err := c.ep.Connect(c.host.fullAddress(d.Remote, nic)); err != nil {
			return "connect", errno(err)
		}
	}
	return "", nil
}

func (c *packetConn) setAddrs() {
	if a, err := c.ep.GetLocalAddress(); err == nil {
		c.local = net.UDPAddrFromAddrPort(addrPort(a, c.proto))
	}
	if a, err := c.ep.GetRemoteAddress(); err == nil {
		c.remote = net.UDPAddrFromAddrPort(addrPort(a, c.proto))
	}
}

func (c *packetConn) opError(op, call string, err error) error {
	return opError(op, call, "udp", c.local, c.RemoteAddr(), err)
}

// Read implements network.PacketConn.
func (c *packetConn) Read(b []byte) (int, error) {
	n, _, err := c.receive(b)
	return n, err
}

// ReadFrom implements net.PacketConn.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.receive(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// AwaitReadable blocks until Read would return, so that a caller needs no buffer while it
// waits. It returns the error that Read would return if the socket is closed or its deadline
// has passed.
func (c *packetConn) AwaitReadable() error {
	c.reads.mu.Lock()
	defer c.reads.mu.Unlock()
	for {
		if err := c.reads.err(); err != nil {
			return c.opError("read", "recvfrom", err)
		}
		if c.ep.Readiness(waiter.ReadableEvents|waiter.EventErr) != 0 {
			return nil
		}
		c.reads.wait()
	}
}

func (c *packetConn) receive(b []byte) (int, netip.AddrPort, error) {
	c.reads.mu.Lock()
	defer c.reads.mu.Unlock()
	w := tcpip.SliceWriter(b)
	for {
		if err := c.reads.err(); err != nil {
			return 0, netip.AddrPort{}, c.opError("read", "recvfrom", err)
		}
		res, err := c.ep.Read(&w, tcpip.ReadOptions{NeedRemoteAddr: true})
		switch {
		case err == nil:
			return res.Count, addrPort(res.RemoteAddr, c.proto), nil
		case wouldBlock(err):
			c.reads.wait()
		case c.reads.closed.Load():
			return 0, netip.AddrPort{}, c.opError("read", "recvfrom", net.ErrClosed)
		default:
			return 0, netip.AddrPort{}, c.opError("read", "recvfrom", errno(err))
		}
	}
}

// Write implements network.PacketConn.
func (c *packetConn) Write(b []byte) (int, error) {
	return c.send(b, tcpip.WriteOptions{})
}

// WriteTo implements net.PacketConn.
func (c *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addrPortOf(addr)
	if !ok {
		return 0, c.opError("write", "sendto", syscall.EINVAL)
	}
	c.host.wakeFor(to.Addr())
	full := c.host.fullAddress(to, 0)
	if c.local != nil && full.NIC == 0 {
		full.NIC = c.host.outgoingNIC(c.nic, c.local.AddrPort().Addr().Unmap(), to.Addr())
	}
	return c.send(b, tcpip.WriteOptions{To: &full})
}

func (c *packetConn) send(b []byte, o tcpip.WriteOptions) (int, error) {
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	var r bytes.Reader
	for {
		if err := c.writes.err(); err != nil {
			return 0, c.opError("write", "sendto", err)
		}
		r.Reset(b)
		n, err := c.writeInOrder(&r, o)
		switch {
		case err == nil:
			return int(n), nil
		case wouldBlock(err):
			c.writes.wait()
		case c.writes.closed.Load():
			return 0, c.opError("write", "sendto", net.ErrClosed)
		default:
			return 0, c.opError("write", "sendto", errno(err))
		}
	}
}

// writeInOrder hands a datagram to the stack, but not while the learner processes a message,
// see learner.
func (c *packetConn) writeInOrder(r *bytes.Reader, o tcpip.WriteOptions) (int64, tcpip.Error) {
	c.host.learner.sending.RLock()
	defer c.host.learner.sending.RUnlock()
	return c.ep.Write(r, o)
}

// Close implements net.PacketConn.
func (c *packetConn) Close() error {
	if !c.writes.close() {
		return c.opError("close", "close", net.ErrClosed)
	}
	c.reads.close()
	c.ep.Close()
	c.host.sockets.release(c.sock)
	c.host.publishSocketClosed(c.sock)
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *packetConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements network.PacketConn. It returns nil for a socket that is not
// connected.
func (c *packetConn) RemoteAddr() net.Addr {
	if c.remote == nil {
		return nil
	}
	return c.remote
}

// SetDeadline implements net.PacketConn.
func (c *packetConn) SetDeadline(t time.Time) error {
	return setDeadline(t, "udp", c.local, &c.reads, &c.writes)
}

// SetReadDeadline implements net.PacketConn.
func (c *packetConn) SetReadDeadline(t time.Time) error {
	return setDeadline(t, "udp", c.local, &c.reads)
}

// SetWriteDeadline implements net.PacketConn.
func (c *packetConn) SetWriteDeadline(t time.Time) error {
	return setDeadline(t, "udp", c.local, &c.writes)
}
