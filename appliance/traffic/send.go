package traffic

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/network"
)

// stepTimeout bounds each step of a conversation, in real time. It is above the five minutes after
// which the appliance gives a client up.
const stepTimeout = 6 * time.Minute

// A TLSUse says whether a client uses STARTTLS.
type TLSUse string

// The uses of TLS. The zero value is that of clients that never use it.
const (
	TLSNever     TLSUse = ""
	TLSIfOffered TLSUse = "offered"
	TLSAlways    TLSUse = "always" // a message is not sent without it
)

// A Client is a simulated host as a client of the appliance's SMTP listener.
type Client struct {
	Net        network.Transport // of the simulated hosts
	Local      netip.Addr        // of the host
	Remote     netip.AddrPort    // of the listener
	Hello      string            // the name in EHLO
	TLS        TLSUse
	User       string // for AUTH; "": without
	Passphrase string
	// ServerName is the name that the certificate of the appliance is asked for. Certificates are not
	// verified, as most senders of mail do not.
	ServerName string
	// Observe is called with every reply, in their order; nil: with none.
	Observe func(Reply)
}

// A Reply is what the listener said to a step of the conversation.
type Reply struct {
	Step  string   `json:"step"`         // "greeting", "EHLO", "RCPT TO", "message body"
	To    string   `json:"to,omitempty"` // the recipient of RCPT TO
	Code  int      `json:"code"`
	Lines []string `json:"lines"` // as they were received
}

// A Result is what became of a message.
type Result struct {
	Accepted   bool   `json:"accepted"`          // the listener has taken it, for the recipients that it accepted
	Recipients int    `json:"recipients"`        // that were accepted; 0 unless Accepted
	Refused    []int  `json:"refused,omitempty"` // codes of the recipients that were refused
	Code       int    `json:"code,omitempty"`    // of the reply that decided; 0: there was none
	Step       string `json:"step,omitempty"`    // of that reply, or in which there was none
	TLS        string `json:"tls,omitempty"`     // version and cipher; "": none
	Err        error  `json:"-"`
}

// A connection is a conversation that has begun.
type connection struct {
	client *Client
	conn   *mail.Conn
	tls    string
}

// dial connects and says hello. The error has a Result.
func (c *Client) dial(ctx context.Context) (*connection, error) {
	smtp := mail.New(mail.Options{
		Net: c.Net, Hello: func() string { return c.Hello },
		Timeouts: mail.DefaultTimeouts().AtMost(stepTimeout),
	})
	conn, err := smtp.Dial(ctx, mail.Route{Remote: c.Remote, Local: c.Local})
	if err != nil {
		return nil, err
	}
	x := &connection{client: c, conn: conn}
	if err := x.begin(ctx); err != nil {
		if answered(err) { // a client that is refused says QUIT too (RFC 5321 3.1)
			x.quit(ctx)
		}
		conn.Close()
		return nil, err
	}
	return x, nil
}

// begin does the steps before the first message.
func (x *connection) begin(ctx context.Context) error {
	greeting, err := x.conn.Greeting(ctx)
	if err = x.saw(mail.Greeting, "", greeting, err); err != nil {
		return err
	}
	hello := func() error {
		r, err := x.conn.Hello(ctx)
		return x.saw(mail.Ehlo, "", r, err)
	}
	if err := hello(); err != nil {
		return err
	}
	_, offered := x.conn.Extension("STARTTLS")
	if x.client.TLS == TLSAlways || x.client.TLS == TLSIfOffered && offered {
		r, err := x.conn.StartTLS(ctx, x.tlsConfig())
		if err = x.saw(mail.StartTLS, "", r, err); err != nil {
			return err
		}
		if err := hello(); err != nil {
			return err
		}
	}
	if x.client.User == "" {
		return nil
	}
	r, err := x.conn.Auth(ctx, x.client.User, x.client.Passphrase)
	return x.saw(mail.Auth, "", r, err)
}

func (x *connection) tlsConfig() *tls.Config {
	return &tls.Config{
		ServerName: x.client.ServerName, InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			x.tls = tls.VersionName(s.Version) + " " + tls.CipherSuiteName(s.CipherSuite)
			return nil
		},
	}
}

