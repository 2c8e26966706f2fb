package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// A Kind is a class of trouble.
type EventKind int

// The kinds.
const (
	// Broken: the server closed the open connection, by FIN or RST (A2, A13).
	ConnectionBroken EventKind = iota
	// Unreachable: there is no connection, or the one there was fell silent (A35).
	Unreachable
	// Full: what waits has reached its bound, new records are dropped.
	BufferFull
	// Dropped: that is over, and how many there were.
	RecordsDropped
	// DiskFailed: the buffer on disk cannot be written or read.
	DiskFailed
	// InDoubt: after a break, which records are sent again and which may be lost.
	RecordsInDoubt
)

// Grave reports whether the kind deserves an alert and a critical line; others are for
// the log.
func (k EventKind) Critical() bool { return k != RecordsDropped && k != RecordsInDoubt }

// An Event is what an administrator should know.
type Event struct {
	Kind EventKind
	Text string // a line for the log and the alert
	// Records is how many were dropped (Dropped), or may be lost (InDoubt).
	Records int
}

// text is an Event's; the first words are the same in all grave ones.
func (p *Pusher) text(k EventKind, format string, args ...any) string {
	text := "Subscription " + p.settings.Subscription + ": " + fmt.Sprintf(format, args...)
	if k.Critical() {
		return "Log Error: " + text
	}
	return text
}

// event makes an Event.
func (p *Pusher) event(k EventKind, records int, format string, args ...any) {
	text := p.text(k, format, args...)
	p.mu.Lock()
	p.events = append(p.events, Event{Kind: k, Text: text, Records: records})
	if k.Critical() {
		p.stats.LastError = text
	}
	p.mu.Unlock()
	signal(p.work)
}

// closed reports whether an error is a packet's that closes a connection (A13).
func closed(err error) bool {
	var alert tls.AlertError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &alert) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// ours reports whether the appliance itself ended a connection: its address has gone, or
// it stops.
func ours(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, context.Canceled)
}

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
}

// reason says for an administrator why there is no connection.
func reason(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.text
		}
	}
	var name *lookupError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &name):
		return "The host name could not be resolved"
	case errors.As(err, &unknown):
		return "The server's certificate is not from a trusted authority"
	case errors.As(err, &host):
		return "The server's certificate is not for this name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "The server's certificate has expired or is not yet valid"
	case errors.As(err, &invalid):
		return "The server's certificate is not valid"
	case errors.As(err, &record):
		return "The server does not speak TLS"
	}
	if text := err.Error(); strings.Contains(text, "tls: ") {
		return "TLS could not be negotiated"
	}
	return "Input/output error"
}

// A lookupError is what the resolver says.
type lookupError struct{ err error }

func (e *lookupError) Error() string { return e.err.Error() }
func (e *lookupError) Unwrap() error { return e.err }
