package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
)

// A session is one administrator at the main prompt, or one command line that came
// with ssh.
type session struct {
	appliance *appliance.Appliance
	catalog   *catalog
	account   users.Account
	login     *users.Login
	from      netip.Addr
	local     netip.Addr    // the appliance's
	limit     time.Duration // of silence

	in    *inbox
	out   *outlet
	keys  keyboard
	talk  Dialogue
	draft *config.Draft
	table []*Command

	named *config.Config // the configuration that host was read from
	host  string
}

// size is a terminal's; none for a session without one.
type size struct{ columns, rows int }

// newSession returns a session over out, whose input the caller pumps into
// session.in. window is nil for a session without a terminal.
func newSession(app *appliance.Appliance, c *catalog, account users.Account, out io.Writer, window *size, idle time.Duration) *session {
	s := &session{appliance: app, catalog: c, account: account, limit: idle, draft: app.Config.Edit()}
	s.table = c.allowed(account.Role)
	s.in = newInbox(window != nil, app.Clock)
	s.out = &outlet{w: out, crlf: window != nil}
	if window == nil {
		s.keys = &script{s.in, s.out}
	} else {
		t := newTerminal(s.in, s.out, window.columns, window.rows)
		t.complete = func(line string) []string { return candidates(s.table, line) }
		s.keys = t
	}
	s.talk = s.dialogue()
	return s
}

// dialogue is a Dialogue at the session's keyboard, whose answers are logged.
func (s *session) dialogue() Dialogue {
	d := NewDialogue(s.keys)
	d.heard = s.audit
	return d
}

// resize follows the client's window.
func (s *session) resize(w size) {
	if t, ok := s.keys.(*terminal); ok {
		t.SetSize(w.columns, w.rows)
	}
}

// interact is the main prompt. It returns when the user leaves, with nil, and
// when the session is ended, with the reason, which the user has been told.
func (s *session) interact(ctx context.Context) error {
	defer s.out.Flush()
	for {
		line, err := s.keys.command(ctx, s.hostname()+"> ")
		if err == nil {
			s.talk.entered()
			s.audit("\n"+s.hostname()+"> ", s.discreet(line))
			_, err = s.perform(ctx, line, false)
		} else if errors.Is(err, io.EOF) && !s.in.exhausted() { // Ctrl-D
			s.talk.entered()
			err = s.leave(ctx)
		}
		switch {
		case err == nil, errors.Is(err, ErrInterrupt):
		case errors.Is(err, ErrLogout), errors.Is(err, io.EOF):
			return nil
		default:
			s.farewell(err)
			return err
		}
	}
}

// leave is what Ctrl-D does.
func (s *session) leave(ctx context.Context) error {
	env := Env{Dialogue: s.talk, Draft: s.draft}
	return env.Leave(ctx)
}

// hostname is what the prompt shows: the committed name.
func (s *session) hostname() string {
	if c := s.appliance.Config.Committed(); c != s.named {
		s.named, s.host = c, netconfig.Hostname.Get(c)
	}
	return s.host
}

// execute runs a command line that came with ssh, and returns its exit status.
func (s *session) execute(ctx context.Context, line string) int {
	defer s.out.Flush()
	s.audit("", s.discreet(line))
	status, err := s.perform(ctx, line, true)
	switch {
	case err == nil, errors.Is(err, ErrLogout):
		return status
	case errors.Is(err, ErrInterrupt):
		return statusInterrupted
	}
	s.farewell(err)
	return statusFailed
}

// Exit statuses of a command line.
const (
	statusFailed      = 1
	statusInterrupted = 130
)

// perform runs the commands of a line in turn. An error that it returns ends the
// line: control, see the package comment. Anything else has been shown, and left its
// mark in status.
func (s *session) perform(ctx context.Context, line string, exec bool) (status int, err error) {
	commands, err := splitLine(line)
	if err != nil {
		return statusFailed, s.report(ctx, "", err)
	}
	for _, words := range commands {
		answers := s.talk.answers
		if err := s.run(ctx, words, exec); err != nil {
			if err := s.report(ctx, words[0], err); err != nil {
				return status, err
			}
			status = statusFailed
		}
		if s.talk.answered && s.talk.answers == answers {
			s.talk.gapAfterAnswer() // a command that says nothing leaves a blank line
		}
	}
	return status, nil
}

