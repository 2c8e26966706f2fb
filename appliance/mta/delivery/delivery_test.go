package delivery

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta/maillog"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/resolver"
)

const testTimeout = 30 * time.Second

// zone is a resolver with fixed records.
type zone struct {
	mu    sync.Mutex
	mx    map[string][]resolver.MX
	addrs map[string]string
	names map[string]string // of addresses
	fails bool              // no server answers
}

func (z *zone) LookupMX(_ context.Context, domain string) ([]resolver.MX, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	switch list, ok := z.mx[domain]; {
	case z.fails:
		return nil, resolver.ErrNoAnswer
	case ok:
		return list, nil
	case z.addrs[domain] != "":
		return nil, resolver.ErrNoRecord
	}
	return nil, resolver.ErrNotFound
}

func (z *zone) Lookup(_ context.Context, name string, _ int) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	a, ok := z.addrs[name]
	switch {
	case z.fails:
		return nil, resolver.ErrNoAnswer
	case !ok:
		return nil, resolver.ErrNotFound
	}
	return []netip.Addr{netip.MustParseAddr(a)}, nil
}

func (z *zone) LookupAddr(_ context.Context, addr netip.Addr) (string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if name, ok := z.names[addr.String()]; ok {
		return name, nil
	}
	return "", resolver.ErrNotFound
}

// A fixture is a Server on a host with mail servers of the tests.
type fixture struct {
	*Server
	t      *testing.T
	host   *vnet.Host
	clock  *clock.Fake
	zone   *zone
	config *config.Store
	queue  *queue.Queue

	mu    sync.Mutex
	lines []string // of the mail log
	more  sync.Cond
}

func newFixture(t *testing.T, factory func(*config.Factory)) *fixture {
	t.Helper()
	return newFixtureWithQuota(t, 0, factory)
}

// newFixtureWithQuota is newFixture with a queue of so many bytes; 0: the usual ones.
func newFixtureWithQuota(t *testing.T, quota int64, factory func(*config.Factory)) *fixture {
	t.Helper()
	b := &fixture{
		t:     t,
		host:  vnet.NewHost(vnet.Options{Name: "host", LoopbackIndex: 1, Rand: entropy.Seeded(1)}),
		clock: clock.NewFake(time.Date(2003, 3, 31, 20, 0, 23, 0, time.UTC)),
		zone: &zone{
			mx:    map[string][]resolver.MX{"example.com": {{Preference: 10, Host: "mx.example.com"}}},
			addrs: map[string]string{"mx.example.com": "127.0.0.1"},
		},
	}
	b.more.L = &b.mu
	t.Cleanup(b.host.Close)
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{{
		Name: "Management", Port: "Management", IPv4: netip.MustParseAddr("192.0.2.1"), Netmask: netconfig.Netmask(24),
	}}})
	if factory != nil {
		factory(f)
	}
	var err error
	if b.config, err = config.Open(config.Options{Dir: t.TempDir(), Factory: f, Clock: b.clock}); err != nil {
		t.Fatal(err)
	}
	if b.queue, err = queue.Open(queue.Options{Dir: t.TempDir(), Quota: quota}); err != nil {
		t.Fatal(err)
	}
	stream := events.NewStream(b.clock)
	w := maillog.New(maillog.Options{
		Version: product.Version{Major: 14}, Zone: func() *time.Location { return time.UTC },
		Settings: func() logs.Settings { return logs.Settings{Response: true} },
		Write: func(e logs.Entry) {
			if e.Type == logs.Mail {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.lines = append(b.lines, e.Text)
				b.more.Broadcast()
			}
		},
	})
	cancel := stream.Subscribe(w.Handle)
	b.Server = NewServer(Options{
		Client: mail.New(mail.Options{
			Net: b.host, Owner: "hermes", User: "root", Hello: func() string { return "esa.example.com" },
			Timeouts: mail.DefaultTimeouts().AtMost(testTimeout),
		}),
		Resolver: b.zone, Queue: b.queue, Events: stream, Committed: b.config.Committed, Clock: b.clock,
		Rand: entropy.Seeded(1).Stream("delivery"), Hostname: func() string { return "esa.example.com" },
		Logger:        slog.New(slog.DiscardHandler),
		BounceProfile: func(string) string { return "" },
		TLS:           func(string) (*tls.Config, error) { return &tls.Config{InsecureSkipVerify: true}, nil },
		TrustedRoots:  func() (*x509.CertPool, error) { return x509.NewCertPool(), nil },
		LoggedHeaders: func() []string { return nil },
		BounceBytes:   func() int { return 0 },
		Record:        func(uint64, string) bool { return false },
	})
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		if err := b.queue.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// submit puts a message into the queue and has it delivered.
func (b *fixture) submit(from string, to ...string) queue.Envelope {
	b.t.Helper()
	mid := b.queue.NextMID()
	in, err := b.queue.Create(mid)
	if err != nil {
		b.t.Fatal(err)
	}
	io.WriteString(in, "Subject: test\r\n\r\n.hello\r\n")
	env := queue.Envelope{MID: mid, From: from, Received: b.clock.Now(), Stage: queue.Delivery}
	for rid, a := range to {
		env.Recipients = append(env.Recipients, queue.Recipient{RID: rid, Address: a})
	}
	if err := in.Commit(b.t.Context(), env); err != nil {
		b.t.Fatal(err)
	}
	b.Enqueue(env.MID)
	return env
}

