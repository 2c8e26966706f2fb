package peers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/mail"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/esasim/esasim/appliance/network"
)

var _ = register(Kind{
	Name: "mx",
	Port: 25,
	Options: map[string]func(string) error{
		"hostname":    nil,
		"banner":      nil,
		"connect":     checkAnswer,
		"ehlo":        checkAnswer,
		"helo":        checkAnswer,
		"mail":        checkAnswer,
		"rcpt":        checkAnswer,
		"data":        checkAnswer,
		"end":         checkAnswer,
		"times":       checkCount,
		"delay":       checkDelay,
		"starttls":    checkSwitch,
		"tls":         checkTLS,
		"require_tls": checkSwitch,
		"close":       checkCount,
		"size":        checkCount,
	},
	New: func(c Config) Peer {
		return &MailExchanger{config: c, manners: mannersOf(c), gates: map[*gate]bool{}, more: make(chan struct{})}
	},
})

// What a MailExchanger keeps; the oldest mails go first.
const (
	maxMails     = 500
	maxMailBytes = 16 << 20
)

// smtpIdle is how long a MailExchanger waits for a command (RFC 5321 4.5.3.2.7).
const smtpIdle = 5 * time.Minute

// A Mail is one that a MailExchanger has taken.
type Mail struct {
	Time   time.Time      `json:"time"`
	Client netip.AddrPort `json:"client"`
	Hello  string         `json:"hello"` // the client's name for itself
	TLS    bool           `json:"tls"`
	From   string         `json:"from"`
	To     []string       `json:"to"`
	Data   []byte         `json:"-"` // header and body, without the dots of the wire
}

// Subject is that of the mail's header, "" if there is none.
func (m Mail) Subject() string {
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		return ""
	}
	return parsed.Header.Get("Subject")
}

// A MailExchanger takes mail (RFC 5321) and keeps it. It is go-smtp's server behind
// a gate that has the manners the options ask for: see gate.
type MailExchanger struct {
	config  Config
	manners manners
	server  *smtp.Server
	life    context.Context // of its connections
	end     context.CancelFunc
	serving sync.WaitGroup

	certify     sync.Once
	certificate *tls.Certificate
	certifyErr  error

	mu          sync.Mutex
	listeners   []network.Listener
	gates       map[*gate]bool
	stopped     bool
	connections int
	refused     map[string]int // answers of options, by option
	mails       []Mail
	bytes       int
	total       int
	more        chan struct{} // closed when mails grows, and replaced
}

// Start listens on the host's addresses.
func (x *MailExchanger) Start(ctx context.Context) error {
	listeners, err := listen(ctx, x.config)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.listeners, x.stopped, x.refused = listeners, false, map[string]int{}
	x.life, x.end = context.WithCancel(context.Background())
	x.server = smtp.NewServer(smtp.BackendFunc(x.newSession))
	x.server.Domain = x.manners.hostname
	x.server.MaxMessageBytes = x.manners.size
	x.server.ReadTimeout, x.server.WriteTimeout = smtpIdle, smtpIdle
	x.server.ErrorLog = slog.NewLogLogger(x.config.Logger.Handler(), slog.LevelDebug)
	for _, l := range listeners {
		x.serving.Go(func() { x.serve(x.server, l) })
	}
	return nil
}

func (x *MailExchanger) serve(s *smtp.Server, l network.Listener) {
	if err := s.Serve(gateway{l, x}); err != nil && !errors.Is(err, net.ErrClosed) {
		x.config.Logger.Error("a simulated server stopped accepting", "server", x.config.Name, "error", err)
	}
}

// Stop cuts the connections and waits for their goroutines.
func (x *MailExchanger) Stop() {
	x.mu.Lock()
	x.stopped = true
	server := x.server
	if server != nil {
		x.end()
	}
	for _, l := range x.listeners {
		l.Close()
	}
	for g := range x.gates {
		g.wire.Abort()
	}
	x.mu.Unlock()
	x.serving.Wait()
	if server != nil {
		_ = server.Shutdown(context.Background()) // waits for the connections; the second time it has nothing to do
	}
}

// A gateway accepts connections for go-smtp's server.
type gateway struct {
	network.Listener
	x *MailExchanger
}

