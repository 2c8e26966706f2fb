package traffic

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/pattern"
)

// A Request is one message to send from a host. All fields but To have a default.
type Request struct {
	Host        string            `json:"host,omitempty"`     // name or address
	Listener    string            `json:"listener,omitempty"` // name; the first public one by default
	From        string            `json:"from,omitempty"`     // "<>" is the empty sender of bounces
	To          []string          `json:"to"`
	Subject     string            `json:"subject,omitempty"`
	Body        string            `json:"body,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"` // more lines of the header
	Attachments []Attachment      `json:"attachments,omitempty"`
	Size        int64             `json:"size,omitempty"` // bytes of lines to add to the body
	// Message is the whole text, instead of Subject and what follows it.
	Message    []byte `json:"message,omitempty"`
	TLS        bool   `json:"tls,omitempty"` // the message is not sent without STARTTLS
	User       string `json:"user,omitempty"`
	Passphrase string `json:"passphrase,omitempty"`
	Hello      string `json:"hello,omitempty"` // the name in EHLO; by default the host's
}

// An Answer is what became of a Request.
type Answer struct {
	Result
	Complete bool            `json:"complete"`        // for all recipients
	Error    string          `json:"error,omitempty"` // why the message was not accepted
	Size     int64           `json:"size"`            // bytes
	Took     netsim.Duration `json:"took"`            // real time
	Replies  []Reply         `json:"replies"`
}

var fieldName = pattern.New(`^[!-9;-~]+$`)

// check reports in one line what is wrong with a request.
func (r *Request) check() error {
	for name, value := range r.Headers {
		if !fieldName().MatchString(name) || strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("headers: %q is no line of a header, expected a name and one line", name)
		}
	}
	for _, a := range r.Attachments {
		if a.Name == "" || strings.ContainsAny(a.Name+a.Type, "\r\n\x00") {
			return fmt.Errorf("attachments: %q is no name of a file", a.Name)
		}
	}
	switch {
	case len(r.To) == 0:
		return errors.New("to: no recipients, expected at least one address")
	case strings.ContainsAny(r.Subject, "\r\n\x00"):
		return errors.New("subject: several lines, expected one")
	case r.Size < 0 || r.Size > int64(topology.MaxMessageSize):
		return fmt.Errorf("size: %d, expected 0 to %d", r.Size, topology.MaxMessageSize)
	case len(r.Message) > 0 && (r.Subject != "" || r.Body != "" || len(r.Headers)+len(r.Attachments) > 0 || r.Size > 0):
		return errors.New("message: the whole text, expected no subject, body, headers, attachments and size besides")
	}
	for _, a := range append([]string{r.From}, r.To...) {
		if a != "<>" && strings.ContainsAny(a, "\r\n\x00<>") {
			return fmt.Errorf("%q is not a mail address, expected one such as joe@example.com", a)
		}
	}
	return nil
}

// message returns the message that is asked for.
func (r *Request) message(hello string, now time.Time) Message {
	m := Message{From: r.From, To: r.To}
	switch r.From {
	case "":
		m.From = "postmaster@" + hello
	case "<>":
		m.From = ""
	}
	if len(r.Message) > 0 {
		m.Text = Raw(r.Message)
		return m
	}
	body := strings.TrimSuffix(strings.ReplaceAll(r.Body, "\r\n", "\n"), "\n")
	m.Text = Compose(Parts{
		From: m.From, To: strings.Join(r.To, ", "), Subject: r.Subject, Date: now, Headers: r.Headers,
		Lines: strings.Split(body, "\n"), Attachments: r.Attachments, Boundary: "=_part-of-this-message",
		Filler: r.Size,
	})
	return m
}

// DefaultHost returns the host that clients of the doors on 127.0.0.1 have, or the first one; nil if
// there is none.
func DefaultHost(t *topology.Topology) *topology.Host {
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for _, s := range t.Doors.SeenAs {
		if s.From.Contains(local) {
			if h := t.FindHost(s.As.Addr().String()); h != nil {
				return h
			}
		}
	}
	if len(t.Hosts) == 0 {
		return nil
	}
	return &t.Hosts[0]
}

// Send sends one message over a way that the caller has found. The error says in one line what is
// wrong with the request. A message that was not accepted is no error: the Answer says so.
func Send(ctx context.Context, c Client, r Request, now time.Time) (Answer, error) {
	if err := r.check(); err != nil {
		return Answer{}, err
	}
	if r.Hello != "" {
		c.Hello = r.Hello
	}
	if r.TLS {
		c.TLS = TLSAlways
	}
	c.User, c.Passphrase = r.User, r.Passphrase
	a := Answer{Replies: []Reply{}}
	c.Observe = func(reply Reply) { a.Replies = append(a.Replies, reply) }
	m := r.message(c.Hello, now)
	a.Size = m.Text.Size()
	began := clock.System().Mark()
	a.Result = c.Send(ctx, m)
	a.Took = netsim.Duration(since(began))
	a.Complete = a.Accepted && len(a.Refused) == 0
	a.Error = a.Explain()
	return a, nil
}
