package peers

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// MailKind is the type of mail servers in a topology.
const MailKind = "mx"

var _ = register(Kind{
	Name: MailKind, Title: "a mail server",
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
		"user":        nil,
		"password":    nil,
	},
	HasRules: true,
	New:      newMailExchanger,
})

// smtpIdle is how long a MailExchanger waits for a command (RFC 5321 4.5.3.2.7).
const smtpIdle = 5 * time.Minute

// smtpLongestLine is the longest line of a message that a MailExchanger accepts.
const smtpLongestLine = 1 << 20

// A MailExchanger accepts mail (RFC 5321) and stores it. It is go-smtp's server behind a
// proxy that behaves as rules and options say, see smtpProxy.
type MailExchanger struct {
	config      Config
	behavior    mxBehavior
	rules       *MailRules
	mail        *mailbox
	server      *smtp.Server
	connCtx     context.Context // of its connections
	cancelConns context.CancelFunc
	serving     sync.WaitGroup

	certify     sync.Once
	certificate *tls.Certificate
	certifyErr  error

	admitting sync.Mutex // held while a new connection is judged; mu is taken under it

	mu          sync.Mutex
	listeners   []network.Listener
	proxies     map[*smtpProxy]bool
	stopped     bool
	admitted    int // open connections that have been greeted
	connections int
	refused     map[string]int // number of error replies that rules caused, by stage
	recalled    map[string]int // with which refused begins at the next start
}

func newMailExchanger(c Config) Peer {
	x := &MailExchanger{
		config: c, behavior: mxBehaviorOf(c), rules: c.MailRules, proxies: map[*smtpProxy]bool{},
	}
	if x.rules == nil {
		x.rules = NewMailRules(nil, c.Options)
	}
	x.mail = newMailbox(func() {
		c.Logger.Warn("a simulated mail server drops its oldest messages to make room",
			"server", c.Name, "messages", maxMessages, "bytes", maxMessageBytes)
	})
	return x
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
	maps.Copy(x.refused, x.recalled)
	x.recalled = nil
	x.connCtx, x.cancelConns = context.WithCancel(context.Background())
	x.server = smtp.NewServer(smtp.BackendFunc(x.newSession))
	x.server.Domain = x.behavior.hostname
	x.server.MaxMessageBytes, x.server.MaxLineLength = x.behavior.size, smtpLongestLine
	x.server.AllowInsecureAuth = true // its clients may test just that
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

// Stop resets the connections and waits for their goroutines. It closes the channel that Contents
// has returned, so that those who wait for mail can look for another server.
func (x *MailExchanger) Stop() {
	defer x.mail.wake()
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
	if g.admitted {
		x.admitted--
	}
	delete(x.proxies, g)
}

// evaluate returns what the rules demand at a moment of a connection, and counts error replies.
func (x *MailExchanger) evaluate(g *smtpProxy, m mailMoment) mailVerdict {
	m.client, m.now = g.client.Addr(), x.config.Clock.Mark()
	v := x.rules.evaluate(m)
	if v.reply.Code != 0 {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.refused[m.stage]++
	}
	return v
}

// admit evaluates the rules for a new connection. It counts the connection as open unless it is
// refused.
func (x *MailExchanger) admit(g *smtpProxy) mailVerdict {
	x.admitting.Lock() // or two connections could see each other not admitted yet
	defer x.admitting.Unlock()
	x.mu.Lock()
	open := x.admitted
	x.mu.Unlock()
	v := x.evaluate(g, mailMoment{stage: topology.StageConnect, open: open})
	if v.reply.Code == 0 && v.cut == "" {
		x.mu.Lock()
		defer x.mu.Unlock()
		g.admitted = true
		x.admitted++
	}
	return v
}

// store stores a message that has been accepted.
func (x *MailExchanger) store(m Message) {
	id := x.mail.store(m)
	x.rules.countMessage()
	if stream := x.config.Events; stream.Hears("server.mail") { // the subject costs
		events.Publish(stream, 0, MailReceived{
			x.config.Name, id, m.Client, m.From, m.To, m.Subject(), m.Size,
		})
	}
}

// Messages returns the messages that are still stored, oldest first: at most 5000, with at
// most 32 MiB.
func (x *MailExchanger) Messages() []Message {
	stored, _, _, _ := x.mail.contents()
	return stored
}

// Contents returns the messages that are still stored, oldest first, and the numbers of messages
// that have been accepted and of those that have been dropped for lack of room. changed is closed
// when another message is accepted, and when the server stops.
func (x *MailExchanger) Contents() (
	stored []Message, received, dropped int, changed <-chan struct{},
) {
	return x.mail.contents()
}

// Clear forgets all messages, and the numbers that Contents returns. Messages that follow have
// new identifiers.
func (x *MailExchanger) Clear() { x.mail.clear() }

// Rules returns the rules of the server.
func (x *MailExchanger) Rules() *MailRules { return x.rules }

// Await blocks until n messages have been accepted since the start, and returns Messages.
func (x *MailExchanger) Await(ctx context.Context, n int) ([]Message, error) {
	if err := x.mail.await(ctx, n); err != nil {
		return nil, err
	}
	return x.Messages(), nil
}

// Report implements Reporter. It returns a MessageReport.
func (x *MailExchanger) Report() any {
	r := MessageReport{Refused: map[string]int{}, Messages: []MessageSummary{}}
	x.mu.Lock()
	r.Connections = x.connections
	maps.Copy(r.Refused, x.refused)
	x.mu.Unlock()
	stored, received, dropped, _ := x.mail.contents()
	r.Taken, r.Dropped = received, dropped
	for _, m := range stored {
		r.Messages = append(r.Messages, m.summary())
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