// expect waits until the log has these lines, in this order and with nothing between them, and
// forgets them. ~ stands for anything.
func (b *fixture) expect(want ...string) {
	b.t.Helper()
	timer := time.AfterFunc(testTimeout, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = append(b.lines, strings.Split(strings.Repeat("(nothing more)\n", len(want)), "\n")...)
		b.more.Broadcast()
	})
	defer timer.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.lines) < len(want) {
		b.more.Wait()
	}
	for i, line := range want {
		form := strings.ReplaceAll(regexp.QuoteMeta(line), "~", ".*")
		if !regexp.MustCompile("^" + form + "$").MatchString(b.lines[i]) {
			b.t.Fatalf("the mail log has\n%s\nwant\n%s", strings.Join(b.lines[:len(want)], "\n"), strings.Join(want, "\n"))
		}
	}
	b.lines = b.lines[len(want):]
}

// advance moves the clock when all its timers are set: after n connections have ended.
func (b *fixture) advance(d time.Duration) { b.clock.Advance(d) }

// A mailServer answers as its test says.
type mailServer struct {
	answers map[string]string // command, or the beginning of one, to answer; "": the connection is cut
	mu      sync.Mutex
	got     []string // messages, with the envelope in the first lines
	conns   int
	held    chan struct{} // gets one for each connection that is held
	secure  *tls.Config   // of connections that say STARTTLS; nil: there is none
	shown   int           // certificates of the last client
	open    []network.Conn
}

// serve starts a mail server at an address.
func (b *fixture) serve(addr string, answers map[string]string) *mailServer {
	b.t.Helper()
	m := &mailServer{answers: answers, held: make(chan struct{}, 10)}
	l, err := b.host.Listen(b.t.Context(), network.ListenConfig{Addr: netip.MustParseAddrPort(addr), Backlog: 10})
	if err != nil {
		b.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.AcceptConn()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				m.converse(c)
			})
		}
	})
	b.t.Cleanup(func() {
		l.Close()
		b.Stop(context.Background())
		wg.Wait()
	})
	return m
}

func (m *mailServer) answer(command string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	best, found := "", false
	for prefix := range m.answers {
		if strings.HasPrefix(command, prefix) && len(prefix) >= len(best) {
			best, found = prefix, true
		}
	}
	switch {
	case found:
		return m.answers[best]
	case command == "DATA":
		return "354 go"
	case command == "QUIT":
		return "221 bye"
	case command == "greeting":
		return "220 mx"
	}
	return "250 2.0.0 Ok: queued as X"
}

func (m *mailServer) set(command, answer string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers = map[string]string{command: answer}
}

