package refusal

import (
	"errors"
	"fmt"
)

// An Error is a refusal: a text for the administrator, and optionally its cause. Make
// one with New, Newf or Because.
type Error struct {
	text  string
	cause error // nil if nothing else is behind it
}

// New returns a refusal with the given text, one or more whole sentences. The text is
// shown as it stands.
func New(text string) error { return &Error{text: text} }

// Newf returns a refusal whose text is formatted as by fmt.Sprintf. It does not wrap
// errors: use Because for those.
func Newf(format string, a ...any) error { return &Error{text: fmt.Sprintf(format, a...)} }

// Because returns a refusal whose text is formatted as by fmt.Sprintf. The cause is found
// by errors.Is and errors.As and is part of Error, but not of the text. A nil cause is
// allowed.
func Because(cause error, format string, a ...any) error {
	return &Error{fmt.Sprintf(format, a...), cause}
}

// Text returns the text of the first refusal in err's tree, in the order of errors.As; ok
// reports whether there is one.
func Text(err error) (text string, ok bool) {
	var e *Error
	if !errors.As(err, &e) {
		return "", false
	}
	return e.text, true
}

// Cause returns the cause of the first refusal in err's tree, in the order of errors.As. It
// returns nil if there is no refusal or nothing is behind it.
func Cause(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return nil
	}
	return e.cause
}

// Text returns what the administrator may see.
func (e *Error) Text() string { return e.text }

// Error returns the text and, in parentheses, the cause. It is for logs and tests.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.text
	}
	return e.text + " (" + e.cause.Error() + ")"
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }
