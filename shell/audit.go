package shell

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/users"
)

// What the appliance's logs say of logins and of what is typed (logs.md 3.5).

// audit logs a line that the user has entered, with the text of the question.
func (s *session) audit(prompt, line string) {
	s.appliance.Log(appliance.CLILog, appliance.Information,
		fmt.Sprintf("PID %d: User %s entered %s; prompt was %s", s.login.ID(), s.account.Name, QuoteForLog(line), QuoteForLog(prompt)))
}

// discreet is a command line as it may be logged. What is typed after a command that
// takes no passphrases there may still be one.
func (s *session) discreet(line string) string {
	before := 0
	for piece := range strings.SplitSeq(line, ";") {
		word, after, _ := strings.Cut(strings.TrimSpace(piece), " ")
		if c := s.catalog.find(word); c != nil && c.Secret && after != "" {
			return line[:before+strings.Index(piece, word)+len(word)] + " ********"
		}
		before += len(piece) + 1
	}
	return line
}

// QuoteForLog is a text in single quotes, as the CLI log has it. The log itself writes a
// newline as \n.
func QuoteForLog(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

// LoginMessage is the line of the authentication log for a login: from where ("from
// 1.128.3.4"), and how ("using an SSH connection"), which may be empty.
func LoginMessage(a users.Account, from, how string) string {
	return strings.TrimSpace(fmt.Sprintf("The user %s successfully logged on %s with privilege %s %s", a.Name, from, a.Role.Groups()[0], how)) + "."
}

// FailedLoginMessage is the line for a login that failed. The name is what a stranger chose.
func FailedLoginMessage(name, from, how string) string {
	return strings.TrimSpace(fmt.Sprintf("An authentication attempt by the user %s %s failed %s", printable(name), from, how)) + "."
}

// printable makes a name that a stranger chose fit for a log.
func printable(name string) string {
	quoted := fmt.Sprintf("%.64q", name)
	return quoted[1 : len(quoted)-1]
}
