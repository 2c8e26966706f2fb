package shell

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/users"
)

// This file makes the lines of the appliance's logs about logins and about the lines that users
// enter (logs.md 3.5).

// logInput logs a line that the user has entered, together with the prompt. The line is usually in
// the log's file when logInput returns.
func (s *session) logInput(prompt, line string) {
	event := events.Publish(s.appliance.Events, s.login.Event(), appliance.CommandEntered{
		User: s.account.Name, Session: s.login.ID(), Prompt: strings.TrimSpace(prompt), Line: line,
	})
	s.appliance.LogNow(event, appliance.CLILog, appliance.Information,
		fmt.Sprintf("PID %d: User %s entered %s; prompt was %s",
			s.login.ID(), s.account.Name, QuoteForLog(line), QuoteForLog(prompt)))
	s.out.logPending.Store(true)
}

// maxLogDelay bounds how long the output of a session waits for the log's file: a disk that hangs
// must not hang the sessions.
const maxLogDelay = time.Second

// awaitInputWritten blocks until the log's file has the lines that the user has entered. It is
// called before output is sent, so that a command that has been answered is in the log even if the
// process is then killed.
func (s *session) awaitInputWritten() {
	s.appliance.Logs.AwaitWritten(appliance.CLILog, maxLogDelay)
}

// redact returns a command line in the form in which it may be logged. If a command's arguments may
// be a passphrase, they and the rest of the line are replaced: where the passphrase ends is not
// known before the line is split, and it may contain anything.
func (s *session) redact(line string) string {
	start := 0 // of piece in line
	for piece := range strings.SplitSeq(line, ";") {
		word, args, _ := strings.Cut(strings.TrimSpace(piece), " ")
		if c := s.catalog.find(word); c != nil && c.Secret && args != "" {
			return line[:start+strings.Index(piece, word)+len(word)] + " " + redacted
		}
		start += len(piece) + 1
	}
	return line
}

// QuoteForLog returns text in single quotes, in the form of the CLI log. The log itself writes a
// newline as \n.
func QuoteForLog(text string) string {
	b := make([]byte, 0, len(text)+len("''"))
	b = append(b, '\'')
	for i := range len(text) { // not by a strings.Replacer, which allocates 13 KiB
		if text[i] == '\\' || text[i] == '\'' {
			b = append(b, '\\')
		}
		b = append(b, text[i])
	}
	return string(append(b, '\''))
}

// LoginMessage returns the line of the authentication log for a login. from says where the user is
// ("from 1.128.3.4"). how says by which means the client has connected ("using an SSH connection"),
// and may be empty.
func LoginMessage(a users.Account, from, how string) string {
	text := fmt.Sprintf("The user %s successfully logged on %s with privilege %s %s",
		a.Name, from, a.Role.Groups()[0], how)
	return strings.TrimSpace(text) + "."
}

// FailedLoginMessage returns the line of the authentication log for a failed login. The arguments
// are those of LoginMessage, except that name is what the client sent.
func FailedLoginMessage(name, from, how string) string {
	text := fmt.Sprintf("An authentication attempt by the user %s %s failed %s",
		printableName(name), from, how)
	return strings.TrimSpace(text) + "."
}

// logRevoked logs that a session has ended because its account no longer permits it: err is the
// *users.RevokedError.
func logRevoked(a *appliance.Appliance, service string, client netip.Addr, err error) {
	var revoked *users.RevokedError
	if errors.As(err, &revoked) {
		a.Log(appliance.AuthenticationLog, appliance.Information, RevokedMessage(service, client, revoked))
	}
}

// RevokedMessage returns the line of the authentication log for a session that has ended because
// its account no longer permits it. service is the word that logs use for it, such as "CLI".
func RevokedMessage(service string, client netip.Addr, e *users.RevokedError) string {
	return fmt.Sprintf("%s: User %s logged out from %v because of %s",
		strings.ToUpper(service), e.Account, clientText(client), e.Cause)
}

// printableName escapes and shortens a name that a client has sent.
func printableName(name string) string {
	quoted := fmt.Sprintf("%.64q", name)
	return quoted[1 : len(quoted)-1]
}
