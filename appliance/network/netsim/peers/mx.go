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

// MailKind is the type of mail servers in a topology.
const MailKind = "mx"

var _ = register(Kind{
	Name: MailKind,
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
		return &MailExchanger{config: c, behavior: mxBehaviorOf(c), proxies: map[*smtpProxy]bool{},
			changed: make(chan struct{})}
	},
})

// Bounds of what a MailExchanger stores. When they are reached, the oldest message is removed.
const (
	maxMessages     = 500
	maxMessageBytes = 16 << 20
)

// smtpIdle is how long a MailExchanger waits for a command (RFC 5321 4.5.3.2.7).
const smtpIdle = 5 * time.Minute

// A Message is a mail that a MailExchanger has accepted.
type Message struct {
	ID     int            `json:"id"` // 1 for the first message since the start, then counting up
	Time   time.Time      `json:"time"`
	Client netip.AddrPort `json:"client"`
	Hello  string         `json:"hello"` // the name in the client's EHLO or HELO
	TLS    bool           `json:"tls"`
	From   string         `json:"from"`
	To     []string       `json:"to"`
	Data   []byte         `json:"-"` // header and body, without dot-stuffing
}

// Subject returns the subject in the message's header, or "" if there is none.
func (m Message) Subject() string {
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		return ""
	}
	return parsed.Header.Get("Subject")
}

// A MailExchanger accepts mail (RFC 5321) and stores it. It is go-smtp's server behind a
// proxy that behaves as the options say, see smtpProxy.
type MailExchanger struct {
	config      Config
	behavior    mxBehavior
	server      *smtp.Server
	connCtx     context.Context // of its connections
	cancelConns context.CancelFunc
	serving     sync.WaitGroup

	certify     sync.Once
	certificate *tls.Certificate
	certifyErr  error

	mu          sync.Mutex
	listeners   []network.Listener
	proxies     map[*smtpProxy]bool
	stopped     bool
	connections int
	refused     map[string]int // number of error replies that options caused, by option
	messages    []Message
	bytes       int
	total       int
	changed     chan struct{} // closed and replaced when a message is stored
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
	x.connCtx, x.cancelConns = context.WithCancel(context.Background())
	x.server = smtp.NewServer(smtp.BackendFunc(x.newSession))
	x.server.Domain = x.behavior.hostname
	x.server.MaxMessageBytes = x.behavior.size
	x.server.ReadTimeout, x.server.WriteTimeout = smtpIdle, smtpIdle
	x.server.ErrorLog = slog.NewLogLogger(x.config.Logger.Handler(), slog.LevelDebug)
	for _, l := range listeners {
		x.serving.Go(func() { x.serve(x.server, l) })
	}
	return nil
}

func (x *MailExchanger) serve(s *smtp.Server, l network.Listener) {
	if err := s.Serve(proxyListener{l, x}); err != nil && !errors.Is(err, net.ErrClosed) {
		x.config.Logger.Error("a simulated server cannot accept connections any more",
			"server", x.config.Name, "error", err)
	}
}

// Stop resets the connections and waits for their goroutines.
func (x *MailExchanger) Stop() {
	x.mu.Lock()
	x.stopped = true
	server := x.server
	if server != nil {
		x.cancelConns()
	}
	for _, l := range x.listeners {
		l.Close()
	}
	for g := range x.proxies {
		g.conn.Abort()
	}
	x.mu.Unlock()
	x.serving.Wait()
	if server != nil {
		_ = server.Shutdown(context.Background()) // waits for the connections; a second call returns at once
	}
}

// A proxyListener accepts connections for go-smtp's server, each behind an smtpProxy.
type proxyListener struct {
	network.Listener
	x *MailExchanger
}

func (l proxyListener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	l.x.mu.Lock()
	defer l.x.mu.Unlock()
	g := newSMTPProxy(l.x, c)
	l.x.proxies[g] = true
	l.x.connections++
	if l.x.stopped {
		c.Abort()
	}
	return g, nil
}

func (x *MailExchanger) removeProxy(g *smtpProxy) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.proxies, g)
}

