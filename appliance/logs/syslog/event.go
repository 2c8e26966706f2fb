package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strconv"
	"strings"
	"syscall"

	"github.com/esasim/esasim/appliance/network"
)

// An EventKind is a class of events.
type EventKind int

// The kinds of events.
const (
	// ConnectionBroken: the server closed an established connection, by FIN or RST (A2, A13).
	ConnectionBroken EventKind = iota
	// Unreachable: a connection cannot be opened, or the server fell silent (A35).
	Unreachable
	// BufferFull: the queue has reached its limit, new records are dropped.
	BufferFull
	// RecordsDropped: records are accepted again; how many were dropped.
	RecordsDropped
	// DiskFailed: the buffer on disk cannot be written or read.
	DiskFailed
	// RecordsInDoubt: after a break, how many records are sent again and how many may be lost.
	RecordsInDoubt
)

// Critical reports whether the kind deserves an alert and a critical log line. Other kinds are
// for the log only.
func (k EventKind) Critical() bool { return k != RecordsDropped && k != RecordsInDoubt }

// An Event is what an administrator should know.
type Event struct {
	Kind EventKind
	Text string // a line for the log and the alert
	// Records is how many were dropped (RecordsDropped), or may be lost (RecordsInDoubt).
	Records int
}

// eventText returns the text of an Event; the texts of all critical ones begin with the same
// words.
func (p *Pusher) eventText(k EventKind, format string, args ...any) string {
	text := "Subscription " + p.settings.Subscription + ": " + fmt.Sprintf(format, args...)
	if k.Critical() {
		return "Log Error: " + text
	}
	return text
}

// addEvent queues an Event for delivery.
func (p *Pusher) addEvent(k EventKind, records int, format string, args ...any) {
	text := p.eventText(k, format, args...)
	p.mu.Lock()
	p.events = append(p.events, Event{Kind: k, Text: text, Records: records})
	if k.Critical() {
		p.stats.LastError = text
	}
	p.mu.Unlock()
	wake(p.spoolerWake)
}

// isClosedByServer reports whether an error was caused by a packet that closes a connection
// (A13).
func isClosedByServer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isClosedLocally reports whether the appliance itself ended a connection: its address was
// removed, or it stops.
func isClosedLocally(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNABORTED) ||
		errors.Is(err, context.Canceled)
}

// reasonText returns, for an administrator, the reason why there is no connection.
func reasonText(err error) string {
	if text, ok := network.ErrorText(err); ok {
		return text
	}
	var name *lookupError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var refused sessionRefusedError
	switch {
	case errors.As(err, &refused):
		return refused.text()
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

// A sessionRefusedError is the fatal alert by which a server has refused a TLS session. The value
// is the alert's code.
type sessionRefusedError uint8

func (e sessionRefusedError) Error() string { return e.text() }

// text returns the error in words for an administrator.
func (e sessionRefusedError) text() string {
	name := alertNames[uint8(e)]
	if name == "" {
		name = "alert " + strconv.Itoa(int(e))
	}
	return "The server refuses the TLS session: " + name
}

// alertNames are the names of RFC 8446, section 6.2, for alerts that refuse a session.
var alertNames = map[uint8]string{
	10: "unexpected message", 20: "bad record MAC", 22: "record overflow",
	40: "handshake failure", 42: "bad certificate", 43: "unsupported certificate",
	44: "certificate revoked", 45: "certificate expired", 46: "certificate unknown",
	47: "illegal parameter", 48: "unknown CA", 49: "access denied", 50: "decode error",
	51: "decrypt error", 70: "protocol version", 71: "insufficient security",
	80: "internal error", 86: "inappropriate fallback", 90: "user canceled",
	109: "missing extension", 110: "unsupported extension", 112: "unrecognized name",
	113: "bad certificate status response", 115: "unknown PSK identity",
	116: "certificate required", 120: "no application protocol",
}

// refusalOf returns the sessionRefusedError that err is about, or err. Package crypto/tls has no
// exported type for a received alert; its own type is a uint8.
func refusalOf(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		if v := reflect.ValueOf(op.Err); v.Kind() == reflect.Uint8 {
			return sessionRefusedError(v.Uint())
		}
	}
	return err
}

// A lookupError is an error of the resolver.
type lookupError struct{ err error }

func (e *lookupError) Error() string { return e.err.Error() }
func (e *lookupError) Unwrap() error { return e.err }
