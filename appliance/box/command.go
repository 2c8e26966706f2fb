package box

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
)

// Bounds of a Command.
const (
	DefaultCommandTimeout = 30 * time.Second
	MaxCommandTimeout     = 10 * time.Minute
	MaxCommandOutput      = 1 << 20 // bytes
	MaxCommandInput       = 1 << 20 // bytes of the line and the answers together
)

// A Command is a command line for the appliance, such as "status" or "ping 10.0.201.25; date".
type Command struct {
	Line    string   `json:"line"`
	User    string   `json:"user,omitempty"`    // the account; "" means admin
	Answers []string `json:"answers,omitempty"` // to the questions, in their order
	// Timeout is the real time after which the command is interrupted, as by Ctrl-C; 0 means
	// DefaultCommandTimeout.
	Timeout netsim.Duration `json:"timeout,omitzero"`
}

// A CommandResult is what became of a Command.
type CommandResult struct {
	Session int    `json:"session"` // the number of the login in logs and events
	Output  string `json:"output"`
	// Status is 0 unless a command was refused, has failed or was interrupted.
	Status int `json:"status"`
	// Ended says why the line has ended early: "unanswered", "timeout", "output" (there was too much
	// of it), "logout" or "closed".
	Ended shell.LineEnd `json:"ended,omitempty"`
	// Unused is the number of answers that no question asked for.
	Unused int `json:"unused"`
	// Uncommitted reports whether the command has made changes that were not committed, and are lost.
	Uncommitted bool `json:"uncommitted"`
}

// A FieldError says which value of a request is wrong.
type FieldError struct {
	Field, Value string
	Message      string
}

func (e *FieldError) Error() string { return e.Message }

// Run runs a command line as a session of the serial console that has logged in as c.User would,
// and blocks until it has ended. The session's log lines and events are the same. A command that is
// refused is no error: its output says why. The error is a *FieldError if c makes no sense, a
// *netsim.NotFoundError if there is no such account, or a *netsim.ConflictError if it is locked.
func (b *Box) Run(ctx context.Context, c Command) (CommandResult, error) {
	if err := c.check(); err != nil {
		return CommandResult{}, err
	}
	if err := b.WaitSettled(ctx); err != nil {
		return CommandResult{}, err
	}
	i := b.current()
	account, err := i.account(c.User)
	if err != nil {
		return CommandResult{}, err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(i.ctx, func() { end(context.Cause(i.ctx)) })()
	timeout := time.Duration(c.Timeout)
	if timeout == 0 {
		timeout = DefaultCommandTimeout
	}
	r, err := shell.Line{
		Appliance: i.appliance, Commands: commands.All(), Account: account, Text: c.Line,
		Answers: c.Answers, MaxOutput: MaxCommandOutput, Timeout: timeout,
	}.Run(ctx)
	if err != nil {
		return CommandResult{}, netsim.Conflict("the account %s cannot log in: %v", account.Name, err)
	}
	return CommandResult(r), nil
}

func (c *Command) check() error {
	size := len(c.Line)
	for n, answer := range c.Answers {
		size += len(answer)
		if strings.ContainsAny(answer, "\r\n") {
			return &FieldError{fmt.Sprintf("answers[%d]", n), answer,
				"an answer of several lines: expected an answer for each line"}
		}
	}
	switch {
	case strings.TrimSpace(c.Line) == "":
		return &FieldError{"line", c.Line, "no command: expected one such as status"}
	case strings.ContainsAny(c.Line, "\r\n"):
		return &FieldError{"line", c.Line,
			"several lines: expected one line, with semicolons between commands"}
	case size > MaxCommandInput:
		return &FieldError{"answers", "", fmt.Sprintf(
			"the line and the answers have %d bytes: expected at most %d", size, MaxCommandInput)}
	case c.Timeout < 0 || time.Duration(c.Timeout) > MaxCommandTimeout:
		return &FieldError{"timeout", time.Duration(c.Timeout).String(), fmt.Sprintf(
			"expected a time such as 30s, at most %v", MaxCommandTimeout)}
	}
	return nil
}

// account returns the account of a user of the API; "" means that of the factory.
func (i *instance) account(name string) (users.Account, error) {
	if name == "" {
		name = users.FactoryName
	}
	account, ok := i.appliance.Users.Lookup(name)
	switch {
	case !ok:
		return account, netsim.NotFound("there is no account %q", name)
	case account.Locked:
		return account, netsim.Conflict("the account %s is locked", name)
	}
	return account, nil
}
