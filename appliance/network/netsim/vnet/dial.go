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

	"github.com/esasim/esasim/appliance/network"
)

// Dial implements network.Transport. A connect that takes longer than Options.ConnectTimeout
// fails with ETIMEDOUT. ECONNRESET means that the connection was reset as soon as it was
// established.
func (h *Host) Dial(ctx context.Context, c network.DialConfig) (network.Conn, error) {
	c.Local, c.Remote = unmap(c.Local), unmap(c.Remote)
	remote := net.TCPAddrFromAddrPort(c.Remote)
	fail := func(call string, err error) (network.Conn, error) {
		return nil, opError("dial", call, "tcp", nil, remote, err)
	}
	if ctx.Err() != nil {
		return fail("connect", context.Cause(ctx))
	}
	nic, err := h.nicID(c.Interface)
	if err != nil {
		return fail("bind", err)
	}
	q := new(waiter.Queue)
	ep, terr := h.stack.NewEndpoint(tcp.ProtocolNumber, protocolOf(c.Remote.Addr()), q)
	if terr != nil {
		return fail("socket", errno(terr))
	}
	s := &socket{owner: c.Owner, user: c.User}
	x := h.newConn(ep, q, s)
	if !h.sockets.add(s) {
		x.Close()
		return fail("socket", net.ErrClosed)
	}
	setTTL(ep, c.TTL, protocolOf(c.Remote.Addr()))
	ep.SocketOptions().SetDelayOption(c.Delay)
	if nic != 0 {
		if terr := ep.SocketOptions().SetBindToDevice(int32(nic)); terr != nil {
			x.Close()
			return fail("bind", errno(terr))
		}
	}
	if bound(c.Local) {
		nic = h.outgoingNIC(nic, c.Local.Addr(), c.Remote.Addr())
		if terr := ep.Bind(h.fullAddress(c.Local, nic)); terr != nil {
			x.Close()
			return fail("bind", errno(terr))
		}
	}
	if err := x.connect(ctx, h.fullAddress(c.Remote, nic)); err != nil {
		x.Close()
		return fail("connect", err)
	}
	return x, nil
}

// connect opens the connection and blocks until the handshake has ended or ctx is done.
func (c *conn) connect(ctx context.Context, to tcpip.FullAddress) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.host.options.ConnectTimeout, syscall.ETIMEDOUT)
	defer cancel()
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	err := c.ep.Connect(to)
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
	c.finishHandshake(c.host.options.MaxReceiveBuffer)
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
