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
	"github.com/esasim/esasim/appliance/users"
)

// A Console is the serial console: the same command line over any reader and
// writer, with a login of its own.
type Console struct {
	Appliance *appliance.Appliance
	Commands  []*Command
	// In is closed by Serve. Close must make a blocked Read return, as it does for a
	// network connection and an io.Pipe, and does not for a terminal (see the package
	// comment).
	In  io.ReadCloser
	Out io.Writer
	// Size tells the size of the terminal that In and Out are. Nil means that they
	// are none: lines are then neither edited nor echoed.
	Size        func() (columns, rows int)
	IdleTimeout time.Duration // as Limits.Idle
}

// consoleLine is what the serial line is called.
const consoleLine = "ttyv0"

// Serve asks for a login, serves the session, and asks again. If In ends, Serve returns nil; if
// ctx ends, it returns ctx's cause, and shows the user a cause of type Stopped. It closes In and
// waits for the goroutine that reads it.
func (c *Console) Serve(ctx context.Context) error {
	catalog := newCatalog(c.Commands, c.Appliance.Product.Version)
	var window *size
	if c.Size != nil {
		window = &size{}
		window.columns, window.rows = c.Size()
	}
	line := newSession(c.Appliance, catalog, users.Account{}, c.Out, window, 0)
	var reading sync.WaitGroup
	reading.Go(func() { line.in.pump(c.In, func(text string) { io.WriteString(line.out, text) }) })
	defer line.out.close()
	defer reading.Wait()
	defer c.In.Close()
	defer line.in.close()
	for {
		account, err := c.login(ctx, line.keys)
		if errors.Is(err, io.EOF) && line.in.exhausted() {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			continue // Ctrl-C, Ctrl-D: ask again
		}
		idle := cmp.Or(c.IdleTimeout, c.Appliance.AdminAccess().CLIIdle())
		if err := c.session(ctx, line, catalog, account, idle); ctx.Err() != nil {
			return err
		}
	}
}

func (c *Console) login(ctx context.Context, p Prompter) (users.Account, error) {
	if banner := c.Appliance.AdminAccess().Banner; banner != "" {
		fmt.Fprintf(p, "\n%s\n", banner)
	}
	fmt.Fprintf(p, "\nAsyncOS %s (%s)\n\n", c.Appliance.Hostname(), consoleLine)
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
			c.Appliance.Log(appliance.AuthenticationLog, appliance.Information, LoginMessage(account, "from the console", ""))
			return account, nil
		}
		c.Appliance.Log(appliance.AuthenticationLog, appliance.Information,
			FailedLoginMessage(name, "from the console", ""))
		delay, _ := c.Appliance.Guard.Failed(netip.Addr{})
		if err := c.Appliance.Clock.Sleep(ctx, delay); err != nil {
			return users.Account{}, err
		}
		io.WriteString(p, "Login incorrect\n")
	}
}

// session serves one login over the line, whose terminal and input it shares.
func (c *Console) session(ctx context.Context, line *session, catalog *catalog, account users.Account, idle time.Duration) error {
	previous, known := c.Appliance.Logins.PreviousLogin(account.Name)
	s := *line
	s.account, s.table, s.draft, s.limit = account, catalog.allowed(account.Role), c.Appliance.Config.Edit(), idle
	s.talk = s.dialogue()
	s.login = c.Appliance.Logins.Open(account, netip.Addr{}, "cli")
	defer s.login.Close()
	defer c.Appliance.Log(appliance.AuthenticationLog, appliance.Information, fmt.Sprintf("User %s logged out of the console", account.Name))
	if t, ok := s.keys.(*terminal); ok {
		t.complete = func(line string) []string { return candidates(s.table, line) }
		t.past = &history{}
		t.renew()
		t.SetSize(c.Size())
	}
	s.in.serve(idle, s.login.Touch)
	defer s.in.serve(0, nil)
	last := ""
	if known {
		last = lastLogin(previous.LoginTime.In(c.Appliance.Zone()), previous.ClientAddr)
	}
	io.WriteString(s.keys, welcome(c.Appliance.Product, last, idle, c.Appliance.AdminAccess().Welcome))
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(ErrLogout)
	return s.interact(ctx)
}

// RawTerminal prepares a file that is a terminal for a Console, and reports whether
// it is one. restore puts it back as it was.
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
	return size, func() { term.Restore(fd, before) }, true //nolint:errcheck // nothing is left to be done
}
