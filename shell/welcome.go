package shell

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/product"
)

// welcome is what a session begins with. idle is the inactivity timeout; last is
// empty at a user's first login. message is what the administrator has added, if
// anything: it stands last.
func welcomeText(f product.Facts, last string, idle time.Duration, message string) string {
	var b strings.Builder
	if last != "" {
		b.WriteString(last + "\r\n")
	}
	v, maker := f.Version, "Cisco"
	if f.IronPort() {
		maker = "IronPort"
	}
	modern := !v.Before(product.Version{Major: 11})
	if !modern {
		year := f.BuildDate.Year()
		if f.BuildDate.IsZero() {
			year = 2013
		}
		fmt.Fprintf(&b, "Copyright (c) 2001-%d, %s Systems, Inc.\n\n\n", year, maker)
	}
	fmt.Fprintf(&b, "AsyncOS %s for %s %s build %03d\n\nWelcome to the %s\n", v.Release(), maker, f.Model, v.Build, f.Name())
	if modern {
		fmt.Fprintf(&b, "\nNOTE: This session will expire if left idle for %d minutes. Any uncommitted\n"+
			"configuration changes will be lost. Commit the configuration changes as soon as\n"+
			"they are made.\n\n", int(idle.Minutes()))
	}
	switch {
	case message != "" && modern:
		b.WriteString(message + "\n\n")
	case message != "":
		b.WriteString("\n" + message + "\n\n")
	}
	return b.String()
}

// lastLogin is the line that says when and from where the user logged in before.
func lastLoginText(at time.Time, from netip.Addr) string {
	return fmt.Sprintf("Last login: %s from %v", at.Format(time.ANSIC), clientText(from))
}

// address is how a client's address is shown; the serial console has none.
func clientText(a netip.Addr) string {
	if !a.IsValid() {
		return "console"
	}
	return a.String()
}