// errorReply returns the error reply that an option demands at a step of the conversation.
// ok is false if there is none, or if it has been sent as often as the options say.
func (x *MailExchanger) errorReply(step string) (answer, bool) {
	a, ok := x.behavior.answers[step]
	if !ok {
		return a, false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.behavior.times > 0 && x.refused[step] >= x.behavior.times {
		return a, false
	}
	x.refused[step]++
	return a, true
}

func (x *MailExchanger) newSession(c *smtp.Conn) (smtp.Session, error) {
	return &mailSession{x: x, conn: c, proxy: c.Conn().(*smtpProxy)}, nil
}

// A mailSession implements smtp.Session for one connection.
type mailSession struct {
	x     *MailExchanger
	conn  *smtp.Conn
	proxy *smtpProxy
	from  string
	to    []string
}

// Reset discards the transaction.
func (s *mailSession) Reset() { s.from, s.to = "", nil }

// Logout does nothing.
func (*mailSession) Logout() error { return nil }

// Mail starts a transaction.
func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from, s.to = from, nil
	return nil
}

// Rcpt adds a recipient.
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data reads the message and stores it, unless the option end demands an error reply.
func (s *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, maxMessageBytes+1))
	if err != nil {
		return err
	}
	if len(data) > maxMessageBytes {
		return smtp.ErrDataTooLarge
	}
	if a, ok := s.x.errorReply("end"); ok {
		return a.smtpError()
	}
	client, _ := netip.ParseAddrPort(s.proxy.RemoteAddr().String())
	s.x.store(Message{
		Time: s.x.config.Clock.Now(), Client: client, Hello: s.conn.Hostname(), TLS: s.proxy.secure,
		From: s.from, To: s.to, Data: data,
	})
	return nil
}

func (x *MailExchanger) store(m Message) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.total++
	m.ID = x.total
	x.bytes += len(m.Data)
	x.messages = append(x.messages, m)
	for len(x.messages) > maxMessages || x.bytes > maxMessageBytes && len(x.messages) > 1 {
		x.bytes -= len(x.messages[0].Data)
		x.messages = slices.Delete(x.messages, 0, 1)
	}
	close(x.changed)
	x.changed = make(chan struct{})
}

// Messages returns the messages that are still stored, oldest first: at most 500, with at
// most 16 MiB.
func (x *MailExchanger) Messages() []Message {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.messages)
}

// Received returns the number of messages that have been accepted since the start, and those
// that are still stored.
func (x *MailExchanger) Received() (total int, stored []Message) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.total, slices.Clone(x.messages)
}

// Await blocks until n messages have been accepted since the start, and returns Messages.
func (x *MailExchanger) Await(ctx context.Context, n int) ([]Message, error) {
	for {
		x.mu.Lock()
		total, more := x.total, x.changed
		x.mu.Unlock()
		if total >= n {
			return x.Messages(), nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d messages have arrived: %w", total, n, context.Cause(ctx))
		}
	}
}

// A MessageReport is the report of a MailExchanger.
type MessageReport struct {
	Connections int              `json:"connections"`
	Taken       int              `json:"taken"` // messages since the start
	Refused     map[string]int   `json:"refused,omitempty"`
	Messages    []MessageSummary `json:"mails"` // those that are still stored
}

// A MessageSummary is a message in a MessageReport.
type MessageSummary struct {
	Message
	Subject string `json:"subject"`
	Size    int    `json:"size"`
	Text    string `json:"text"` // header and body
}

// Report implements Reporter. It returns a MessageReport.
func (x *MailExchanger) Report() any {
	x.mu.Lock()
	r := MessageReport{Connections: x.connections, Taken: x.total, Refused: map[string]int{},
		Messages: []MessageSummary{}}
	for step, n := range x.refused {
		r.Refused[step] = n
	}
	x.mu.Unlock()
	for _, m := range x.Messages() {
		r.Messages = append(r.Messages,
			MessageSummary{Message: m, Subject: m.Subject(), Size: len(m.Data), Text: string(m.Data)})
	}
	return r
}

// hostnameOf returns the name of a peer: that of the option hostname, or that in the DNS.
func hostnameOf(c Config) string {
	name := c.Options["hostname"]
	for _, a := range c.Addrs {
		if c.Records != nil {
			name = cmp.Or(name, c.Records.Names[a])
		}
	}
	return cmp.Or(name, "localhost")
}