func (m *mailServer) converse(c network.Conn) {
	m.mu.Lock()
	m.conns++
	m.open = append(m.open, c)
	m.mu.Unlock()
	in, out := bufio.NewReader(c), io.Writer(c)
	say := func(command string) bool {
		text := m.answer(command)
		if text == "hold" { // until the connection ends
			m.held <- struct{}{}
			io.Copy(io.Discard, in)
			return false
		}
		if text == "" {
			c.Abort()
			return false
		}
		_, err := io.WriteString(out, strings.ReplaceAll(text, "\n", "\r\n")+"\r\n")
		return err == nil
	}
	if !say("greeting") {
		return
	}
	message := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "MAIL") || strings.HasPrefix(line, "RCPT") {
			message += line + "\n"
		}
		if !say(line) || line == "QUIT" {
			return
		}
		if secure := m.startTLS(c, line); secure != nil {
			in, out = bufio.NewReader(secure), secure
			continue
		}
		if line != "DATA" || !strings.HasPrefix(m.answer("DATA"), "354") {
			continue
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == ".\r\n" {
				break
			}
			message += strings.TrimPrefix(line, ".")
		}
		m.mu.Lock()
		m.got = append(m.got, message)
		m.mu.Unlock()
		message = ""
		if !say("end") {
			return
		}
	}
}

// startTLS makes the connection secure if the client has said STARTTLS and may do so.
func (m *mailServer) startTLS(c network.Conn, line string) *tls.Conn {
	m.mu.Lock()
	config := m.secure
	m.mu.Unlock()
	if line != "STARTTLS" || config == nil || !strings.HasPrefix(m.answer(line), "2") {
		return nil
	}
	secure := tls.Server(c, config)
	if secure.Handshake() != nil {
		c.Abort()
	}
	m.mu.Lock()
	m.shown = len(secure.ConnectionState().PeerCertificates)
	m.mu.Unlock()
	return secure
}

func (m *mailServer) messages() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string{}, m.got...)
}

const (
	opened = "New SMTP DCID %d interface 127.0.0.1 address %s port 25"
	first  = "127.0.0.1:25"
)

func text(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// TestDelivered: all recipients of a domain get the message in one transaction, the connection is
// kept for the next message, and closed after five seconds (mail.md 7.1, 7.3).
func TestDelivered(t *testing.T) {
	b := newFixture(t, nil)
	m := b.serve(first, nil)
	b.submit("a@example.net", "b@example.com", "c@example.com")
	b.expect(text(opened, 1, "127.0.0.1"), "Delivery start DCID 1 MID 1 to RID [0, 1]",
		"Message done DCID 1 MID 1 to RID [0, 1]", "MID 1 RID [0, 1] Response '2.0.0 Ok: queued as X'",
		"Message finished MID 1 done")
	b.submit("", "b@EXAMPLE.com")
	b.expect("Delivery start DCID 1 MID 2 to RID [0]", "Message done DCID 1 MID 2 to RID [0]",
		"MID 2 RID [0] Response '2.0.0 Ok: queued as X'", "Message finished MID 2 done")
	b.awaitIdle("example.com")
	b.advance(idleTime)
	b.expect("DCID 1 close")
	want := []string{
		"MAIL FROM:<a@example.net>\nRCPT TO:<b@example.com>\nRCPT TO:<c@example.com>\nSubject: test\r\n\r\n.hello\r\n",
		"MAIL FROM:<>\nRCPT TO:<b@EXAMPLE.com>\nSubject: test\r\n\r\n.hello\r\n",
	}
	if got := m.messages(); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the server got %q, want %q", got, want)
	}
	if s := b.queue.Stats(); s.Messages != 0 {
		t.Errorf("%d messages are left in the queue", s.Messages)
	}
}

// awaitIdle waits until a connection waits for messages.
func (b *fixture) awaitIdle(domain string) {
	b.t.Helper()
	b.await(func() bool { d := b.destinations[domain]; return d != nil && d.waiting > 0 })
}

// awaitTimer waits until a destination has a time for its next try.
func (b *fixture) awaitTimer(domain string) {
	b.t.Helper()
	b.await(func() bool { d := b.destinations[domain]; return d != nil && d.stopTimer != nil && d.workers == 0 })
}

func (b *fixture) await(holds func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(testTimeout); ; runtime.Gosched() {
		b.Server.mu.Lock()
		ok := holds()
		b.Server.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatal("it does not happen")
		}
	}
}
