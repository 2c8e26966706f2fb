package mail

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A Conn is a connection to an SMTP server. It must be used by one goroutine at a time.
type Conn struct {
	net        net.Conn
	tls        *tls.Conn // nil before StartTLS
	r          *bufio.Reader
	w          *bufio.Writer
	hello      string
	timeouts   Timeouts
	extensions map[string]string // parameters by name in upper case; nil before EHLO is accepted
	record     func(sent bool, line string)
}

// LocalAddr returns the appliance's address.
func (c *Conn) LocalAddr() net.Addr { return c.net.LocalAddr() }

// RemoteAddr returns the server's address.
func (c *Conn) RemoteAddr() net.Addr { return c.net.RemoteAddr() }

// Close closes the connection without QUIT. It may be called more than once.
func (c *Conn) Close() error { return c.net.Close() }

// Greeting waits for the server's greeting.
func (c *Conn) Greeting(ctx context.Context) (Reply, error) {
	return c.step(ctx, Greeting, c.timeouts.Greeting, 220, nil)
}

// Hello sends EHLO or, if the server refuses that with a permanent code, HELO. The step of an
// error says which of them failed.
func (c *Conn) Hello(ctx context.Context) (Reply, error) {
	c.extensions = nil
	r, err := c.command(ctx, Ehlo, c.timeouts.Command, 250, "EHLO "+c.hello)
	if err == nil {
		c.extensions = extensions(r.Text)
		return r, nil
	}
	if r.Code < 500 {
		return r, err
	}
	return c.command(ctx, Helo, c.timeouts.Command, 250, "HELO "+c.hello)
}

// extensions returns the extensions that the lines after the first of a reply to EHLO offer.
func extensions(text string) map[string]string {
	offered := map[string]string{}
	for _, line := range strings.Split(text, "\n")[1:] {
		name, params, _ := strings.Cut(line, " ")
		offered[strings.ToUpper(name)] = params
	}
	return offered
}

// Extended reports whether the server accepted EHLO. Otherwise it knows HELO only.
func (c *Conn) Extended() bool { return c.extensions != nil }

// Extension returns the parameters of an extension; ok reports whether the server offers it.
func (c *Conn) Extension(name string) (params string, ok bool) {
	params, ok = c.extensions[strings.ToUpper(name)]
	return params, ok
}

// StartTLS starts TLS. Hello must be called again afterwards (RFC 3207).
func (c *Conn) StartTLS(ctx context.Context, config *tls.Config) (Reply, error) {
	if _, ok := c.Extension("STARTTLS"); !ok {
		return Reply{}, &Error{Step: StartTLS, Err: ErrNoTLS}
	}
	r, err := c.command(ctx, StartTLS, c.timeouts.Command, 220, "STARTTLS")
	if err != nil {
		return r, err
	}
	if c.r.Buffered() > 0 { // injected before the handshake; it must not count after it
		return r, &Error{Step: StartTLS, Err: fmt.Errorf("%w: text before the handshake",
			ErrMalformed)}
	}
	secure := tls.Client(c.net, config)
	c.setConn(secure)
	c.extensions = nil
	if err := c.withTimeout(ctx, c.timeouts.Command, func() error {
		return secure.HandshakeContext(ctx)
	}); err != nil {
		return r, &Error{Step: StartTLS, Err: err}
	}
	c.tls = secure
	return r, nil
}

// TLS returns the state of the connection's TLS; ok is false if TLS has not started.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	if c.tls == nil {
		return state, false
	}
	return c.tls.ConnectionState(), true
}

// MailParams are the parameters of MAIL FROM.
type MailParams struct {
	Size     int64 // of the message in bytes; sent if the server offers SIZE; 0: not sent
	EightBit bool  // the message has bytes above 127; sent if the server offers 8BITMIME
}

// Mail begins a transaction. The sender of bounces is "".
func (c *Conn) Mail(ctx context.Context, from string, p MailParams) (Reply, error) {
	if err := checkAddress(from); err != nil {
		return Reply{}, &Error{Step: MailFrom, Err: err}
	}
	line := "MAIL FROM:<" + from + ">"
	if _, ok := c.Extension("SIZE"); ok && p.Size > 0 {
		line += fmt.Sprintf(" SIZE=%d", p.Size)
	}
	if _, ok := c.Extension("8BITMIME"); ok && p.EightBit {
		line += " BODY=8BITMIME"
	}
	return c.command(ctx, MailFrom, c.timeouts.Mail, 250, line)
}

