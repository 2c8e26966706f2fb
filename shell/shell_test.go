package shell_test

import (
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/shell"
)

var epoch = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)

// newBox returns an appliance without a network, whose clock stands still.
func newBox(t testing.TB, changes ...func(*appliance.Options)) (*appliance.Appliance, *clock.Fake) {
	t.Helper()
	fake := clock.NewFake(epoch)
	o := appliance.Options{
		Dir:     t.TempDir(),
		Clock:   fake,
		Entropy: entropy.Seeded(1),
		Product: product.Facts{Model: "C100V", Version: product.Version{Major: 14, Build: 698}},
	}
	for _, change := range changes {
		change(&o)
	}
	app, err := appliance.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Stop(context.Background()) }) //nolint:errcheck // nothing runs in it
	return app, fake
}

// A log keeps what is written to it.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// loggedTo lets an appliance log to l.
func loggedTo(l *log) func(*appliance.Options) {
	return func(o *appliance.Options) { o.Logger = slog.New(slog.NewTextHandler(l, nil)) }
}

// start serves commands on a loopback port until the test ends.
func start(t testing.TB, app *appliance.Appliance, change func(*shell.Server), commands ...*shell.Command) *shell.Server {
	t.Helper()
	s := &shell.Server{
		Appliance: app, Commands: commands,
		HostKey: ed25519.NewKeyFromSeed(make([]byte, 32)),
		Listen:  func(context.Context) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
	}
	if change != nil {
		change(s)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error("stop:", err)
		}
	})
	return s
}

// dial logs in as the factory's administrator.
func dial(t testing.TB, s *shell.Server) *gossh.Client {
	t.Helper()
	c, err := gossh.Dial("tcp", s.Addr().String(), clientConfig("admin", "ironport"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func clientConfig(user, passphrase string) *gossh.ClientConfig {
	return &gossh.ClientConfig{User: user, Auth: []gossh.AuthMethod{gossh.Password(passphrase)}, HostKeyCallback: gossh.InsecureIgnoreHostKey()}
}

// A visitor is a client's shell.
type visitor struct {
	t testing.TB
	*gossh.Session
	in    io.Writer
	out   io.Reader
	heard strings.Builder
}

// visit opens a shell. With columns < 0 it has no terminal.
func channelHandler(t testing.TB, c *gossh.Client, columns, rows int) *visitor {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, Session: s}
	v.in, _ = s.StdinPipe()
	v.out, _ = s.StdoutPipe()
	if columns >= 0 {
		if err := s.RequestPty("vt100", rows, columns, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return v
}

// hear reads until what was heard since the last hear ends in one of the texts, and returns it.
func (v *visitor) hear(ends ...string) string {
	v.t.Helper()
	stop := clock.System().AfterFunc(20*time.Second, func() { v.Close() })
	defer stop()
	v.heard.Reset()
	b := make([]byte, 1)
	for {
		n, err := v.out.Read(b)
		v.heard.Write(b[:n])
		if slices.ContainsFunc(ends, func(e string) bool { return strings.HasSuffix(v.heard.String(), e) }) {
			return v.heard.String()
		}
		if err != nil {
			v.t.Fatalf("heard %q and then %v, want %q", v.heard.String(), err, ends)
		}
	}
}

// rest reads to the end.
func (v *visitor) rest() string {
	stop := clock.System().AfterFunc(20*time.Second, func() { v.t.Error("the session does not end"); v.Close() })
	defer stop()
	b, _ := io.ReadAll(v.out)
	return string(b)
}

func (v *visitor) say(keys string) { io.WriteString(v.in, keys) }
