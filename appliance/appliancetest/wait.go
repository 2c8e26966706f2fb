package appliancetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/events"
)

// WaitFor waits until something happens, or has happened since the start, and returns what it was.
// what is one of box.WaitWords, such as "log", "mail", "alert" or "fault-hit", or a kind of event;
// match is a regular expression, or for "packet" a filter as of tcpdump. If it does not happen
// within a minute, the test fails.
//
//	box.WaitFor(t, "log", `MID \d+ queued for delivery`)
//
// Box.Box.WaitFor takes a context and a cursor, and returns an error.
func (b *Box) WaitFor(t testing.TB, what, match string, limits ...Limit) box.Waited {
	t.Helper()
	return b.WaitSince(t, 0, what, match, limits...)
}

// WaitSince is WaitFor for what has happened after a cursor: see box.Box.Cursor.
func (b *Box) WaitSince(t testing.TB, cursor uint64, what, match string, limits ...Limit) box.Waited {
	t.Helper()
	ctx, cancel := limited(t.Context(), limits)
	defer cancel()
	happened, err := b.Box.WaitFor(ctx, box.WaitRequest{For: what, Match: match, Since: cursor})
	var late *limitError
	switch {
	case errors.As(err, &late):
		t.Fatalf("appliancetest: %s did not happen within %v%s", what, late.limit,
			indented(cmp.Or(match, "any")))
	case err != nil:
		t.Fatal("appliancetest: wait: ", err)
	}
	return happened
}

// Happened returns the events after a cursor whose kind is one of kinds, or begins with one, such as
// "login" or "mail.out". No kinds means all events. If the events are no longer kept, the test fails.
// Box.Box.Events goes on with what will happen.
func (b *Box) Happened(t testing.TB, cursor uint64, kinds ...string) []events.Event {
	t.Helper()
	list, err := b.EventStream().After(cursor)
	if err != nil {
		t.Fatal("appliancetest: events: ", err)
	}
	f := events.Filter{Kinds: kinds}
	return slices.DeleteFunc(slices.Clone(list), func(e events.Event) bool { return !f.Selects(e) })
}

// Reset puts the appliance and its world back to the state after the start; faults of the option
// Faults come back. The addresses of the doors stay the same. Sessions end.
func (b *Box) Reset(t testing.TB) {
	t.Helper()
	b.factory.close()
	if err := b.reset(t.Context()); err != nil {
		t.Fatal("appliancetest: reset: ", err)
	}
}

func (b *Box) reset(ctx context.Context) error {
	if err := b.Box.Reset(ctx); err != nil {
		return err
	}
	return b.addFaults()
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
