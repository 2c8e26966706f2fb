package mail

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// Timeouts bound the steps of a conversation.
type Timeouts struct {
	Connect     time.Duration
	Greeting    time.Duration
	Command     time.Duration // EHLO, HELO, STARTTLS with its handshake, RSET
	Mail        time.Duration
	Rcpt        time.Duration
	Data        time.Duration // the answer to DATA
	Block       time.Duration // sending some of the message
	Termination time.Duration // the answer to the whole message
	Quit        time.Duration
}

// DefaultTimeouts are RFC 5321's (4.5.3.2), and for connecting those of a BSD system.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Connect:     75 * time.Second,
		Greeting:    5 * time.Minute,
		Command:     5 * time.Minute,
		Mail:        5 * time.Minute,
		Rcpt:        5 * time.Minute,
		Data:        2 * time.Minute,
		Block:       3 * time.Minute,
		Termination: 10 * time.Minute,
		Quit:        5 * time.Minute,
	}
}

// AtMost returns the time-outs with those over d cut to d.
func (t Timeouts) AtMost(d time.Duration) Timeouts {
	for _, p := range []*time.Duration{&t.Connect, &t.Greeting, &t.Command, &t.Mail, &t.Rcpt, &t.Data, &t.Block, &t.Termination, &t.Quit} {
		*p = min(*p, d)
	}
	return t
}

// Options are a Client's surroundings.
type Options struct {
	Net      network.Transport
	Hello    func() string // the name given with EHLO, as it is now
	Owner    string        // process name as the socket table shows it
	User     string
	Timeouts Timeouts // the zero value means DefaultTimeouts
}

// A Client opens connections to SMTP servers. It is safe for concurrent use.
type Client struct{ o Options }

// New returns a Client.
func New(o Options) *Client {
	if o.Timeouts == (Timeouts{}) {
		o.Timeouts = DefaultTimeouts()
	}
	return &Client{o}
}

// Timeouts are those that the client was given.
func (c *Client) Timeouts() Timeouts { return c.o.Timeouts }

// A Route says where a connection leads.
type Route struct {
	Remote netip.AddrPort
	Local  netip.Addr // zero: by the routing table
	// Most bounds every step of this connection further; 0 does not.
	MaxTimeout time.Duration
}

// timeouts are the client's, bounded by the route's.
func (c *Client) timeouts(r Route) Timeouts {
	if r.MaxTimeout > 0 {
		return c.o.Timeouts.AtMost(r.MaxTimeout)
	}
	return c.o.Timeouts
}

// Dial connects; the server's greeting is the next step. The caller closes the Conn.
func (c *Client) Dial(ctx context.Context, r Route) (*Conn, error) {
	t := c.timeouts(r)
	n, err := c.connect(ctx, r, t.Connect)
	if err != nil {
		return nil, &Error{Step: Connect, Err: err}
	}
	conn := &Conn{hello: c.o.Hello(), timeouts: t}
	conn.setConn(n)
	return conn, nil
}

// SpeaksTLS reports whether the server at r answers TLS's first message, on a
// connection of its own: what a server may do that says nothing of itself.
func (c *Client) SpeaksTLS(ctx context.Context, r Route) bool {
	t := c.timeouts(r)
	n, err := c.connect(ctx, r, t.Connect)
	if err != nil {
		return false
	}
	defer n.Close()
	n.SetDeadline(clock.System().Now().Add(t.Command))
	// It is the answer that counts, not whom it comes from.
	return tls.Client(n, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) == nil
}

func (c *Client) connect(ctx context.Context, r Route, limit time.Duration) (network.Conn, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, limit, syscall.ETIMEDOUT)
	defer cancel()
	n, err := c.o.Net.Dial(bounded, network.DialConfig{
		Local: netip.AddrPortFrom(r.Local, 0), Remote: r.Remote, Owner: c.o.Owner, User: c.o.User,
	})
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return n, err
}

// use makes n the connection, and forgets what was read of another.
func (c *Conn) setConn(n net.Conn) {
	c.net = n
	c.r = bufio.NewReaderSize(n, maxReplyLine)
	c.w = bufio.NewWriter(n)
}

// ErrNoTLS says that the server does not offer STARTTLS.
var ErrNoTLS = errors.New("the server does not offer STARTTLS")