// saw tells the observer of a reply. It returns err.
func (x *connection) saw(step mail.Step, to string, r mail.Reply, err error) error {
	if x.client.Observe != nil && r.Code != 0 {
		x.client.Observe(Reply{Step: string(step), To: to, Code: r.Code, Lines: linesOf(r)})
	}
	return err
}

// linesOf returns the lines of a reply with their codes.
func linesOf(r mail.Reply) []string {
	lines := strings.Split(r.Text, "\n")
	for i, l := range lines {
		if r.Enhanced != "" {
			l = strings.TrimSuffix(r.Enhanced+" "+l, " ")
		}
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		lines[i] = fmt.Sprintf("%d%s%s", r.Code, sep, l)
	}
	return lines
}

// send sends a message. usable reports whether the connection can carry another one.
func (x *connection) send(ctx context.Context, m Message) (result Result, usable bool) {
	result.TLS = x.tls
	r, err := x.conn.Mail(ctx, m.From, mail.MailParams{Size: m.Text.Size(), EightBit: m.Text.EightBit()})
	if err = x.saw(mail.MailFrom, "", r, err); err != nil {
		return failed(result, err), answered(err) && r.Code != 421
	}
	accepted := 0
	var last error
	for _, to := range m.To {
		r, err := x.conn.Rcpt(ctx, to)
		if err = x.saw(mail.RcptTo, to, r, err); err != nil {
			if last = err; !answered(err) || r.Code == 421 {
				return failed(result, err), false
			}
			result.Refused = append(result.Refused, r.Code)
			continue
		}
		accepted++
	}
	if accepted == 0 {
		r, err := x.conn.Reset(ctx)
		return failed(result, last), x.saw(mail.Reset, "", r, err) == nil
	}
	if r, err = x.conn.Data(ctx); err == nil {
		_ = x.saw(mail.Data, "", r, nil)
		r, err = x.conn.Body(ctx, m.Text.Open())
		err = x.saw(mail.Body, "", r, err)
	} else {
		err = x.saw(mail.Data, "", r, err)
	}
	if err != nil {
		return failed(result, err), answered(err) && r.Code != 421
	}
	result.Accepted, result.Recipients, result.Code = true, accepted, r.Code
	result.Step = string(mail.Body)
	return result, true
}

// quit ends the conversation.
func (x *connection) quit(ctx context.Context) {
	r, err := x.conn.Quit(ctx)
	_ = x.saw(mail.Quit, "", r, err)
}

// answered reports whether err is the listener's reply, so that the conversation goes on.
func answered(err error) bool {
	var e *mail.Error
	return errors.As(err, &e) && e.Err == nil
}

// failed returns the result of a message that was not accepted.
func failed(r Result, err error) Result {
	r.Err = err
	var e *mail.Error
	if errors.As(err, &e) {
		r.Code, r.Step = e.Reply.Code, string(e.Step)
	}
	return r
}

// Send sends one message on a connection of its own. It blocks until the listener has replied to
// all of it, or a step has failed.
func (c *Client) Send(ctx context.Context, m Message) Result {
	x, err := c.dial(ctx)
	if err != nil {
		return failed(Result{}, err)
	}
	result, usable := x.send(ctx, m)
	if usable {
		x.quit(ctx)
	}
	x.conn.Close() //nolint:errcheck // the result is known
	return result
}

// Explain returns why a message was not accepted, in words; "" if it was.
func (r Result) Explain() string {
	var e *mail.Error
	switch {
	case r.Err == nil:
		return ""
	case r.Code != 0 && errors.As(r.Err, &e):
		return fmt.Sprintf("%s was refused: %v", r.Step, e.Reply)
	case errors.As(r.Err, &e):
		if text, ok := network.ErrorText(e.Err); ok {
			return fmt.Sprintf("%s failed: %s", e.Step, text)
		}
		return fmt.Sprintf("%s failed: %v", e.Step, e.Err)
	}
	return r.Err.Error()
}

// since returns the real time that has passed since m, a mark of the machine's clock.
func since(m clock.Mark) time.Duration { return clock.System().Since(m) }
