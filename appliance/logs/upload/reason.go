package upload

import (
	"context"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// A failure is an error with what was tried in front, in words for an administrator.
type failure struct {
	what string
	err  error
}

func (f *failure) Error() string { return f.what + sentence(f.err) }
func (f *failure) Unwrap() error { return f.err }

// A reply is a server's own words.
type reply string

func (r reply) Error() string { return string(r) }

// Reasons that are this package's own.
var (
	errNoName     = errors.New("the host name could not be resolved")
	errUnknownKey = errors.New("the host key of the server is not known")
	errOtherKey   = errors.New("the host key of the server is not the known one")
	errKeyRefused = errors.New("the server does not accept the appliance's public key for this user")
	errNoSSH      = errors.New("the server does not speak SSH")
	errNoSCP      = errors.New("the server does not speak SCP")
)

// reasons are the words for what the system says of a connection.
var reasons = []struct {
	err  error
	text string
}{
	{syscall.ECONNREFUSED, "Connection refused"},
	{syscall.ETIMEDOUT, "Operation timed out"},
	{context.DeadlineExceeded, "Operation timed out"},
	{syscall.EHOSTUNREACH, "No route to host"},
	{syscall.EHOSTDOWN, "Host is down"},
	{syscall.ENETUNREACH, "Network is unreachable"},
	{syscall.EADDRNOTAVAIL, "Can't assign requested address"},
	{errNoName, "The host name could not be resolved"},
	{errUnknownKey, "The host key of the server is not known"},
	{errOtherKey, "The host key of the server is not the known one"},
	{errKeyRefused, "The server does not accept the appliance's public key for this user"},
	{errNoSSH, "The server does not speak SSH"},
	{errNoSCP, "The server does not speak SCP"},
	{syscall.ECONNRESET, "Connection reset by peer"},
	{syscall.EPIPE, "Connection closed by peer"},
	{io.EOF, "Connection closed by peer"},
	{io.ErrUnexpectedEOF, "Connection closed by peer"},
}

// mostReply bounds what is repeated of a server's words.
const mostReply = 200

// sentence says for an administrator what went wrong.
func sentence(err error) string {
	var said *failure
	if errors.As(err, &said) {
		return said.Error()
	}
	var ftp *textproto.Error
	var own reply
	switch {
	case errors.As(err, &ftp):
		return quoted(ftp.Msg)
	case errors.As(err, &own):
		return quoted(string(own))
	}
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.text
		}
	}
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		return "Operation timed out"
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return "The transfer was refused"
	}
	return "Input/output error"
}

// quoted is a server's text as a line of a log can have it.
func quoted(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	text = strings.TrimSuffix(text, ".")
	if len(text) > mostReply {
		text = strings.ToValidUTF8(text[:mostReply], "") + "..."
	}
	if text == "" {
		return "The server gives no reason"
	}
	return text
}

// broken reports whether an error is the connection's, not what the server says.
func broken(err error) bool {
	var op net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}
