package config

import (
	"context"
	"errors"
	"fmt"
)

// EditFactory changes the factory configuration of a store that is in use, and makes the appliance
// agree with it: sections that no commit has set get the new values at once, as by Commit. Other
// sections stay as they are. Nothing is saved, since a factory never is, and the revision stays the
// same. edit changes a copy of the present factory.
//
// If the result is not valid or cannot be applied, everything stays as it was. The error is then a
// refusal or an internal error. A draft that changes a section which gets a new value cannot be
// committed any more, as if another session had committed that section.
func (s *Store) EditFactory(ctx context.Context, edit func(*Factory)) error {
	ctx = context.WithoutCancel(ctx)
	s.commit.Lock()
	defer s.commit.Unlock()
	old := s.Committed()
	next := &Config{
		rev: old.rev, edition: old.edition + 1, set: old.set, factory: old.factory.Clone(),
	}
	edit(next.factory)
	if err := next.factory.Check(); err != nil {
		return fmt.Errorf("config: factory configuration: %w", err)
	}
	if err := next.check(); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if undo, err := s.apply(ctx, old, next); err != nil {
		return errors.Join(fmt.Errorf("config: apply: %w", err), undo())
	}
	s.current.Store(next)
	for _, a := range s.appliers {
		a.Done(ctx, old, next)
	}
	return nil
}
