package listener

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/tls"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/maillog"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/resolver"
)

// testTimeout bounds every wait of the tests. Only a failure lasts so long.
const testTimeout = 30 * time.Second

// A fakeDNS answers from tables. A name that is in none does not exist.
type fakeDNS struct {
	addrs map[string]string // name to address
	names map[string]string // address to name
	mx    map[string]string // domain to exchanger
	texts map[string]string // name to TXT
	fails map[string]bool   // names and addresses for which no server answers
}

func (d *fakeDNS) look(table map[string]string, key string) (string, error) {
	switch value, ok := table[key]; {
	case d.fails[key]:
		return "", resolver.ErrNoAnswer
	case ok:
		return value, nil
	case d.addrs[key] != "" || d.mx[key] != "":
		return "", resolver.ErrNoRecord
	}
	return "", resolver.ErrNotFound
}

func (d *fakeDNS) Lookup(_ context.Context, name string, _ int) ([]netip.Addr, error) {
	value, err := d.look(d.addrs, name)
	if err != nil {
		return nil, err
	}
	return []netip.Addr{netip.MustParseAddr(value)}, nil
}

func (d *fakeDNS) LookupAddr(_ context.Context, a netip.Addr) (string, error) {
	return d.look(d.names, a.String())
}

func (d *fakeDNS) LookupMX(_ context.Context, domain string) ([]resolver.MX, error) {
	value, err := d.look(d.mx, domain)
	if err != nil {
		return nil, err
	}
	return []resolver.MX{{Preference: 10, Host: value}}, nil
}

func (d *fakeDNS) Records(_ context.Context, name, _ string) ([]resolver.Record, error) {
	value, err := d.look(d.texts, name)
	if err != nil {
		return nil, err
	}
	return []resolver.Record{{Type: "TXT", Data: `"` + value + `"`}}, nil
}

// A fixture is a Server on a listener that pretends to be the appliance's 192.0.2.1:25, with clients
// of any address.
type fixture struct {
	recorded bool // commands and replies are published
	*Server
	t        testing.TB
	clock    *clock.Fake
	queue    *queue.Queue
	store    *config.Store
	dns      *fakeDNS
	listener *pipeListener
	low      bool // resources

	mu     sync.Mutex
	lines  []string // of the mail log
	alerts []string
}

// newFixture starts a Server with one public listener for example.com, changed by edit.
func newFixture(t testing.TB, edit func(*Settings)) *fixture {
	t.Helper()
	version := product.Version{Major: 14}
	l := New("IncomingMail", "Management", 25, Public, version)
	l.Recipients.Entries = []RecipientEntry{{Address: "example.com"}}
	settings := Settings{Listeners: []Listener{l}, Limits: DefaultLimits()}
	if edit != nil {
		edit(&settings)
	}
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{{
		Name: "Management", Port: "Management", Hostname: "esa.example.com",
		IPv4: netip.MustParseAddr("192.0.2.1"), Netmask: netconfig.Netmask(24),
	}}})
	Section.SetFactory(f, settings)
	b := &fixture{t: t, dns: &fakeDNS{}, listener: newPipeListener()}
	b.clock = clock.NewFake(time.Date(2019, 10, 14, 3, 55, 53, 0, time.UTC))
	store, err := config.Open(config.Options{Dir: t.TempDir(), Factory: f, Clock: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	b.queue, err = queue.Open(queue.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b.store = store
	stream := events.NewStream(b.clock)
	w := maillog.New(maillog.Options{
		Version: version, Zone: func() *time.Location { return time.UTC },
		Settings: func() logs.Settings { return logs.Settings{MessageID: true, Subject: true} },
		Write: func(e logs.Entry) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.lines = append(b.lines, e.Text)
		},
	})
	cancel := stream.Subscribe(w.Handle)
	b.Server = NewServer(Options{
		Record:    func(uint64, netip.Addr, string) bool { return b.recorded },
		Listen:    func(context.Context) (net.Listener, error) { return b.listener, nil },
		Committed: store.Committed,
		Hostname:  func() string { return "appliance.example.com" },
		Zone:      func() *time.Location { return time.FixedZone("PDT", -7*3600) },
		Clock:     b.clock, Resolver: b.dns, Queue: b.queue, Events: stream,
		HexDigits:     func() string { return "573856" },
		TLS:           func(string) (*tls.Config, error) { return nil, errors.New("none") },
		Authenticate:  func(_ context.Context, user, pass string) bool { return user == "joe" && pass == "secret" },
		Accepted:      func(queue.Envelope) {},
		ResourcesLow:  func() bool { return b.low },
		OnRateLimited: b.alert, OnHarvest: b.alert,
	})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		if err := b.queue.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *fixture) alert(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alerts = append(b.alerts, text)
}

// log returns the lines of the mail log so far.
func (b *fixture) log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, "\n")
}

// expectLog compares the lines of the mail log with those that are expected.
func (b *fixture) expectLog(want ...string) {
	b.t.Helper()
	if got := b.log(); got != strings.Join(want, "\n") {
		b.t.Errorf("the mail log has\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// A client is the other end of a session.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// dial connects from an address and reads the greeting.
func (b *fixture) dial(from string, greeting ...string) *client {
	b.t.Helper()
	c := &client{t: b.t, conn: b.listener.dial(b.t, netip.MustParseAddrPort(from+":40000"))}
	c.in = bufio.NewReader(c.conn)
	c.conn.SetDeadline(time.Now().Add(testTimeout))
	b.t.Cleanup(func() { c.conn.Close() })
	if len(greeting) == 0 {
		greeting = []string{"220 esa.example.com ESMTP"}
	}
	c.expect(greeting...)
	return c
}

// expect reads an answer.
func (c *client) expect(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		got, err := c.in.ReadString('\n')
		if err != nil || strings.TrimRight(got, "\r\n") != want || !strings.HasSuffix(got, "\r\n") {
			c.t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
}

// say sends a command and reads the answer.
func (c *client) say(command string, answer ...string) {
	c.t.Helper()
	c.send(command + "\r\n")
	c.expect(answer...)
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// closed expects that the server closes the connection.
func (c *client) closed() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Fatalf("got %q, %v, want the end of the connection", rest, err)
	}
	c.conn.Close()
}

// quit ends the session and waits until the server has closed it.
func (c *client) quit() {
	c.t.Helper()
	c.say("QUIT", "221 esa.example.com")
	c.closed()
}

// begin sends the commands up to DATA.
func (c *client) begin() {
	c.t.Helper()
	c.say("HELO mail.example.net", "250 esa.example.com")
	c.say("MAIL FROM:<a@example.net>", "250 sender <a@example.net> ok")
	c.say("RCPT TO:<b@example.com>", "250 recipient <b@example.com> ok")
	c.say("DATA", "354 go ahead")
}

// body returns what the queue has of a message.
func (b *fixture) body(mid uint64) string {
	b.t.Helper()
	r, err := b.queue.Body(mid)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// own are the fields that the appliance adds to a message of begin from 192.0.2.9.
func own(mid uint64, hasID bool) string {
	id := ""
	if !hasID {
		id = fmt.Sprintf("Message-Id: <573856$%d@esa.example.com>\r\n", mid)
	}
	return id + "Received: from unknown (HELO mail.example.net) ([192.0.2.9])\r\n" +
		"  by esa.example.com with SMTP; 13 Oct 2019 20:55:53 -0700\r\n"
}

// awaitClosed waits until the log says that a connection is closed.
func (b *fixture) awaitClosed(icid int) {
	b.t.Helper()
	want := fmt.Sprintf("ICID %d close", icid)
	for deadline := time.Now().Add(testTimeout); !strings.HasSuffix(b.log(), want); {
		if time.Now().After(deadline) {
			b.t.Fatalf("the mail log has\n%s\nwant %q at its end", b.log(), want)
		}
		runtime.Gosched()
	}
}

func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// replaced returns lines with one text in place of another, and more lines after them.
func replaced(lines []string, old, next string, more ...string) []string {
	var out []string
	for _, l := range lines {
		out = append(out, strings.ReplaceAll(l, old, next))
	}
	return append(out, more...)
}
