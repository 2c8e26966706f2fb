package shell

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/users"
)

// A Console is the serial console: the same command line as over SSH, on a reader and a writer,
// with a login of its own.
type Console struct {
	Appliance *appliance.Appliance
	Commands  []*Command
	// In is closed by Serve. Close must make a blocked Read return, as it does for a network
	// connection and an io.Pipe. It does not for a terminal (see the package comment).
	In  io.ReadCloser
	Out io.Writer
	// Size returns the size of the terminal that In and Out are. If it is nil they are no
	// terminal: lines are then neither edited nor echoed.
	Size func() (columns, rows int)
	// IdleTimeout ends a session that is idle at a prompt. 0 means the configured timeout.
	IdleTimeout time.Duration
}

// consoleTTY is the name of the serial line in the login prompt.
const consoleTTY = "ttyv0"

// Serve asks for a login, serves the session, and asks again. If In ends, Serve returns nil; if
// ctx ends, it returns ctx's cause, and shows the user a cause of type StoppedError. It closes In
// and waits for the goroutine that reads it.
func (c *Console) Serve(ctx context.Context) error {
	catalog := newCatalog(c.Commands, c.Appliance.Product.Version)
	var window *windowSize
	if c.Size != nil {
		window = &windowSize{}
		window.columns, window.rows = c.Size()
	}
	// All sessions share the input, the output and the terminal of this one.
	base := newSession(c.Appliance, catalog, users.Account{}, c.Out, window, 0)
	var reading sync.WaitGroup
	reading.Go(func() { base.in.readFrom(c.In, func(text string) { io.WriteString(base.out, text) }) })
	defer base.out.close()
	defer reading.Wait()
	defer c.In.Close()
	defer base.in.close()
	for {
		account, err := c.login(ctx, base.prompter)
		if errors.Is(err, io.EOF) && base.in.atEOF() {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			continue // Ctrl-C or Ctrl-D: ask again
		}
		if err := c.serveSession(ctx, base, account); ctx.Err() != nil {
			return err
		}
	}
}

// login asks for a name and a passphrase until both are right.
func (c *Console) login(ctx context.Context, p Prompter) (users.Account, error) {
	if banner := c.Appliance.AdminAccess().Banner; banner != "" {
		fmt.Fprintf(p, "\n%s\n", banner)
	}
	fmt.Fprintf(p, "\nAsyncOS %s (%s)\n\n", c.Appliance.Hostname(), consoleTTY)
	for {
		name, err := p.Prompt(ctx, "login: ")
		if err != nil {
			return users.Account{}, err
		}
		if name == "" {
			continue
		}
		passphrase, err := p.Secret(ctx, "Password:")
		if err != nil {
			return users.Account{}, err
		}
		account, err := c.Appliance.Users.Verify(name, passphrase)
		if err == nil {
			accepted := events.Publish(c.Appliance.Events, 0, users.LoginAccepted{
				User: account.Name, Service: "console",
			})
			c.Appliance.LogEvent(accepted, appliance.AuthenticationLog, appliance.Information,
				LoginMessage(account, "from the console", ""))
			return account, nil
		}
		c.log(FailedLoginMessage(name, "from the console", ""))
		delay, _ := c.Appliance.Guard.Failed(netip.Addr{})
		if err := c.Appliance.Clock.Sleep(ctx, delay); err != nil {
			return users.Account{}, err
		}
		io.WriteString(p, "Login incorrect\n")
	}
}

// log writes a line to the appliance's authentication log.
func (c *Console) log(text string) {
	c.Appliance.Log(appliance.AuthenticationLog, appliance.Information, text)
}

// serveSession serves the session of one login.
func (c *Console) serveSession(ctx context.Context, base *session, account users.Account) error {
	access := c.Appliance.AdminAccess()
	previous, known := c.Appliance.Logins.PreviousLogin(account.Name)
	s := &session{
		appliance: base.appliance, catalog: base.catalog, in: base.in, out: base.out,
		prompter: base.prompter, account: account, commands: base.catalog.allowedTo(account.Role),
		draft: c.Appliance.Config.NewDraft(),
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(ErrLogout)
	login := c.Appliance.Users.Authorize(account, nil, users.AuthorityOptions{})
	defer login.Close()
	ctx = s.authorize(ctx, login, end)
	defer s.authority.Close()
	s.idleTimeout = cmp.Or(c.IdleTimeout, access.CLIIdle())
	s.dialogue = s.newDialogue()
	s.login = c.Appliance.Logins.Open(account, netip.Addr{}, "cli")
	s.login.EndBy(s.authority)
	defer s.login.Close()
	defer c.log(fmt.Sprintf("User %s logged out of the console", account.Name))
	if t, ok := s.prompter.(*terminal); ok {
		t.complete = s.completions
		t.history = &history{}
		t.resetEditor()
		t.SetSize(c.Size())
	}
	s.in.setSession(s.idleTimeout, s.login.Touch)
	defer s.in.setSession(0, nil)
	last := ""
	if known {
		last = lastLoginText(previous.LoginTime.In(c.Appliance.Zone()), previous.ClientAddr)
	}
	io.WriteString(s.prompter, welcomeText(c.Appliance.Product, last, s.idleTimeout, access.Welcome))
	return s.promptLoop(ctx)
}

// RawTerminal puts f into raw mode if it is a terminal; ok reports whether it did. size returns the
// terminal's size, or 0, 0 if it is unknown. restore puts the terminal back into its former mode.
func RawTerminal(f *os.File) (size func() (columns, rows int), restore func(), ok bool) {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return nil, nil, false
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, nil, false
	}
	size = func() (int, int) {
		columns, rows, err := term.GetSize(fd)
		if err != nil {
			return 0, 0
		}
		return columns, rows
	}
	restore = func() { term.Restore(fd, before) } //nolint:errcheck // a failure cannot be handled
	return size, restore, true
}
