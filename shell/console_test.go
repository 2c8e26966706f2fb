package shell_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

func TestConsoleWithoutTerminal(t *testing.T) {
	app, _ := newAppliance(t)
	var out bytes.Buffer
	const input = "\nadmin\nwrong\nadmin\nironport\nwhoami\nexit\nadmin\nironport\nsay x\n"
	c := &shell.Console{
		Appliance: app, Commands: []*shell.Command{sayCommand, exitCommand, whoamiCommand},
		In: io.NopCloser(strings.NewReader(input)), Out: &out,
	}
	if err := c.Serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	const login = "\nAsyncOS example.com (ttyv0)\n\nlogin: \n"
	welcome := strings.TrimSuffix(strings.ReplaceAll(welcome14, "\r", ""), prompt)
	want := login + "login: \nPassword:\nLogin incorrect\nlogin: \nPassword:\n" +
		welcome + prompt + "\n\nadmin from invalid IP as Administrator\n" + prompt + "\n" +
		login + "Password:\n" + "Last login: Thu Jun 25 08:50:03 2015 from console\r\n" + welcome +
		prompt + "\n\nx\n" + prompt + "\n" +
		login
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// blockingInput is an input without data: its Read blocks until Close.
type blockingInput struct {
	closed   chan struct{}
	returned bool // Read has returned
}

func (b *blockingInput) Read([]byte) (int, error) {
	<-b.closed
	b.returned = true
	return 0, io.ErrClosedPipe
}

func (b *blockingInput) Close() error {
	close(b.closed)
	return nil
}

func TestConsoleClosesItsInputAndWaitsForTheReader(t *testing.T) {
	app, _ := newAppliance(t)
	in := &blockingInput{closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &shell.Console{Appliance: app, In: in, Out: io.Discard}
	if err := c.Serve(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
	if !in.returned {
		t.Error("Serve returned while its input was being read")
	}
}

// A serialLine is the other end of a console's input and output.
type serialLine struct {
	io.Reader
	io.Writer
}

func TestConsoleWithTerminal(t *testing.T) {
	app, fake := newAppliance(t)
	keysIn, keys := io.Pipe()
	screen, screenOut := io.Pipe()
	ctx, cancel := context.WithCancelCause(t.Context())
	c := &shell.Console{
		Appliance: app, Commands: []*shell.Command{sayCommand, exitCommand, waitCommand},
		In: keysIn, Out: screenOut, Size: func() (int, int) { return 80, 24 },
	}
	ended := make(chan error)
	go func() { ended <- c.Serve(ctx) }()
	sh := &consoleUser{t: t, serialLine: serialLine{screen, keys}}
	const (
		login     = "\r\nAsyncOS example.com (ttyv0)\r\n\r\nlogin: "
		lastLogin = "Last login: Thu Jun 25 08:50:03 2015 from console\r\r\n"
		idle      = "The session was closed because it had been idle for 30 minutes.\r\n"
	)
	sh.exchange("", login)
	sh.exchange("adm", "adm")
	sh.exchange("\x03", "^C\r\n"+login)
	sh.exchange("admin\r", "admin\r\r\nPassword:")
	sh.exchange("ironport\r", "\r\r\n"+welcome14)
	sh.exchange("say x\r", "say x\r\r\n\r\nx\r\n"+prompt)
	sh.exchange("wait\r", "wait\r\r\n\r\nPress Ctrl-C to stop.\r\n")
	sh.exchange("\x03", "^C\r\n--- statistics ---\r\n"+prompt)
	fake.Advance(users.DefaultIdleMinutes * time.Minute)
	sh.exchange("", "\r\n\r\n"+idle+login)
	fake.Advance(2 * users.DefaultIdleMinutes * time.Minute) // has no effect at the login prompt
	sh.exchange("admin\r", "admin\r\r\nPassword:")
	sh.exchange("ironport\r", "\r\r\n"+lastLogin+welcome14)
	sh.exchange("\x1b[A", "") // a new session has an empty history
	sh.exchange("exit\r", "exit\r\r\n"+login)

	sh.exchange("admin\rironport\r", "admin\r\r\nPassword:\r\r\n"+
		"Last login: Thu Jun 25 10:20:03 2015 from console\r\r\n"+welcome14)
	reason := shell.StoppedError("The system is going down.")
	cancel(reason)
	sh.exchange("", "\r\n\r\nThe system is going down.\r\n")
	if err := <-ended; !errors.Is(err, reason) {
		t.Errorf("ended with %v", err)
	}
}

// A consoleUser is the user of a console in a test.
type consoleUser struct {
	t *testing.T
	serialLine
}

// exchange types keys and compares the output that follows, to the byte.
func (u *consoleUser) exchange(keys, want string) {
	u.t.Helper()
	io.WriteString(u, keys) //nolint:errcheck // the next read fails too
	got := make([]byte, len(want))
	if n, err := io.ReadFull(u, got); err != nil || string(got) != want {
		u.t.Fatalf("after %q:\n got %q (%v)\nwant %q", keys, got[:n], err, want)
	}
}
