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

// A Command is one word that can be typed at the main prompt.
type Command struct {
	Name    string   // what is typed, in lower case
	Aliases []string // other words for the same
	Summary string   // the line in "help": a sentence
	Help    string   // the rest of "help NAME", with the inline syntax; may be empty
	Source  string   // what attests its text: a requirement such as B38, "public", or "invented"

	Roles []users.Role    // who may run it; nil means everybody
	Since product.Version // first version that has it; zero: always had
	Until product.Version // first version that has it no more; zero: all have it
	Mode  Mode            // where in a cluster it may be used
	Batch bool            // has an inline form: takes arguments

	Secret           bool // what is typed after it is not logged: it may be a passphrase
	Commit           bool // what it changes waits for commit
	TakesCommandName bool // its argument is the name of a command, which Tab completes

	// Run holds the conversation. It returns when the conversation is over, and
	// returns an error of the Prompter unchanged. ctx ends when the user presses
	// Ctrl-C and when the session ends; its cause says which.
	Run func(ctx context.Context, env *Env) error
}

// A Mode says where in a cluster a command may be used.
type Mode string

// The modes of commands.
const (
	AnyMode     Mode = ""
	MachineMode Mode = "machine"
	ClusterMode Mode = "cluster"
)

// Known reports whether version v of the product has the command.
func (c *Command) AvailableIn(v product.Version) bool {
	return !v.Before(c.Since) && (c.Until == product.Version{} || v.Before(c.Until))
}

// Allows reports whether an account of this role may run the command.
func (c *Command) Allows(r users.Role) bool {
	return c.Roles == nil || slices.Contains(c.Roles, r)
}

// Named reports whether word, in lower case, is the command's name or an alias.
func (c *Command) HasName(word string) bool {
	return c.Name == word || slices.Contains(c.Aliases, word)
}

// An Env is what a running command can see and touch.
type Env struct {
	Dialogue
	Appliance  *appliance.Appliance
	Draft      *config.Draft // this session's uncommitted changes
	Account    users.Account // who is logged in
	Login      *users.Login  // this session in the table of logins; nil in some tests
	ClientAddr netip.Addr    // where the client is; invalid on the serial console
	LocalAddr  netip.Addr    // the appliance's address that the client came in by; as From

	Args   []string // the words after the command
	Inline bool     // arguments were given, or the command came with ssh: ask nothing that has an answer

	// Table is what this account may type on this version, sorted by name.
	Commands []*Command
	// Life ends when the session does; its cause says why. What a command leaves
	// running for its session's sake (a capture) ends with it.
	SessionContext context.Context
}

// An Invalid refuses an inline argument. It carries a refusal and is printed as
//
//	Invalid arguments when processing <command>:
//	<Text>
//	: '<Value>'
type InvalidArgumentError struct{ Text, Value string }

func (e *InvalidArgumentError) Error() string { return e.Text + ": '" + e.Value + "'" }

// Unwrap returns the refusal.
func (e *InvalidArgumentError) Unwrap() error { return refusal.New(e.Text) }

// InvalidArgumentf makes an InvalidArgumentError of an argument and a sentence that says what is wrong with it.
func InvalidArgumentf(value, format string, a ...any) error {
	return &InvalidArgumentError{fmt.Sprintf(format, a...), value}
}

// Control: these end a command or a session and are no failure.
var (
	// ErrInterrupt is what a Prompter returns, and what a command's context ends
	// with, when the user presses Ctrl-C. It ends the command, not the session.
	ErrInterrupt = errors.New("shell: interrupted")
	// ErrIdle ends the session: nobody answered in time.
	ErrIdle = errors.New("shell: idle for too long")
	// ErrLogout ends the session at the user's wish.
	ErrLogout = errors.New("shell: logout")
	// ErrHangup ends the session: the client is gone.
	ErrHangup = errors.New("shell: client hung up")
	// ErrEscape is what a Relay's Line returns when the escape key is pressed.
	ErrEscape = errors.New("shell: escape key")
	// ErrLeaveMenu, returned by an operation of a Menu, leaves the menu.
	ErrLeaveMenu = errors.New("shell: leave the menu")
)
