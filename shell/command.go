package shell

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
)

// A Command is a word that can be typed at the main prompt.
type Command struct {
	Name    string   // in lower case
	Aliases []string // other names, in lower case
	Summary string   // its line in "help": a sentence
	Help    string   // the rest of "help NAME", with the inline syntax; may be empty
	Source  string   // what attests its output: a requirement such as B38, "public", or "invented"

	Roles []users.Role    // that may run it; nil means all
	Since product.Version // the first version that has it; zero means every version before Until
	Until product.Version // the first version that no longer has it; zero means there is none
	Mode  Mode            // where in a cluster it may be run
	Batch bool            // it has an inline form: it takes arguments

	Secret           bool // its arguments are not logged, because they may contain a passphrase
	Commit           bool // its changes take effect with commit
	TakesCommandName bool // its argument is the name of a command; Tab completes it

	// Run runs the command and returns when it has ended. It must return errors of the
	// Prompter unchanged. ctx ends when the user presses Ctrl-C and when the session ends; its
	// cause tells which.
	Run func(ctx context.Context, env *Env) error
}

// A Mode says where in a cluster a command may be run.
type Mode string

// The modes of commands.
const (
	AnyMode     Mode = ""
	MachineMode Mode = "machine"
	ClusterMode Mode = "cluster"
)

// AvailableIn reports whether version v of the product has the command.
func (c *Command) AvailableIn(v product.Version) bool {
	return !v.Before(c.Since) && (c.Until == product.Version{} || v.Before(c.Until))
}

// Allows reports whether an account of this role may run the command.
func (c *Command) Allows(r users.Role) bool {
	return c.Roles == nil || slices.Contains(c.Roles, r)
}

// HasName reports whether word, which must be in lower case, is the command's name or an alias.
func (c *Command) HasName(word string) bool {
	return c.Name == word || slices.Contains(c.Aliases, word)
}

// An Env is the environment of a running command.
type Env struct {
	Dialogue
	Appliance  *appliance.Appliance
	Draft      *config.Draft // the session's uncommitted changes
	Account    users.Account // of the user
	Login      *users.Login  // of the session; nil in some tests
	ClientAddr netip.Addr    // invalid on the serial console
	LocalAddr  netip.Addr    // of the appliance, to which the client has connected; invalid likewise

	// Args are the words after the command's name.
	Args []string
	// Inline says that there are arguments, or that the command came with ssh. The command
	// must then not ask a question that the arguments or a default can answer.
	Inline bool
	// Commands are the commands that the account may run on this version, sorted by name.
	Commands []*Command
	// SessionContext ends when the session ends; its cause tells why. It is the context for
	// tasks that a command starts and that belong to the session, such as a packet capture.
	SessionContext context.Context
}

// An InvalidArgumentError is a refusal of an inline argument. It is printed as
//
//	Invalid arguments when processing <command>:
//	<Text>
//	: '<Value>'
//
// Cause, which may be nil, is what is behind the refusal. It is logged, and not shown.
type InvalidArgumentError struct {
	Text, Value string
	Cause       error
}

// Error returns the text and the value.
func (e *InvalidArgumentError) Error() string { return e.Text + ": '" + e.Value + "'" }

// Unwrap returns a refusal with the text and the cause.
func (e *InvalidArgumentError) Unwrap() error { return refusal.Because(e.Cause, "%s", e.Text) }

// InvalidArgumentf returns an *InvalidArgumentError for the argument value. The formatted text is a
// sentence that says what is wrong with it.
func InvalidArgumentf(value, format string, a ...any) error {
	return &InvalidArgumentError{Text: fmt.Sprintf(format, a...), Value: value}
}

// Control errors end a command, a session or a menu. They are not failures.
var (
	// ErrInterrupt means that the user has pressed Ctrl-C. A Prompter returns it, and it is the
	// cause of a command's context. It ends the command, not the session.
	ErrInterrupt = errors.New("shell: interrupted")
	// ErrIdle ends the session because the user has been idle at a prompt.
	ErrIdle = errors.New("shell: idle for too long")
	// ErrLogout ends the session at the user's request.
	ErrLogout = errors.New("shell: logout")
	// ErrHangup ends the session because the client has closed the channel.
	ErrHangup = errors.New("shell: client hung up")
	// ErrEscape is returned by LineReader.ReadLine when the user presses the escape key.
	ErrEscape = errors.New("shell: escape key")
	// ErrLeaveMenu is returned by an operation of a Menu to leave the menu.
	ErrLeaveMenu = errors.New("shell: leave the menu")
)
