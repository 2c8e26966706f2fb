package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
)

// A session is one administrator at the main prompt, or one command line that came with ssh.
type session struct {
	appliance   *appliance.Appliance
	catalog     *catalog
	authority   *users.Authority // nil before authorize
	account     users.Account    // as it was when the last command began
	login       *users.Login
	clientAddr  netip.Addr
	localAddr   netip.Addr // the appliance's
	idleTimeout time.Duration

	in       *inputBuffer
	out      *outputBuffer
	prompter commandPrompter // a terminal or a script, over in and out
	dialogue Dialogue        // over prompter
	draft    *config.Draft
	commands []*Command // that the account may run
	running  atomic.Pointer[Command]

	// scriptStatus is the exit status of a session without a terminal that reads commands from
	// its input.
	scriptStatus int

	hostnameConfig *config.Config // the configuration that cachedHostname was read from
	cachedHostname string
}

// windowSize is the size of a client's terminal.
type windowSize struct{ columns, rows int }

// newSession returns a session that writes to out. The caller must read the input into session.in.
// A session without a terminal has a nil window.
func newSession(
	app *appliance.Appliance, c *catalog, account users.Account,
	out io.Writer, window *windowSize, idleTimeout time.Duration,
) *session {
	s := &session{
		appliance: app, catalog: c, account: account, idleTimeout: idleTimeout,
		commands: c.allowedTo(account.Role),
		draft:    app.Config.NewDraft(),
		in:       newInputBuffer(window != nil, clock.RealTime(app.Clock)),
		out:      &outputBuffer{w: out, crlf: window != nil},
	}
	s.out.awaitLog = s.awaitInputWritten
	if window == nil {
		s.prompter = &script{s.in, s.out}
	} else {
		t := newTerminal(s.in, s.out, window.columns, window.rows)
		t.complete = s.completions
		s.prompter = t
	}
	s.dialogue = s.newDialogue()
	return s
}

// authorize makes the session follow its account: when an administrator has committed that the
// account no longer permits the session, end is called with the reason. If its new role does not
// permit the command that is running, the command is ended. The session must close s.authority.
// authorize returns the context of the session's commits.
func (s *session) authorize(
	ctx context.Context, login *users.Authority, end context.CancelCauseFunc,
) context.Context {
	s.authority = login.Derive(users.AuthorityOptions{
		OnChange: func(account users.Account, err error) {
			if err != nil {
				end(err)
			} else if c := s.running.Load(); c != nil && !c.Allows(account.Role) {
				s.in.cancelRunning(forbidden(c))
			}
		},
	})
	return users.WithAuthority(ctx, s.authority)
}

// updateAccount looks the account up again. Its error is the reason why the session must end.
func (s *session) updateAccount() error {
	account, err := s.authority.Check()
	if err != nil {
		return err
	}
	if account.Role != s.account.Role {
		s.commands = s.catalog.allowedTo(account.Role)
	}
	s.account = account
	return nil
}

// completions returns the possible completions of a line's last word.
func (s *session) completions(line string) []string {
	if s.updateAccount() != nil {
		return nil
	}
	return completions(s.commands, line)
}

// A forbiddenError is the refusal of a command that the account's role does not permit.
type forbiddenError struct{ error }

func (e forbiddenError) Unwrap() error { return e.error }

func forbidden(c *Command) error {
	return forbiddenError{refusal.Newf("Your user role does not permit the command: %s", c.Name)}
}

// newDialogue returns a Dialogue over the session's prompter, whose answers are logged.
func (s *session) newDialogue() Dialogue {
	d := NewDialogue(s.prompter)
	d.onAnswer = s.logInput
	d.onRefusal = func(err error) { s.logRefusal(s.runningName(), err) }
	return d
}

// resize sets the size of the client's terminal.
func (s *session) resize(w windowSize) {
	if t, ok := s.prompter.(*terminal); ok {
		t.SetSize(w.columns, w.rows)
	}
}

