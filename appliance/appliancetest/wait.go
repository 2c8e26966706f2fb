package appliancetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/esasim/esasim/appliance/box"
)

// WaitFor waits until something happens, or has happened since the start, and returns what it was.
// what is one of box.WaitWords, such as "log", "mail", "alert" or "fault-hit", or a kind of event;
// match is a regular expression, or for "packet" a filter as of tcpdump. If it does not happen
// within a minute, the test fails.
//
//	box.WaitFor(t, "log", `MID \d+ queued for delivery`)
//
// Box.Box.WaitFor takes a context and a cursor, and returns an error.
func (b *Box) WaitFor(t testing.TB, what, match string) box.Waited {
	t.Helper()
	return b.WaitSince(t, 0, what, match)
}

// WaitSince is WaitFor for what has happened after a cursor: see box.Box.Cursor.
func (b *Box) WaitSince(t testing.TB, cursor uint64, what, match string) box.Waited {
	t.Helper()
	timedOut := errors.New("the time is over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), waitTimeout, timedOut)
	defer cancel()
	happened, err := b.Box.WaitFor(ctx, box.WaitRequest{For: what, Match: match, Since: cursor})
	switch {
	case errors.Is(err, timedOut):
		t.Fatalf("appliancetest: %s did not happen within %v:\n\t%s", what, waitTimeout,
			cmp.Or(match, "any"))
	case err != nil:
		t.Fatal("appliancetest: wait: ", err)
	}
	return happened
}

// Reset puts the appliance and its world back to the state after the start; faults of the option
// Faults come back. The addresses of the doors stay the same. Sessions end.
func (b *Box) Reset(t testing.TB) {
	t.Helper()
	if b.client != nil {
		b.client.Close()
		b.client = nil
	}
	if err := b.Box.Reset(t.Context()); err != nil {
		t.Fatal("appliancetest: reset: ", err)
	}
	if err := b.addFaults(); err != nil {
		t.Fatal("appliancetest: reset: ", err)
	}
}

// addFaults adds the faults of the option Faults.
func (b *Box) addFaults() error {
	for _, r := range b.faults {
		if _, err := b.Faults().Add(r); err != nil {
			return fmt.Errorf("add a fault: %w", err)
		}
	}
	return nil
}
