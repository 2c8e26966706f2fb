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

// addresses are the server's.
func (p *Uploader) addresses() ([]netip.Addr, error) {
	addrs, err := lookup(p.life, p.o.Lookup, p.settings.Host)
	if err != nil {
		return nil, &failure{"Failed to connect to " + p.settings.Host + ": ", err}
	}
	return addrs, nil
}

func lookup(ctx context.Context, ask func(context.Context, string) ([]netip.Addr, error), host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := ask(ctx, host)
	if err != nil || len(addrs) == 0 {
		return nil, errNoName
	}
	return addrs, nil
}

// A dialer opens connections that end with a context, and with a peer that falls silent.
type dialer struct {
	net           network.Transport
	owner, user   string
	connect, idle time.Duration
	life          context.Context
}

func (p *Uploader) dialer() dialer {
	return dialer{p.o.Net, p.o.Owner, p.o.User, p.o.ConnectTimeout, p.o.IdleTimeout, p.life}
}

func (d dialer) dial(to netip.AddrPort) (net.Conn, error) {
	bounded, cancel := context.WithTimeoutCause(d.life, d.connect, syscall.ETIMEDOUT)
	defer cancel()
	c, err := d.net.Dial(bounded, network.DialConfig{Remote: to, Owner: d.owner, User: d.user})
	if err != nil {
		if bounded.Err() != nil {
			err = context.Cause(bounded)
		}
		return nil, err
	}
	return &conn{c, d.idle, context.AfterFunc(d.life, c.Abort)}, nil
}

// A conn gives up on a peer that neither takes nor sends anything for a while.
type conn struct {
	network.Conn
	idle time.Duration
	stop func() bool
}

func (c *conn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(clock.System().Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(clock.System().Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}