// promptLoop reads lines at the main prompt and runs them. It returns nil when the user logs out.
// When the session is ended otherwise, it tells the user the reason and returns it. scriptStatus
// becomes statusFailed if a command fails, or if the input ends while a command asks for more.
func (s *session) promptLoop(ctx context.Context) error {
	for {
		line, err := s.prompter.promptCommand(ctx, s.prompt())
		if ended, err := s.handleLine(ctx, line, err); ended {
			s.out.Flush() //nolint:errcheck // the session is over
			return err
		}
	}
}

// prompt returns the main prompt.
//
//go:noinline
func (s *session) prompt() string { return s.hostname() + "> " }

// handleLine handles what promptCommand has returned. It reports whether the session has ended, and
// returns the error of promptLoop.
func (s *session) handleLine(ctx context.Context, line string, err error) (ended bool, _ error) {
	if err == nil {
		s.dialogue.noteAnswer()
		s.logInput("\n"+s.prompt(), s.redact(line))
		var status int
		status, err = s.runLine(ctx, line, false)
		if status != 0 || errors.Is(err, io.EOF) {
			s.scriptStatus = statusFailed
		}
	} else if errors.Is(err, io.EOF) && !s.in.atEOF() { // Ctrl-D
		s.dialogue.noteAnswer()
		err = s.exit(ctx)
	}
	switch {
	case err == nil, errors.Is(err, ErrInterrupt):
		return false, nil
	case errors.Is(err, ErrLogout), errors.Is(err, io.EOF):
		return true, nil
	}
	s.announceEnd(err)
	return true, err
}

// exit does what the command exit does.
func (s *session) exit(ctx context.Context) error {
	env := Env{Dialogue: s.dialogue, Draft: s.draft}
	return env.Leave(ctx)
}

// hostname returns the committed hostname, which the prompt shows.
func (s *session) hostname() string {
	if c := s.appliance.Config.Committed(); c != s.hostnameConfig {
		s.hostnameConfig, s.cachedHostname = c, netconfig.Hostname.Get(c)
	}
	return s.cachedHostname
}

// Exit statuses of a command line.
const (
	statusFailed      = 1
	statusInterrupted = 130
)

// execute runs a command line that came with ssh and returns its exit status.
func (s *session) execute(ctx context.Context, line string) (exitStatus int) {
	defer s.out.Flush()
	s.logInput("", s.redact(line))
	status, err := s.runLine(ctx, line, true)
	switch {
	case err == nil, errors.Is(err, ErrLogout):
		return status
	case errors.Is(err, ErrInterrupt):
		return statusInterrupted
	}
	s.announceEnd(err)
	return statusFailed
}

// runLine runs the commands of a line one after the other. exec says that the line came with ssh.
// An error that runLine returns is a control error (see the package comment); the rest of the line
// is not run. Other errors have been shown to the user and make status statusFailed.
func (s *session) runLine(ctx context.Context, line string, exec bool) (status int, err error) {
	commands, err := splitLine(line)
	if err != nil {
		return statusFailed, s.handleError(ctx, "", err)
	}
	for _, words := range commands {
		answers := s.dialogue.answerCount
		if err := s.runCommand(ctx, words, exec); err != nil {
			if err := s.handleError(ctx, words[0], err); err != nil {
				return status, err
			}
			status = statusFailed
		}
		if s.dialogue.afterAnswer && s.dialogue.answerCount == answers {
			s.dialogue.ensureBlankLineAfterAnswer() // the command has no output: print the blank line alone
		}
	}
	return status, nil
}

// runCommand runs one command.
func (s *session) runCommand(ctx context.Context, words []string, exec bool) (err error) {
	word, args := words[0], words[1:]
	c := s.catalog.find(word)
	if c == nil {
		return UnknownCommand(s.appliance.Product.Version, word)
	}
	sessionCtx := ctx
	ctx, done := s.in.commandContext(ctx)
	defer done()
	s.running.Store(c) // before the account is looked up: a later commit ends the command
	defer s.running.Store(nil)
	if err := s.updateAccount(); err != nil {
		return err
	}
	switch {
	case !c.Allows(s.account.Role):
		return forbidden(c)
	case len(args) > 0 && !c.Batch:
		return InvalidArgumentf(args[0], "The command takes no arguments.")
	}
	undo := s.draft.Checkpoint()
	defer func() {
		var ended forbiddenError
		if errors.As(context.Cause(ctx), &ended) && !errors.Is(err, ErrLogout) {
			err = ended
		}
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
		if errors.Is(err, ErrInterrupt) || errors.Is(err, io.EOF) || ctx.Err() != nil {
			undo() // an interrupted command leaves the draft unchanged
		}
	}()
	return c.Run(ctx, &Env{
		Dialogue: s.dialogue, Appliance: s.appliance, Draft: s.draft,
		Account: s.account, Login: s.login, ClientAddr: s.clientAddr, LocalAddr: s.localAddr,
		Args: args, Inline: exec || len(args) > 0, Commands: s.commands, SessionContext: sessionCtx,
	})
}

