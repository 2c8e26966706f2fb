package shell

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/product"
)

// welcomeText returns the text at the beginning of a session. last is the line about the user's
// previous login, or "" if there is none. message is the configured welcome message, which comes
// last, or "".
func welcomeText(f product.Facts, last string, idleTimeout time.Duration, message string) string {
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
	fmt.Fprintf(&b, "AsyncOS %s for %s %s build %03d\n\n", v.Release(), maker, f.Model, v.Build)
	fmt.Fprintf(&b, "Welcome to the %s\n", f.Name())
	if modern {
		fmt.Fprintf(&b, "\nNOTE: This session will expire if left idle for %d minutes. Any uncommitted\n"+
			"configuration changes will be lost. Commit the configuration changes as soon as\n"+
			"they are made.\n\n", int(idleTimeout.Minutes()))
	}
	switch {
	case message != "" && modern:
		b.WriteString(message + "\n\n")
	case message != "":
		b.WriteString("\n" + message + "\n\n")
	}
	return b.String()
}

// lastLoginText returns the line that says when and from where the user logged in before.
func lastLoginText(at time.Time, client netip.Addr) string {
	return fmt.Sprintf("Last login: %s from %v", at.Format(time.ANSIC), clientText(client))
}

// clientText returns a client's address in the form that users see. The serial console has none.
func clientText(a netip.Addr) string {
	if !a.IsValid() {
		return "console"
	}
	return a.String()
}
