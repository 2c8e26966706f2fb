package refusal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/esasim/esasim/appliance/refusal"
)

func TestTextIsFoundThroughWrapping(t *testing.T) {
	err := fmt.Errorf("open accounts: %w", refusal.Newf("There are more than %d accounts.", 5))
	if text, ok := refusal.Text(err); !ok || text != "There are more than 5 accounts." {
		t.Errorf("Text: %q, %v", text, ok)
	}
}

func TestOtherErrorsHaveNoText(t *testing.T) {
	for _, err := range []error{nil, fs.ErrNotExist} {
		if text, ok := refusal.Text(err); ok || text != "" {
			t.Errorf("Text(%v): %q, %v; want none", err, text, ok)
		}
	}
}

func TestTheCauseIsLoggedButNotShown(t *testing.T) {
	err := refusal.Because(fs.ErrPermission, "The file %s cannot be read.", "ca.pem")
	if text, _ := refusal.Text(err); text != "The file ca.pem cannot be read." {
		t.Errorf("Text: %q", text)
	}
	if got, want := err.Error(), "The file ca.pem cannot be read. (permission denied)"; got != want {
		t.Errorf("Error: %q; want %q", got, want)
	}
	if got := refusal.Cause(fmt.Errorf("read: %w", err)); got != fs.ErrPermission {
		t.Errorf("Cause: %v", got)
	}
	for _, other := range []error{nil, fs.ErrPermission, refusal.New("No.")} {
		if got := refusal.Cause(other); got != nil {
			t.Errorf("Cause(%v): %v; want none", other, got)
		}
	}
	if !errors.Is(err, fs.ErrPermission) {
		t.Error("errors.Is does not find the cause")
	}
}
