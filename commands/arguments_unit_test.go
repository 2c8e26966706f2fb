package commands

import (
	"errors"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// An argument that names no operation, or one that is not possible now, is refused with what the
// menu itself says.
func TestInlineOperationsAreRefusedAsInTheMenu(t *testing.T) {
	m := shell.Menu{Items: []shell.Item{
		{Key: "START", Hidden: true}, {Key: "SETUP"}, {Key: "SETTINGS"},
	}}
	for word, want := range map[string]string{
		"start": "The operation START is not possible now.",
		"set":   "The word set is ambiguous: it may mean SETUP or SETTINGS.",
		"other": "Expected one of: setup, settings.",
	} {
		_, err := findInline(word, m)
		var invalid *shell.InvalidArgumentError
		if !errors.As(err, &invalid) || invalid.Text != want || invalid.Value != word {
			t.Errorf("%s: %v, want %s", word, err, want)
		}
	}
	if item, err := findInline("setu", m); item.Key != "SETUP" || err != nil {
		t.Errorf("%q, %v", item.Key, err)
	}
}

// The refusal of an argument has the cause of the refusal of the answer, which is logged.
func TestInvalidArgumentHasTheAnswersCause(t *testing.T) {
	err := invalidArgument("x", refusal.Because(syscall.EIO, "It cannot be read."))
	if text, ok := refusal.Text(err); text != "It cannot be read." || !ok {
		t.Errorf("%q, %t", text, ok)
	}
	if cause := refusal.Cause(err); !errors.Is(cause, syscall.EIO) {
		t.Errorf("the cause is %v", cause)
	}
}
