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

// Timeouts bound the steps of a conversation. The names are those of RFC 5321, section 4.5.3.2.
type Timeouts struct {
	Connect     time.Duration
	Greeting    time.Duration
	Command     time.Duration // EHLO, HELO, STARTTLS with its handshake, RSET
	Mail        time.Duration
	Rcpt        time.Duration
	Data        time.Duration // for the reply to DATA
	Block       time.Duration // for sending one block of the message
	Termination time.Duration // for the reply to the whole message
	Quit        time.Duration
}

// DefaultTimeouts returns the time-outs of RFC 5321 (4.5.3.2), and BSD's for connecting.
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

// AtMost returns t with all time-outs above limit reduced to limit.
func (t Timeouts) AtMost(limit time.Duration) Timeouts {
	for _, p := range []*time.Duration{
		&t.Connect, &t.Greeting, &t.Command, &t.Mail, &t.Rcpt, &t.Data, &t.Block, &t.Termination,
		&t.Quit,
	} {
		*p = min(*p, limit)
	}
	return t
}

// Options configure a Client.
type Options struct {
	Net      network.Transport
	Hello    func() string // returns the host name for EHLO; called for each connection
	Owner    string        // process name in the socket table
	User     string        // of the process
	Timeouts Timeouts      // the zero value means DefaultTimeouts
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

// Timeouts returns the client's time-outs.
func (c *Client) Timeouts() Timeouts { return c.o.Timeouts }

// A Route says where to connect to, and from where.
type Route struct {
	Remote netip.AddrPort
	Local  netip.Addr // zero: chosen by the routing table
	// Record, if not nil, is called with each command, and each line of a reply. It must not block.
	Record func(sent bool, line string)
	// MaxTimeout further bounds every step of this connection; 0 does not.
	MaxTimeout time.Duration
}

// timeouts returns the client's time-outs, bounded by the route's.
func (c *Client) timeouts(r Route) Timeouts {
	if r.MaxTimeout > 0 {
		return c.o.Timeouts.AtMost(r.MaxTimeout)
	}
	return c.o.Timeouts
}

// Dial connects. The server's greeting is the next step. The caller must close the Conn.
func (c *Client) Dial(ctx context.Context, r Route) (*Conn, error) {
	t := c.timeouts(r)
	n, err := c.connect(ctx, r, t.Connect)
	if err != nil {
		return nil, &Error{Step: Connect, Err: err}
	}
	conn := &Conn{hello: c.o.Hello(), timeouts: t, record: r.Record}
	if conn.record == nil {
		conn.record = func(bool, string) {}
	}
	conn.setConn(n)
	return conn, nil
}

// SpeaksTLS reports whether the server at r answers the first message of TLS on a connection of
// its own. It is for servers that send no greeting.
func (c *Client) SpeaksTLS(ctx context.Context, r Route) bool {
	t := c.timeouts(r)
	n, err := c.connect(ctx, r, t.Connect)
	if err != nil {
		return false
	}
	defer n.Close()
	n.SetDeadline(clock.System().Now().Add(t.Command))
	// The caller asks only whether the server speaks TLS, so its certificate does not matter.
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

// setConn makes n the connection and discards what was read from the one before.
func (c *Conn) setConn(n net.Conn) {
	c.net = n
	c.r = bufio.NewReaderSize(n, maxReplyLine)
	c.w = bufio.NewWriter(n)
}

// ErrNoTLS means that the server does not offer STARTTLS.
var ErrNoTLS = errors.New("the server does not offer STARTTLS")