func (l gateway) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	l.x.mu.Lock()
	defer l.x.mu.Unlock()
	g := newGate(l.x, c)
	l.x.gates[g] = true
	l.x.connections++
	if l.x.stopped {
		c.Abort()
	}
	return g, nil
}

func (x *MailExchanger) forget(g *gate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.gates, g)
}

// refusal is the answer that an option has for a step, as long as it lasts.
func (x *MailExchanger) refusal(step string) (answer, bool) {
	a, ok := x.manners.answers[step]
	if !ok {
		return a, false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.manners.times > 0 && x.refused[step] >= x.manners.times {
		return a, false
	}
	x.refused[step]++
	return a, true
}

func (x *MailExchanger) newSession(c *smtp.Conn) (smtp.Session, error) {
	return &mailSession{x: x, conn: c, gate: c.Conn().(*gate)}, nil
}

// A mailSession is what go-smtp's server tells of a connection.
type mailSession struct {
	x    *MailExchanger
	conn *smtp.Conn
	gate *gate
	from string
	to   []string
}

// Reset forgets the transaction.
func (s *mailSession) Reset() { s.from, s.to = "", nil }

// Logout is the end of the connection.
func (*mailSession) Logout() error { return nil }

// Mail begins a transaction.
func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from, s.to = from, nil
	return nil
}

// Rcpt notes a recipient.
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data reads the message and keeps it, unless the option end has something against it.
func (s *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, maxMailBytes+1))
	if err != nil {
		return err
	}
	if len(data) > maxMailBytes {
		return smtp.ErrDataTooLarge
	}
	if a, ok := s.x.refusal("end"); ok {
		return a.smtpError()
	}
	client, _ := netip.ParseAddrPort(s.gate.RemoteAddr().String())
	s.x.keep(Mail{
		Time: s.x.config.Clock.Now(), Client: client, Hello: s.conn.Hostname(), TLS: s.gate.secure,
		From: s.from, To: s.to, Data: data,
	})
	return nil
}

func (x *MailExchanger) keep(m Mail) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.total++
	x.bytes += len(m.Data)
	x.mails = append(x.mails, m)
	for len(x.mails) > maxMails || x.bytes > maxMailBytes && len(x.mails) > 1 {
		x.bytes -= len(x.mails[0].Data)
		x.mails = slices.Delete(x.mails, 0, 1)
	}
	close(x.more)
	x.more = make(chan struct{})
}

// Mails are those that it took and still keeps, the oldest first: the last 500, and
// 16 MiB of them at most.
func (x *MailExchanger) Mails() []Mail {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.mails)
}

// Await waits until n mails have been taken since the beginning, and returns Mails.
func (x *MailExchanger) Await(ctx context.Context, n int) ([]Mail, error) {
	for {
		x.mu.Lock()
		total, more := x.total, x.more
		x.mu.Unlock()
		if total >= n {
			return x.Mails(), nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d mails came: %w", total, n, context.Cause(ctx))
		}
	}
}

// A MailReport is what a MailExchanger tells of itself.
type MailReport struct {
	Connections int            `json:"connections"`
	Taken       int            `json:"taken"` // mails since the beginning
	Refused     map[string]int `json:"refused,omitempty"`
	Mails       []MailSummary  `json:"mails"` // those that are still kept
}

// A MailSummary is a mail in a MailReport.
type MailSummary struct {
	Mail
	Subject string `json:"subject"`
	Size    int    `json:"size"`
	Text    string `json:"text"` // header and body
}

// Report implements Reporter with a MailReport.
func (x *MailExchanger) Report() any {
	x.mu.Lock()
	r := MailReport{Connections: x.connections, Taken: x.total, Refused: map[string]int{}, Mails: []MailSummary{}}
	for step, n := range x.refused {
		r.Refused[step] = n
	}
	x.mu.Unlock()
	for _, m := range x.Mails() {
		r.Mails = append(r.Mails, MailSummary{Mail: m, Subject: m.Subject(), Size: len(m.Data), Text: string(m.Data)})
	}
	return r
}

// hostnameOf is a peer's name: what the option says, or the DNS.
func hostnameOf(c Config) string {
	name := c.Options["hostname"]
	for _, a := range c.Addrs {
		if c.Records != nil {
			name = cmp.Or(name, c.Records.Names[a])
		}
	}
	return cmp.Or(name, "localhost")
}
