package upload

import (
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
	"syscall"
	"unicode"

	"github.com/esasim/esasim/appliance/network"
	"golang.org/x/crypto/ssh"
)

// A stepError is an error and the step that failed, in words for an administrator.
type stepError struct {
	step string
	err  error
}

func (f *stepError) Error() string { return f.step + reasonText(f.err) }
func (f *stepError) Unwrap() error { return f.err }

// A serverReply is an error text that a server has sent.
type serverReply string

func (r serverReply) Error() string { return string(r) }

// Errors of this package; reasons has their texts.
var (
	errNameNotResolved = errors.New("the host name could not be resolved")
	errHostKeyUnknown  = errors.New("the host key of the server is not known")
	errHostKeyMismatch = errors.New("the host key of the server is not the known one")
	errKeyRefused      = errors.New("the server does not accept the appliance's public key for this user")
	errNoSSH           = errors.New("the server does not speak SSH")
	errNoSCP           = errors.New("the server does not speak SCP")
)

// reasons are the texts for errors that network.ErrorText does not know.
var reasons = []struct {
	err  error
	text string
}{
	{errNameNotResolved, "The host name could not be resolved"},
	{errHostKeyUnknown, "The host key of the server is not known"},
	{errHostKeyMismatch, "The host key of the server is not the known one"},
	{errKeyRefused, "The server does not accept the appliance's public key for this user"},
	{errNoSSH, "The server does not speak SSH"},
	{errNoSCP, "The server does not speak SCP"},
	{syscall.ECONNRESET, "Connection reset by peer"},
	{syscall.EPIPE, "Connection closed by peer"},
	{io.EOF, "Connection closed by peer"},
	{io.ErrUnexpectedEOF, "Connection closed by peer"},
}

// maxReply bounds, in bytes, how much of a server's text is quoted.
const maxReply = 200

// reasonText returns a text for an administrator that says what went wrong, without a full stop.
func reasonText(err error) string {
	var step *stepError
	if errors.As(err, &step) {
		return step.Error()
	}
	var ftpReply *textproto.Error
	var reply serverReply
	switch {
	case errors.As(err, &ftpReply):
		return cleanReply(ftpReply.Msg)
	case errors.As(err, &reply):
		return cleanReply(string(reply))
	}
	if text, ok := network.ErrorText(err); ok {
		return text
	}
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.text
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "Operation timed out"
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return "The transfer was refused"
	}
	return "Input/output error"
}

// cleanReply returns a server's text in a form that fits into a line of a log.
func cleanReply(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
	text = strings.Join(words, " ")
	text = strings.TrimSuffix(text, ".")
	if len(text) > maxReply {
		text = strings.ToValidUTF8(text[:maxReply], "") + "..."
	}
	if text == "" {
		return "The server gives no reason"
	}
	return text
}

// isConnectionError reports whether an error is that of a connection, and not a server's reply.
func isConnectionError(err error) bool {
	var op net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}
