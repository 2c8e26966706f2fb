package upload

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// addresses returns the server's addresses.
func (u *Uploader) addresses() ([]netip.Addr, error) {
	addrs, err := resolve(u.ctx, u.o.Lookup, u.settings.Host)
	if err != nil {
		return nil, &stepError{"Failed to connect to " + u.settings.Host + ": ", err}
	}
	return addrs, nil
}

func resolve(ctx context.Context, ask func(context.Context, string) ([]netip.Addr, error),
	host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := ask(ctx, host)
	if err != nil || len(addrs) == 0 {
		return nil, errNameNotResolved
	}
	return addrs, nil
}

// A dialer opens connections that are aborted when ctx ends, and fail if the peer falls silent.
type dialer struct {
	net                         network.Transport
	owner, user                 string
	connectTimeout, idleTimeout time.Duration
	ctx                         context.Context
}

func (u *Uploader) dialer() dialer {
	return dialer{u.o.Net, u.o.Owner, u.o.User, u.o.ConnectTimeout, u.o.IdleTimeout, u.ctx}
}

func (d dialer) dial(to netip.AddrPort) (net.Conn, error) {
	bounded, cancel := context.WithTimeoutCause(d.ctx, d.connectTimeout, syscall.ETIMEDOUT)
	defer cancel()
	c, err := d.net.Dial(bounded, network.DialConfig{Remote: to, Owner: d.owner, User: d.user})
	if err != nil {
		if bounded.Err() != nil {
			err = context.Cause(bounded)
		}
		return nil, err
	}
	return &idleTimeoutConn{c, d.idleTimeout, context.AfterFunc(d.ctx, c.Abort)}, nil
}

// An idleTimeoutConn fails if the peer neither accepts nor sends anything for a while.
type idleTimeoutConn struct {
	network.Conn
	idleTimeout time.Duration
	stopAbort   func() bool
}

func (c *idleTimeoutConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(clock.System().Now().Add(c.idleTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *idleTimeoutConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(clock.System().Now().Add(c.idleTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *idleTimeoutConn) Close() error {
	c.stopAbort()
	return c.Conn.Close()
}
