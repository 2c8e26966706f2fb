package commands

import (
	"errors"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/refusal"
)

// This file holds the code of commands that connect to mail servers.

// smtpStepTimeout is how long each step of a test may take. It is short because an
// administrator is waiting for the result.
const smtpStepTimeout = 30 * time.Second

// connectFailureText returns a sentence that says why a connection attempt failed.
func connectFailureText(err error) string {
	for _, e := range []struct {
		errno syscall.Errno
		text  string
	}{
		{syscall.ECONNREFUSED, "The connection was refused."},
		{syscall.ETIMEDOUT, "The connection attempt timed out."},
		{syscall.ECONNRESET, "The connection was reset."},
		{syscall.EHOSTUNREACH, "The host cannot be reached."},
		{syscall.ENETUNREACH, "There is no route to the host."},
		{syscall.EADDRNOTAVAIL, "The selected interface does not have its address."},
	} {
		if errors.Is(err, e.errno) {
			return e.text
		}
	}
	return "The network refused the connection attempt."
}

// smtpFailure returns a refusal that says how a step failed.
func smtpFailure(conn *mail.Conn, err error) error {
	var e *mail.Error
	if !errors.As(err, &e) {
		return err
	}
	what := "Command " + string(e.Step)
	switch e.Step {
	case mail.Greeting:
		what = "The greeting of the server"
	case mail.Body:
		what = "The message body"
	}
	text := what + " failed"
	_, offersTLS := conn.Extension("STARTTLS")
	switch {
	case errors.Is(err, mail.ErrUnexpected):
		text += " with an unexpected answer: " + visible(e.Reply.String())
	case e.Err == nil && e.Temporary():
		text += " with a temporary error: " + visible(e.Reply.String())
	case e.Err == nil:
		text += " with a permanent error: " + visible(e.Reply.String())
	case e.Timeout():
		text += ". The server did not answer in time."
	case errors.Is(err, mail.ErrTLSOnly):
		text += ". The server speaks TLS only."
	case errors.Is(err, mail.ErrClosed):
		text += ". The server closed the connection."
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		text += ". The connection was reset."
	case errors.Is(err, mail.ErrMalformed):
		text += ". The answer of the server is not SMTP."
	default:
		text += ". The connection broke."
	}
	if e.Reply.Code == 530 && offersTLS {
		text += "\nThe server takes mail over TLS only (STARTTLS)."
	}
	return refusal.New(text)
}
