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

// A Conn is a connection to an SMTP server. It is for one goroutine.
type Conn struct {
	net        net.Conn
	r          *bufio.Reader
	w          *bufio.Writer
	hello      string
	timeouts   Timeouts
	extensions map[string]string // by name in upper case
}

// LocalAddr is the appliance's end.
func (c *Conn) LocalAddr() net.Addr { return c.net.LocalAddr() }

// RemoteAddr is the server's end.
func (c *Conn) RemoteAddr() net.Addr { return c.net.RemoteAddr() }

// Close closes the connection without a word. Closing twice is allowed.
func (c *Conn) Close() error { return c.net.Close() }

// Greeting waits for the server to greet.
func (c *Conn) Greeting(ctx context.Context) (Reply, error) {
	return c.step(ctx, Greeting, c.timeouts.Greeting, 220, nil)
}

// Hello introduces the appliance with EHLO, or, where the server does not accept
// that for good, with HELO. The step of an error says which.
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

// extensions reads what the lines after the first of a reply to EHLO offer.
func extensions(text string) map[string]string {
	offered := map[string]string{}
	for _, line := range strings.Split(text, "\n")[1:] {
		name, params, _ := strings.Cut(line, " ")
		offered[strings.ToUpper(name)] = params
	}
	return offered
}

// Extended reports whether the server accepted EHLO; otherwise it knows HELO only.
func (c *Conn) Extended() bool { return c.extensions != nil }

// Extension reports whether the server offers an extension, and its parameters.
func (c *Conn) Extension(name string) (params string, ok bool) {
	params, ok = c.extensions[strings.ToUpper(name)]
	return params, ok
}

// StartTLS goes on in TLS; Hello must be said again after it (RFC 3207).
func (c *Conn) StartTLS(ctx context.Context, config *tls.Config) (Reply, error) {
	if _, ok := c.Extension("STARTTLS"); !ok {
		return Reply{}, &Error{Step: StartTLS, Err: ErrNoTLS}
	}
	r, err := c.command(ctx, StartTLS, c.timeouts.Command, 220, "STARTTLS")
	if err != nil {
		return r, err
	}
	if c.r.Buffered() > 0 { // somebody put words before the handshake that must not count after it
		return r, &Error{Step: StartTLS, Err: fmt.Errorf("%w: text before the handshake", ErrMalformed)}
	}
	secure := tls.Client(c.net, config)
	c.setConn(secure)
	c.extensions = nil
	if err := c.withTimeout(ctx, c.timeouts.Command, func() error { return secure.HandshakeContext(ctx) }); err != nil {
		return r, &Error{Step: StartTLS, Err: err}
	}
	return r, nil
}

// Params are what MAIL FROM may tell of a message.
type MailParams struct {
	Size     int64 // bytes, told where the server offers SIZE; 0: not told
	EightBit bool  // it has bytes over 127: told where the server offers 8BITMIME
}

// Mail begins a transaction. An empty from is the sender of bounces.
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

// Rcpt names a recipient; it is called once for each.
func (c *Conn) Rcpt(ctx context.Context, to string) (Reply, error) {
	if err := checkAddress(to); err != nil {
		return Reply{}, &Error{Step: RcptTo, Err: err}
	}
	return c.command(ctx, RcptTo, c.timeouts.Rcpt, 250, "RCPT TO:<"+to+">")
}

// checkAddress refuses what would end the path or the line.
func checkAddress(a string) error {
	if strings.ContainsAny(a, "\r\n\x00<>") {
		return fmt.Errorf("%q is no mail address", a)
	}
	return nil
}

// Data asks to send the message. After it, Body must follow.
func (c *Conn) Data(ctx context.Context) (Reply, error) {
	return c.command(ctx, Data, c.timeouts.Data, 354, "DATA")
}

// Body sends the message, with "\n" or "\r\n" at the ends of its lines, and waits for
// the server's judgement. Lines that begin with a dot get a second one.
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
	if err != nil && ctx.Err() == nil { // a server that hangs up in the middle may have said why
		if r, refused := c.step(ctx, Body, c.timeouts.Quit, 250, nil); r.Code != 0 && refused != nil {
			return r, refused
		}
	}
	if err != nil {
		return Reply{}, &Error{Step: Body, Err: err}
	}
	return c.step(ctx, Body, c.timeouts.Termination, 250, nil)
}

// A writer is a function that writes.
type writerFunc func(p []byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }

// Reset gives up the transaction; another may begin.
func (c *Conn) Reset(ctx context.Context) (Reply, error) {
	return c.command(ctx, Reset, c.timeouts.Command, 250, "RSET")
}

// Quit says goodbye, waits for the answer, and closes the connection in any case.
func (c *Conn) Quit(ctx context.Context) (Reply, error) {
	defer c.Close()
	return c.command(ctx, Quit, c.timeouts.Quit, 221, "QUIT")
}

func (c *Conn) command(ctx context.Context, s Step, limit time.Duration, want int, line string) (Reply, error) {
	return c.step(ctx, s, limit, want, func() error {
		if _, err := c.w.WriteString(line + "\r\n"); err != nil {
			return err
		}
		return c.w.Flush()
	})
}

// step sends something, if send is not nil, and reads the reply. A refusal is
// returned both ways.
func (c *Conn) step(ctx context.Context, s Step, limit time.Duration, want int, send func() error) (Reply, error) {
	var r Reply
	err := c.withTimeout(ctx, limit, func() (err error) {
		if send != nil {
			err = send()
		}
		if err == nil {
			r, err = readReply(c.r)
		}
		return err
	})
	switch {
	case err != nil:
		return Reply{}, &Error{Step: s, Err: err}
	case !r.Positive():
		return r, &Error{Step: s, Reply: r}
	case r.Code/100 != want/100: // the second and third digit are advice (RFC 5321 4.3.2)
		return r, &Error{Step: s, Reply: r, Err: fmt.Errorf("%w: %v", ErrUnexpected, r)}
	}
	return r, nil
}

// bounded calls do, which uses the connection, and cuts it short at the limit and
// when ctx ends; then it returns ctx's cause.
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
