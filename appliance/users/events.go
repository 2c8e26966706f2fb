package users

import "net/netip"

// A LoginOpened is the event that a user has logged in.
type LoginOpened struct {
	ID      int
	User    string
	Role    Role
	Client  netip.Addr // invalid on the serial console
	Service string     // "cli", "ftp", "sftp", "scp" or "gui"
}

// Kind implements events.Fields.
func (LoginOpened) Kind() string { return "login.opened" }

// A LoginAccepted is the event that a client has proved to be a user. Sessions of that user may
// follow, and several over one SSH connection.
type LoginAccepted struct {
	User    string
	Client  netip.Addr // invalid on the serial console
	Service string     // "ssh", "console" or "gui"
}

// Kind implements events.Fields.
func (LoginAccepted) Kind() string { return "login.accepted" }

// A LoginClosed is the event that a session has ended. Its cause is the login.
type LoginClosed struct {
	ID      int
	User    string
	Client  netip.Addr
	Service string
}

// Kind implements events.Fields.
func (LoginClosed) Kind() string { return "login.closed" }

// A LoginFailed is the event that a passphrase was wrong.
type LoginFailed struct {
	Client   netip.Addr
	Failures int  // the recent ones, with this one
	Blocked  bool // the address is blocked now

	blocks bool // by this failure
}

// Kind implements events.Fields.
func (LoginFailed) Kind() string { return "login.failed" }
