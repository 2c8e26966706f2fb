package vnet

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

// Dial implements network.Transport. A connect that takes longer than Options.ConnectTimeout
// fails with ETIMEDOUT. ECONNRESET means that the connection was reset as soon as it was
// established.
func (h *Host) Dial(ctx context.Context, c network.DialConfig) (network.Conn, error) {
	c.Remote = unmap(c.Remote)
	if ctx.Err() != nil {
		return nil, dialError(c, "connect", context.Cause(ctx))
	}
	d, err := h.NewDial(c)
	if err != nil {
		return nil, err
	}
	return d.Connect(ctx)
}

// A PendingDial is the first half of Dial: there is a socket, but no connection yet. Connect or
// Close must be called once.
type PendingDial struct {
	config network.DialConfig
	conn   *conn
	nic    tcpip.NICID
}

// NewDial opens and binds the socket of a connection. Its place in the list of Sockets is decided
// here, not when the connection is established.
func (h *Host) NewDial(c network.DialConfig) (*PendingDial, error) {
	ReserveStack()
	c.Local, c.Remote = unmap(c.Local), unmap(c.Remote)
	h.wakeFor(c.Local.Addr(), c.Remote.Addr())
	h.openFor(c.Local, c.Remote)
	nic, err := h.nicID(c.Interface)
	if err != nil {
		return nil, dialError(c, "bind", err)
	}
	q := new(waiter.Queue)
	ep, terr := h.stack.NewEndpoint(tcp.ProtocolNumber, protocolOf(c.Remote.Addr()), q)
	if terr != nil {
		return nil, dialError(c, "socket", errno(terr))
	}
	s := &socket{owner: c.Owner, user: c.User}
	x := h.newConn(ep, q, s)
	if !h.sockets.add(s) {
		x.Close()
		return nil, dialError(c, "socket", net.ErrClosed)
	}
	setTTL(ep, c.TTL, protocolOf(c.Remote.Addr()))
	ep.SocketOptions().SetDelayOption(c.Delay)
	if nic != 0 {
		if terr := ep.SocketOptions().SetBindToDevice(int32(nic)); terr != nil {
			x.Close()
			return nil, dialError(c, "bind", errno(terr))
		}
	}
	if bound(c.Local) {
		nic = h.outgoingNIC(nic, c.Local.Addr(), c.Remote.Addr())
		if terr := ep.Bind(h.fullAddress(c.Local, nic)); terr != nil {
			x.Close()
			return nil, dialError(c, "bind", errno(terr))
		}
	}
	return &PendingDial{c, x, nic}, nil
}

// Connect establishes the connection, as Dial does. If it fails, the socket is closed.
func (d *PendingDial) Connect(ctx context.Context) (network.Conn, error) {
	h := d.conn.host
	cause := events.Publish(h.options.Events, 0, ConnectionStarted{d.config.Remote, d.config.Owner})
	if err := d.conn.connect(ctx, h.fullAddress(d.config.Remote, d.nic)); err != nil {
		d.conn.Close()
		h.publishFailed(cause, d.conn.attemptedFrom(), d.config, err)
		return nil, dialError(d.config, "connect", err)
	}
	d.conn.publishOpened(cause, d.nic, "out", d.config.Owner)
	return d.conn, nil
}

// Close closes the socket. There is no connection.
func (d *PendingDial) Close() { d.conn.Close() }

func dialError(c network.DialConfig, call string, err error) error {
	return opError("dial", call, "tcp", nil, net.TCPAddrFromAddrPort(c.Remote), err)
}

// connect opens the connection and blocks until the handshake has ended or ctx is done.
func (c *conn) connect(ctx context.Context, to tcpip.FullAddress) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.host.options.ConnectTimeout, syscall.ETIMEDOUT)
	defer cancel()
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	c.host.hold()
	err := c.ep.Connect(to)
	c.host.release()
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		c.host.sockets.setID(c.sock)
		for connecting(c.ep) {
			select {
			case <-c.writes.wakeups:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if err := c.writes.err(); err != nil {
				return err // the host has been closed
			}
		}
		err = c.ep.LastError()
	}
	if err != nil {
		return c.connectError(err)
	}
	c.finishHandshake(c.host.receiveBuffer)
	return nil
}

// connecting reports whether the handshake has not ended yet.
func connecting(ep tcpip.Endpoint) bool {
	state := tcp.EndpointState(ep.State())
	return state == tcp.StateConnecting || state == tcp.StateSynSent
}

// bound reports whether a caller has chosen the local address a, or a port of it.
func bound(a netip.AddrPort) bool {
	return a.Port() != 0 || a.Addr().IsValid() && !a.Addr().IsUnspecified()
}

// setTTL sets the time to live of an endpoint's packets; 0 leaves the default.
func setTTL(ep tcpip.Endpoint, ttl uint8, proto tcpip.NetworkProtocolNumber) {
	if ttl == 0 {
		return
	}
	option := tcpip.IPv4TTLOption
	if proto == ipv6.ProtocolNumber {
		option = tcpip.IPv6HopLimitOption
	}
	_ = ep.SetSockOptInt(option, int(ttl)) // fails for values over 255 only
}
