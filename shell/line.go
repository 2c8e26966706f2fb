package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
)

// A Line is one command line that a program runs, as a user of the serial console would who types
// it and then the answers. All fields are required, except for Answers.
type Line struct {
	Appliance *appliance.Appliance
	Commands  []*Command
	Account   users.Account // whose passphrase is not asked for
	Text      string        // one command, or several with semicolons between them
	Answers   []string      // to the questions, in their order
	MaxOutput int           // bytes, after which the command is interrupted
	// Timeout is the real time after which the command is interrupted, as by Ctrl-C. A command that
	// does not end soon after that is ended.
	Timeout time.Duration
}

// LineEnd says why a Line has ended early.
type LineEnd string

// The reasons.
const (
	LineDone       LineEnd = ""           // it has not ended early
	LineUnanswered LineEnd = "unanswered" // a question was left without an answer
	LineTimeout    LineEnd = "timeout"
	LineOutput     LineEnd = "output" // MaxOutput was reached
	LineLogout     LineEnd = "logout" // a command such as exit or reboot has ended the session
	LineClosed     LineEnd = "closed" // the session was ended otherwise
)

// A LineResult is what became of a Line.
type LineResult struct {
	Session int    // the number of the login
	Output  string // lines end in "\n"; answers are not part of it
	// Status is the exit status that an SSH client would get: 0 unless a command was refused, has
	// failed or was interrupted.
	Status int
	Ended  LineEnd
	Unused int // answers that no question asked for
	// Uncommitted reports whether the line has changed the configuration without committing it:
	// these changes are lost.
	Uncommitted bool
}

// lineGrace is the time that an interrupted command gets to print its last lines.
const lineGrace = 2 * time.Second

// Run runs the line. It blocks until the line has ended, which ctx ends early. The session shows in
// the table of logins and in the logs as one of the serial console. The error is the reason why the
// account does not permit a session, of type *users.RevokedError.
func (l Line) Run(ctx context.Context) (LineResult, error) {
	out := &lineOutput{limit: l.MaxOutput}
	s := newSession(l.Appliance, newCatalog(l.Commands, l.Appliance.Product.Version), l.Account, out,
		nil, 0)
	defer s.out.close()
	defer s.in.close()
	out.onLimit = s.in.Interrupt
	s.in.preset(l.Answers)
	ctx, end := context.WithCancelCause(ctx)
	defer end(ErrLogout)
	login := l.Appliance.Users.Authorize(l.Account, nil, users.AuthorityOptions{})
	defer login.Close()
	ctx = s.authorize(ctx, login, end)
	defer s.authority.Close()
	if err := s.authority.Err(); err != nil {
		return LineResult{}, err
	}
	log := func(text string) {
		l.Appliance.Log(appliance.AuthenticationLog, appliance.Information, text)
	}
	log(LoginMessage(l.Account, "from the console", ""))
	s.login = l.Appliance.Logins.Open(l.Account, netip.Addr{}, "cli")
	s.login.EndBy(s.authority)
	defer s.login.Close()
	defer log(fmt.Sprintf("User %s logged out of the console", l.Account.Name))
	defer l.limitTime(s, end, out)()
	r := LineResult{Session: s.login.ID()}
	r.Status, r.Ended = s.runForProgram(ctx, l.Text)
	s.out.Flush() //nolint:errcheck // a lineOutput has none
	r.Output = out.String()
	r.Unused, r.Uncommitted = s.in.lines(), s.draft.Pending()
	if reason := out.reason(); reason != LineDone && r.Ended != LineLogout {
		r.Status, r.Ended = statusInterrupted, reason
	}
	return r, nil
}

// limitTime interrupts the command when its time is over. The caller calls stop, which waits for
// the timers.
func (l Line) limitTime(s *session, end context.CancelCauseFunc, out *lineOutput) (stop func()) {
	var timers clock.Group
	stopFirst := timers.AfterFunc(clock.System(), l.Timeout, func() {
		out.setReason(LineTimeout)
		s.in.Interrupt()
	})
	stopSecond := timers.AfterFunc(clock.System(), l.Timeout+lineGrace, func() { end(ErrInterrupt) })
	return func() {
		stopFirst()
		stopSecond()
		timers.Wait()
	}
}

// runForProgram runs a command line as the prompt does.
func (s *session) runForProgram(ctx context.Context, line string) (status int, ended LineEnd) {
	s.logInput("\n"+s.prompt(), s.redact(line))
	status, err := s.runLine(ctx, line, false)
	switch {
	case err == nil:
		return status, LineDone
	case errors.Is(err, ErrLogout):
		return status, LineLogout
	case errors.Is(err, ErrInterrupt):
		return statusInterrupted, LineClosed
	case s.in.atEOF() && ctx.Err() == nil:
		return statusFailed, LineUnanswered
	}
	s.announceEnd(err)
	return statusFailed, LineClosed
}

// A lineOutput keeps the first bytes that are written to it.
type lineOutput struct {
	limit   int
	onLimit func() // called once, when there are more

	mu    sync.Mutex // a leaf
	text  bytes.Buffer
	ended LineEnd // why the command was interrupted
}

func (o *lineOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	rest := o.limit - o.text.Len()
	o.text.Write(b[:min(len(b), rest)])
	first := len(b) > rest && o.ended == LineDone
	if first {
		o.ended = LineOutput
	}
	o.mu.Unlock()
	if first {
		o.onLimit()
	}
	return len(b), nil
}

func (o *lineOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.ToValidUTF8(o.text.String(), "\uFFFD")
}

// setReason sets the reason for the interruption, unless there is one already.
func (o *lineOutput) setReason(why LineEnd) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended == LineDone {
		o.ended = why
	}
}

func (o *lineOutput) reason() LineEnd {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended
}