// A panicError is a panic in a command.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// handleError handles an error of the command called word. It returns control errors, which end
// the command line or the session, and shows all others to the user. No other function
// distinguishes the kinds of errors.
func (s *session) handleError(ctx context.Context, word string, err error) error {
	var invalid *InvalidArgumentError
	var revoked *users.RevokedError
	text, refused := refusal.Text(err)
	switch {
	case errors.Is(err, ErrLogout):
		return err // the command has ended the session, even if something else ends it as well
	case ctx.Err() != nil:
		return context.Cause(ctx) // the session ends; the command's error is a consequence
	case errors.As(err, &invalid):
		s.logRefusal(word, err)
		s.dialogue.Printf("\nInvalid arguments when processing %s:\n%s\n: '%s'\n",
			strings.ToLower(word), invalid.Text, invalid.Value)
	case refused:
		s.logRefusal(word, err)
		s.dialogue.PrintWrapped(text)
	case errors.Is(err, ErrInterrupt), errors.Is(err, context.Canceled):
		return ErrInterrupt
	case errors.Is(err, io.EOF) && !s.in.atEOF(): // Ctrl-D ends a dialogue as Ctrl-C does
		return ErrInterrupt
	case errors.Is(err, io.EOF), errors.Is(err, ErrIdle):
		return err
	case errors.As(err, &revoked):
		return err
	default:
		s.logFailure(word, err)
		s.dialogue.Printf("An internal error ended the command. It has been logged.\n")
	}
	return nil
}

// runningName returns the name of the command that runs, or "".
func (s *session) runningName() string {
	if c := s.running.Load(); c != nil {
		return c.Name
	}
	return ""
}

// logRefusal logs a refusal that has a cause to the program's log: the user sees its text only.
func (s *session) logRefusal(word string, err error) {
	if refusal.Cause(err) != nil {
		s.appliance.Logger.Warn("a command was refused",
			"command", word, "user", s.account.Name, "error", err)
	}
}

// logFailure logs an internal error of a command to the program's log, which users do not see.
func (s *session) logFailure(word string, err error) {
	attrs := []any{"command", word, "user", s.account.Name, "error", err}
	var p *panicError
	if errors.As(err, &p) {
		attrs = append(attrs, "stack", string(p.stack))
	}
	s.appliance.Logger.Error("a command failed", attrs...)
}

// A StoppedError is the reason why sessions end when their server stops: a text for the users.
type StoppedError string

func (e StoppedError) Error() string { return "shell: server stopped: " + string(e) }

// announceEnd tells the user why the session ends. If it was idle, or if the account no longer
// permits it, that is logged.
func (s *session) announceEnd(reason error) {
	var stopped StoppedError
	var revoked *users.RevokedError
	switch {
	case errors.Is(reason, ErrIdle):
		s.dialogue.Printf("\nThe session was closed because it had been idle for %d minutes.\n",
			int(s.idleTimeout.Minutes()))
		s.appliance.Log(appliance.AuthenticationLog, appliance.Information,
			fmt.Sprintf("CLI: User %s logged out from %v because of inactivity timeout",
				s.account.Name, clientText(s.clientAddr)))
	case errors.As(reason, &stopped):
		s.dialogue.Printf("\n%s\n", string(stopped))
	case errors.As(reason, &revoked):
		s.dialogue.PrintWrapped("\n" + revoked.Text)
		logRevoked(s.appliance, "CLI", s.clientAddr, reason)
	}
}

// Leave ends the session at the user's request: it returns ErrLogout. If the draft has uncommitted
// changes, it asks the user first, and returns nil if the answer is no.
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
