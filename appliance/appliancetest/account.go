package appliancetest

import (
	"context"
	"strings"

	"golang.org/x/crypto/ssh"
)

// An Account is an account of the appliance that runs commands and opens sessions. They share one
// SSH connection, which is opened when it is needed and again after a reboot.
type Account struct {
	box              *Box
	user, passphrase string
	client           *ssh.Client // nil before the first session
}

// Account returns the account of that name, such as one that the test has made by userconfig. The
// passphrase is used when a session is opened.
func (b *Box) Account(user, passphrase string) *Account {
	a := &Account{box: b, user: user, passphrase: passphrase}
	b.t.Cleanup(a.close)
	return a
}

func (a *Account) close() {
	if a.client != nil {
		a.client.Close()
		a.client = nil
	}
}

// Dial opens an SSH connection for an account. The caller closes it.
func (b *Box) Dial(user, passphrase string) (*ssh.Client, error) {
	return ssh.Dial("tcp", b.SSHAddr, &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.Password(passphrase)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // the server is in this process
		Timeout:         waitTimeout,
	})
}

// newSession opens a session.
func (a *Account) newSession() *ssh.Session {
	t := a.box.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	err := a.box.WaitSettled(ctx)
	if err == nil && a.client != nil {
		if s, err := a.client.NewSession(); err == nil {
			return s
		}
		a.client.Close()
	}
	if err == nil {
		a.client, err = a.box.Dial(a.user, a.passphrase)
	}
	if err != nil {
		a.client = nil
		t.Fatalf("appliancetest: log in as %s: %v", a.user, err)
	}
	s, err := a.client.NewSession()
	if err != nil {
		t.Fatal("appliancetest: open a session: ", err)
	}
	return s
}

// Exec runs a command line of the factory account: see Account.Exec.
func (b *Box) Exec(command string, limits ...Limit) string {
	b.t.Helper()
	return b.factory.Exec(command, limits...)
}

// Login opens a session for the factory account: see Account.Login.
func (b *Box) Login() *Session {
	b.t.Helper()
	return b.factory.Login()
}

// Exec runs a command line as "ssh USER@esa COMMAND" does, and returns its output. If the exit
// status is not 0, or the command does not end within a minute, the test fails.
func (a *Account) Exec(command string, limits ...Limit) string {
	t := a.box.t
	t.Helper()
	s := a.newSession()
	defer s.Close()
	ctx, cancel := limited(t.Context(), limits)
	defer cancel()
	defer context.AfterFunc(ctx, func() { s.Close() })()
	out, err := s.CombinedOutput(command)
	switch {
	case ctx.Err() != nil:
		t.Fatalf("appliancetest: %s: %v; it printed%s", command, context.Cause(ctx), indented(string(out)))
	case err != nil:
		t.Fatalf("appliancetest: %s: %v; it printed%s", command, err, indented(string(out)))
	}
	return string(out)
}

// indented returns a text for a message of a failed test: on lines of its own, which are indented.
func indented(text string) string {
	text = strings.Trim(strings.ReplaceAll(text, "\r", ""), "\n")
	if text == "" {
		return " nothing"
	}
	return ":\n\t" + strings.ReplaceAll(text, "\n", "\n\t")
}
