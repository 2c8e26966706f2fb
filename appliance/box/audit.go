package box

import (
	"fmt"
	"net/netip"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// logIn notes a session of a file transfer over SSH: in the table of logins, and in the
// CLI log, since its command line, or the name of its subsystem, came from the client.
func logIn(a *appliance.Appliance, ch shell.Channel, what, line string) *users.Login {
	l := a.Logins.Open(ch.Account(), ch.RemoteAddr(), what)
	a.Log(appliance.CLILog, appliance.Information,
		fmt.Sprintf("PID %d: User %s entered %s; prompt was ''", l.ID(), ch.Account().Name, shell.QuoteForLog(line)))
	return l
}

// transferLog notes what becomes of files over SSH where the FTP daemon does it of its
// own. The number is the login's, as in the CLI's log.
func transferLog(a *appliance.Appliance, ch shell.Channel, protocol string, l *users.Login) func(text string) {
	return func(text string) {
		a.Log(appliance.FTPLog, appliance.Information, fmt.Sprintf("%s:%d User %s %s", protocol, l.ID(), ch.Account().Name, text))
	}
}

// ftpLogIn notes a login over FTP, and returns what notes the logout.
func ftpLogIn(a *appliance.Appliance, user string, from netip.Addr) func() {
	account, _ := a.Users.Lookup(user)
	l := a.Logins.Open(account, from, "ftp")
	a.Log(appliance.AuthenticationLog, appliance.Information, shell.LoginMessage(account, fmt.Sprintf("from %v", from), "using an FTP connection"))
	return func() {
		l.Close()
		a.Log(appliance.AuthenticationLog, appliance.Information, fmt.Sprintf("User %s logged out of FTP session %v", user, from))
	}
}

// ftpDenied notes a login over FTP that failed.
func ftpDenied(a *appliance.Appliance, user string, from netip.Addr) {
	a.Log(appliance.AuthenticationLog, appliance.Information, shell.FailedLoginMessage(user, fmt.Sprintf("from %v", from), "using an FTP connection"))
}