// Rcpt adds a recipient.
func (c *Conn) Rcpt(ctx context.Context, to string) (Reply, error) {
	if err := checkAddress(to); err != nil {
		return Reply{}, &Error{Step: RcptTo, Err: err}
	}
	return c.command(ctx, RcptTo, c.timeouts.Rcpt, 250, "RCPT TO:<"+to+">")
}

// checkAddress returns an error if a has characters that would end the path or the command.
func checkAddress(a string) error {
	if strings.ContainsAny(a, "\r\n\x00<>") {
		return fmt.Errorf("%q is not a mail address", a)
	}
	return nil
}

// Data asks for permission to send the message. If it succeeds, Body must follow.
func (c *Conn) Data(ctx context.Context) (Reply, error) {
	return c.command(ctx, Data, c.timeouts.Data, 354, "DATA")
}

// Body sends the message, whose lines may end in "\n" or "\r\n", and waits for the server's
// reply. Lines that begin with a dot get a second one.
func (c *Conn) Body(ctx context.Context, message io.Reader) (Reply, error) {
	block := func(do func() error) error { return c.withTimeout(ctx, c.timeouts.Block, do) }
	dots := textproto.NewWriter(c.w).DotWriter()
	_, err := io.Copy(writerFunc(func(p []byte) (n int, err error) {
		err = block(func() error { n, err = dots.Write(p); return err })
		return n, err
	}), message)
	if err == nil {
		err = block(dots.Close)
	}
	if err != nil && ctx.Err() == nil { // the server may have sent a reply before it closed
		if r, refused := c.step(ctx, Body, c.timeouts.Quit, 250, nil); r.Code != 0 &&
			refused != nil {
			return r, refused
		}
	}
	if err != nil {
		return Reply{}, &Error{Step: Body, Err: err}
	}
	return c.step(ctx, Body, c.timeouts.Termination, 250, nil)
}

// A writerFunc is a function that implements io.Writer.
type writerFunc func(p []byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }

// Reset aborts the transaction; another may begin.
func (c *Conn) Reset(ctx context.Context) (Reply, error) {
	return c.command(ctx, Reset, c.timeouts.Command, 250, "RSET")
}

// Quit sends QUIT, waits for the reply, and closes the connection in any case.
func (c *Conn) Quit(ctx context.Context) (Reply, error) {
	defer c.Close()
	return c.command(ctx, Quit, c.timeouts.Quit, 221, "QUIT")
}

func (c *Conn) command(ctx context.Context, s Step, limit time.Duration, want int,
	line string) (Reply, error) {
	return c.step(ctx, s, limit, want, func() error {
		c.record(true, line)
		if _, err := c.w.WriteString(line + "\r\n"); err != nil {
			return err
		}
		return c.w.Flush()
	})
}

// step calls send, unless it is nil, and reads the reply. A negative reply is returned both as a
// Reply and in the error.
func (c *Conn) step(ctx context.Context, s Step, limit time.Duration, want int,
	send func() error) (Reply, error) {
	var r Reply
	err := c.withTimeout(ctx, limit, func() (err error) {
		if send != nil {
			err = send()
		}
		if err == nil {
			r, err = readReply(c.r, func(line string) { c.record(false, line) })
		}
		return err
	})
	switch {
	case err != nil:
		return Reply{}, &Error{Step: s, Err: err}
	case !r.Positive():
		return r, &Error{Step: s, Reply: r}
	case r.Code/100 != want/100: // only the first digit decides (RFC 5321 4.3.2)
		return r, &Error{Step: s, Reply: r, Err: fmt.Errorf("%w: %v", ErrUnexpected, r)}
	}
	return r, nil
}

// withTimeout calls do, which uses the connection, and interrupts it when the time is up or ctx
// ends. In the latter case it returns ctx's cause.
func (c *Conn) withTimeout(ctx context.Context, limit time.Duration, do func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	n := c.net
	n.SetDeadline(clock.System().Now().Add(limit))
	defer context.AfterFunc(ctx, func() { n.SetDeadline(time.Unix(1, 0)) })()
	err := do()
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return nil
}
