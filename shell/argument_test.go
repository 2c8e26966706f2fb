package shell_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// The refusal of an argument keeps what is behind it, as that of an answer does.
func TestInvalidArgumentKeepsItsCause(t *testing.T) {
	err := error(&shell.InvalidArgumentError{Text: "No.", Value: "x", Cause: syscall.EIO})
	if text, ok := refusal.Text(err); text != "No." || !ok || !errors.Is(err, syscall.EIO) ||
		!errors.Is(refusal.Cause(err), syscall.EIO) {
		t.Errorf("%q, %t, cause %v", text, ok, refusal.Cause(err))
	}
	if cause := refusal.Cause(shell.InvalidArgumentf("x", "No.")); cause != nil {
		t.Errorf("the cause is %v", cause)
	}
}
