package netsim

import "errors"

// ErrStopped reports that a world is not running.
var ErrStopped = errors.New("the network has been shut down")

// A NotFoundError reports that there is no fault or no server of the given identifier.
type NotFoundError struct{ text string }

func (e *NotFoundError) Error() string { return e.text }

// A ConflictError reports that a request contradicts what there is: a name that several faults
// have, or too many faults.
type ConflictError struct{ text string }

func (e *ConflictError) Error() string { return e.text }
