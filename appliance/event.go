package appliance

import "time"

// A Committed is the event that a configuration was committed.
type Committed struct {
	User    string
	Comment string
	Session int // the number of the login
}

// Kind implements events.Fields.
func (Committed) Kind() string { return "commit.done" }

// A CommandEntered is the event that a user has entered a line: a command or, if there is a prompt
// that is not that of the command line, an answer. What the CLI log hides is hidden.
type CommandEntered struct {
	User    string
	Session int    // the number of the login
	Prompt  string // "" for a command line of an SSH client
	Line    string
}

// Kind implements events.Fields.
func (CommandEntered) Kind() string { return "command.entered" }

// Summary returns the line.
func (c CommandEntered) Summary() string { return c.Line }

// A ServiceUp is the event that a service of the appliance has opened its ports.
type ServiceUp struct{ Service string }

// Kind implements events.Fields.
func (ServiceUp) Kind() string { return "service.up" }

// A ServiceDown is the event that a service has ended its sessions and closed its ports.
type ServiceDown struct{ Service string }

// Kind implements events.Fields.
func (ServiceDown) Kind() string { return "service.down" }

// A CameUp is the event that all services have been started.
type CameUp struct{}

// Kind implements events.Fields.
func (CameUp) Kind() string { return "appliance.up" }

// A WentDown is the event that the appliance has stopped.
type WentDown struct{ Reason string }

// Kind implements events.Fields.
func (WentDown) Kind() string { return "appliance.down" }

// A ClockChanged is the event that the appliance's clock was set.
type ClockChanged struct{ From, To time.Time }

// Kind implements events.Fields.
func (ClockChanged) Kind() string { return "clock.set" }

// A TroubleFound is the event that the appliance has found a trouble about which it raises an alert,
// unless the alert is held back.
type TroubleFound struct {
	Part string // "log", "capture", "files", "mail" or "configuration"
	Text string
}

// Kind implements events.Fields.
func (TroubleFound) Kind() string { return "appliance.trouble" }

// Summary returns the text.
func (t TroubleFound) Summary() string { return t.Text }
