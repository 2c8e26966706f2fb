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

// newAppliance returns an appliance without a network, whose clock does not move by itself.
func newAppliance(
	t testing.TB, changes ...func(*appliance.Options),
) (*appliance.Appliance, *clock.Fake) {
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
	t.Cleanup(func() { app.Stop(context.Background()) }) //nolint:errcheck // it has no services
	return app, fake
}

// A logBuffer keeps what is written to it.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// withLogger makes an appliance log to l.
func withLogger(l *logBuffer) func(*appliance.Options) {
	return func(o *appliance.Options) { o.Logger = slog.New(slog.NewTextHandler(l, nil)) }
}

// startServer starts a server with the given commands on a loopback port. The end of the test stops
// it. change may set fields of the server.
func startServer(
	t testing.TB, app *appliance.Appliance, change func(*shell.Server), commands ...*shell.Command,
) *shell.Server {
	t.Helper()
	s := &shell.Server{
		Appliance: app, Commands: commands,
		HostKey: ed25519.NewKeyFromSeed(make([]byte, 32)),
		Listen: func(context.Context) (net.Listener, error) {
			return net.Listen("tcp", "127.0.0.1:0")
		},
	}
	if change != nil {
		change(s)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), maxWait)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error("stop:", err)
		}
	})
	return s
}

// dial logs in as the factory account.
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
	return &gossh.ClientConfig{
		User:            user,
		Auth:            []gossh.AuthMethod{gossh.Password(passphrase)},
		HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	}
}

// A shellClient is the client's side of a session.
type shellClient struct {
	t testing.TB
	*gossh.Session
	in       io.Writer
	out      io.Reader
	received strings.Builder // by the last readUntil
}

// newShellClient opens a channel, which does not run a program yet.
func newShellClient(t testing.TB, c *gossh.Client) *shellClient {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	sh := &shellClient{t: t, Session: s}
	sh.in, _ = s.StdinPipe()
	sh.out, _ = s.StdoutPipe()
	return sh
}

// openShell starts a shell. If columns is negative it has no terminal.
func openShell(t testing.TB, c *gossh.Client, columns, rows int) *shellClient {
	t.Helper()
	sh := newShellClient(t, c)
	if columns >= 0 {
		if err := sh.RequestPty("vt100", rows, columns, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := sh.Shell(); err != nil {
		t.Fatal(err)
	}
	return sh
}

// shellAtPrompt starts a server with the given commands and a shell with a terminal, and reads its
// output up to the first prompt.
func shellAtPrompt(
	t testing.TB, app *appliance.Appliance, commands ...*shell.Command,
) *shellClient {
	t.Helper()
	sh := openShell(t, dial(t, startServer(t, app, nil, commands...)), 80, 24)
	sh.readUntil(prompt)
	return sh
}

// maxWait is the time after which a session that does not send what a test expects is closed.
const maxWait = 2 * time.Minute

// readUntil reads until the output that it has read ends in one of the texts, and returns it.
func (sh *shellClient) readUntil(ends ...string) string {
	sh.t.Helper()
	stop := clock.System().AfterFunc(maxWait, func() { sh.Close() })
	defer stop()
	sh.received.Reset()
	b := make([]byte, 1)
	for {
		n, err := sh.out.Read(b)
		sh.received.Write(b[:n])
		text := sh.received.String()
		if slices.ContainsFunc(ends, func(e string) bool { return strings.HasSuffix(text, e) }) {
			return text
		}
		if err != nil {
			sh.t.Fatalf("received %q and then %v, want %q", text, err, ends)
		}
	}
}

// readAll reads to the end of the output.
func (sh *shellClient) readAll() string {
	stop := clock.System().AfterFunc(maxWait, func() {
		sh.t.Error("the session does not end")
		sh.Close()
	})
	defer stop()
	b, _ := io.ReadAll(sh.out)
	return string(b)
}

func (sh *shellClient) typeKeys(keys string) { io.WriteString(sh.in, keys) }

// exchange types keys and compares the output that follows, to the byte. what is the name of the
// exchange in messages.
func (sh *shellClient) exchange(what, keys, want string) {
	sh.t.Helper()
	stop := clock.System().AfterFunc(maxWait, func() { sh.Close() })
	defer stop()
	sh.typeKeys(keys)
	got := make([]byte, len(want))
	n, err := io.ReadFull(sh.out, got)
	if err != nil || string(got) != want {
		sh.t.Fatalf("%s:\n got %q (%v)\nwant %q", what, got[:n], err, want)
	}
}
