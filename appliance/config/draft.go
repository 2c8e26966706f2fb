package config

import (
	"maps"
	"slices"
	"sync"
)

// A Draft holds the uncommitted changes of one session. A section that the draft does not change
// reads as the committed one, also after another session has committed it. A Draft is safe for
// concurrent use.
type Draft struct {
	store *Store
	mu    sync.RWMutex
	edits map[*spec]edit
}

// An edit is a change of one section: was is the committed value from which it started.
type edit struct{ was, now *entry }

func (d *Draft) entry(s *spec) *entry {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.entryLocked(s)
}

func (d *Draft) entryLocked(s *spec) *entry {
	if e, ok := d.edits[s]; ok {
		return e.now
	}
	return d.store.Committed().entry(s)
}

func (d *Draft) set(s *spec, now *entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setLocked(s, now)
}

func (d *Draft) setLocked(s *spec, now *entry) {
	e, ok := d.edits[s]
	if !ok {
		e.was = d.store.Committed().entry(s)
	}
	if e.now = now; equalXML(e.was, now) {
		delete(d.edits, s) // changed back
		return
	}
	d.edits[s] = e
}

// replace sets the section if its value is still before, and otherwise returns a ConflictError.
func (d *Draft) replace(s *spec, before, now *entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !equalXML(d.entryLocked(s), before) {
		return &ConflictError{[]string{s.name}}
	}
	d.setLocked(s, now)
	return nil
}

// rebase makes a change that started from before start from after, and applies redo to it. If redo
// fails, the changed value stays as it is: it is the decision of the draft's owner.
func (d *Draft) rebase(s *spec, before, after *entry, redo func(*entry) (*entry, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.edits[s]
	if !ok || !equalXML(e.was, before) {
		return
	}
	e.was = after
	if now, err := redo(e.now); err == nil {
		e.now = now
	}
	d.edits[s] = e
	if equalXML(e.was, e.now) {
		delete(d.edits, s)
	}
}

// ChangedSections returns the names of the changed sections, in the order of showconfig.
func (d *Draft) ChangedSections() []string {
	var names []string
	for _, s := range sortedSpecs(d.snapshot()) {
		names = append(names, s.name)
	}
	return names
}

func sortedSpecs[V any](m map[*spec]V) []*spec {
	var specs []*spec
	for s := range m {
		specs = append(specs, s)
	}
	slices.SortFunc(specs, compareSpecs)
	return specs
}

// Pending reports whether the draft has any changes.
func (d *Draft) Pending() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.edits) > 0
}

// Checkpoint returns a function that restores the present changes. The function does nothing if
// any session has committed in the meantime: the changes may have started from older values.
func (d *Draft) Checkpoint() (restore func()) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	committed, edits := d.store.Committed(), maps.Clone(d.edits)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.store.Committed() == committed {
			d.edits = maps.Clone(edits)
		}
	}
}

// Discard removes all changes.
func (d *Draft) Discard() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.edits)
}

// snapshot returns a copy of the changes. A commit works on it, and the draft may change meanwhile.
func (d *Draft) snapshot() map[*spec]edit {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return maps.Clone(d.edits)
}

// committed removes the changes of done, which are now committed. A section that was changed again
// since the snapshot stays changed, relative to the new committed value.
func (d *Draft) committed(done map[*spec]edit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s, e := range done {
		now, ok := d.edits[s]
		if !ok {
			continue
		}
		if now.was = e.now; equalXML(now.was, now.now) {
			delete(d.edits, s)
		} else {
			d.edits[s] = now
		}
	}
}
