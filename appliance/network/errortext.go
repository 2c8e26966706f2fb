package network

import (
	"context"
	"errors"
	"syscall"
)

// errorTexts are the texts of FreeBSD for errors of connecting.
var errorTexts = []struct {
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

// ErrorText returns the text of the appliance's operating system for an error of connecting to a
// host, such as "Connection refused". ok is false for any other error.
func ErrorText(err error) (text string, ok bool) {
	for _, e := range errorTexts {
		if errors.Is(err, e.err) {
			return e.text, true
		}
	}
	return "", false
}