// run runs one command.
func (s *session) run(ctx context.Context, words []string, exec bool) (err error) {
	word, args := words[0], words[1:]
	c := s.catalog.find(word)
	switch {
	case c == nil && s.appliance.Product.Version.Before(product.Version{Major: 7}):
		return refusal.Newf("\nUnknown command: %s", word)
	case c == nil:
		return refusal.Newf("\nUnknown command or missing feature key: %s", word)
	case !c.Allows(s.account.Role):
		return refusal.Newf("Your user role does not permit the command: %s", c.Name)
	case len(args) > 0 && !c.Batch:
		return InvalidArgumentf(args[0], "The command takes no arguments.")
	}
	life, undo := ctx, s.draft.Save()
	ctx, done := s.in.whileRunning(ctx)
	defer done()
	defer func() {
		if p := recover(); p != nil {
			err = &fault{p, debug.Stack()}
		}
		if errors.Is(err, ErrInterrupt) || errors.Is(err, io.EOF) || ctx.Err() != nil {
			undo() // who breaks a dialogue off has changed nothing
		}
	}()
	return c.Run(ctx, &Env{
		Dialogue: s.talk, Appliance: s.appliance, Draft: s.draft, Account: s.account, Login: s.login, ClientAddr: s.from, LocalAddr: s.local,
		Args: args, Inline: exec || len(args) > 0, Commands: s.table, SessionContext: life,
	})
}

// A fault is a panic in a command.
type fault struct {
	value any
	stack []byte
}

func (f *fault) Error() string { return fmt.Sprintf("panic: %v", f.value) }

// report shows an error of the command called word, unless it is control, which it
// returns. It is the one place where kinds of error are told apart.
func (s *session) report(ctx context.Context, word string, err error) error {
	var invalid *InvalidArgumentError
	text, refused := refusal.Text(err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx) // whatever the command made of it
	case errors.As(err, &invalid):
		s.talk.Printf("\nInvalid arguments when processing %s:\n%s\n: '%s'\n", strings.ToLower(word), invalid.Text, invalid.Value)
	case refused:
		s.talk.PrintWrapped(text)
	case errors.Is(err, ErrInterrupt), errors.Is(err, context.Canceled):
		return ErrInterrupt
	case errors.Is(err, io.EOF) && !s.in.exhausted(): // Ctrl-D gives up the dialogue, as Ctrl-C does
		return ErrInterrupt
	case errors.Is(err, io.EOF), errors.Is(err, ErrLogout), errors.Is(err, ErrIdle):
		return err
	default:
		s.complain(word, err)
		s.talk.Printf("An internal error ended the command. It has been logged.\n")
	}
	return nil
}

// complain logs an error that nobody who logs in should see.
func (s *session) complain(word string, err error) {
	attrs := []any{"command", word, "user", s.account.Name, "error", err}
	var f *fault
	if errors.As(err, &f) {
		attrs = append(attrs, "stack", string(f.stack))
	}
	s.appliance.Logger.Error("a command failed", attrs...)
}

// A Stopped is why sessions end when their server does: a text for the users.
type StoppedError string

func (s StoppedError) Error() string { return "shell: server stopped: " + string(s) }

// farewell tells the user why the session ends, and the logs too where they want
// to know.
func (s *session) farewell(why error) {
	var reason StoppedError
	switch {
	case errors.Is(why, ErrIdle):
		s.talk.Printf("\nThe session was closed because it had been idle for %d minutes.\n", int(s.limit.Minutes()))
		s.appliance.Log(appliance.AuthenticationLog, appliance.Information,
			fmt.Sprintf("CLI: User %s logged out from %v because of inactivity timeout", s.account.Name, address(s.from)))
	case errors.As(why, &reason):
		s.talk.Printf("\n%s\n", string(reason))
	}
}

// Leave is what ends a session at the user's wish: it returns ErrLogout. While
// changes are pending the user is asked, and Leave returns nil if the answer is no.
func (e *Env) Leave(ctx context.Context) error {
	if e.Draft.Pending() && !e.Inline {
		e.Printf("Configuration changes entered but not committed. Exiting will lose changes.\n" +
			"Type 'commit' at the command prompt to commit changes.\n")
		sure, err := e.Confirm(ctx, "Are you sure you wish to exit?", false)
		if err != nil || !sure {
			return err
		}
	}
	return ErrLogout
}
