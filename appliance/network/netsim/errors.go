package netsim

import (
	"errors"
	"fmt"
)

// ErrStopped reports that a world is not running.
var ErrStopped = errors.New("the network has been shut down")

// A NotFoundError reports that there is no fault, server, rule or message of the given identifier.
type NotFoundError struct{ text string }

func (e *NotFoundError) Error() string { return e.text }

// NotFound returns a *NotFoundError with a text of one line.
func NotFound(format string, args ...any) error {
	return &NotFoundError{fmt.Sprintf(format, args...)}
}

// A ConflictError reports that a request contradicts what there is: a name that several faults
// have, or too many faults or rules.
type ConflictError struct{ text string }

func (e *ConflictError) Error() string { return e.text }

// Conflict returns a *ConflictError with a text of one line.
func Conflict(format string, args ...any) error {
	return &ConflictError{fmt.Sprintf(format, args...)}
}
