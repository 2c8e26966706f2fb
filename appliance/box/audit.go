package box

import (
	"fmt"
	"net/netip"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// logIn records a file transfer over SSH in the table of logins and in the CLI log, which
// shows each command line of an SSH client. line is the command line or the name of the
// subsystem. The caller closes the login.
func logIn(a *appliance.Appliance, ch shell.Channel, what, line string) *users.Login {
	l := a.Logins.Open(ch.Account(), ch.RemoteAddr(), what)
	l.EndBy(ch.Authority())
	a.LogEvent(l.Event(), appliance.CLILog, appliance.Information,
		fmt.Sprintf("PID %d: User %s entered %s; prompt was ''",
			l.ID(), ch.Account().Name, shell.QuoteForLog(line)))
	return l
}

// transferLog returns a function that records a transfer over SSH in the log in which the FTP
// daemon records its own. The number in the line is that of the login, as in the CLI log.
func transferLog(a *appliance.Appliance, ch shell.Channel, protocol string,
	l *users.Login) func(text string) {
	return func(text string) {
		a.LogEvent(l.Event(), appliance.FTPLog, appliance.Information,
			fmt.Sprintf("%s:%d User %s %s", protocol, l.ID(), ch.Account().Name, text))
	}
}

// ftpLogIn records a login over FTP, and returns it and a function that records the logout.
func ftpLogIn(
	a *appliance.Appliance, account users.Account, from netip.Addr,
) (l *users.Login, logout func()) {
	l = a.Logins.Open(account, from, "ftp")
	a.LogEvent(l.Event(), appliance.AuthenticationLog, appliance.Information,
		shell.LoginMessage(account, fmt.Sprintf("from %v", from), "using an FTP connection"))
	return l, func() {
		l.Close()
		a.LogEvent(l.Event(), appliance.AuthenticationLog, appliance.Information,
			fmt.Sprintf("User %s logged out of FTP session %v", account.Name, from))
	}
}

// ftpDenied records a failed login over FTP.
func ftpDenied(a *appliance.Appliance, user string, from netip.Addr) {
	a.Log(appliance.AuthenticationLog, appliance.Information,
		shell.FailedLoginMessage(user, fmt.Sprintf("from %v", from), "using an FTP connection"))
}
