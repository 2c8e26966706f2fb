package config

import (
	"maps"
	"slices"
	"sync"
)

// A Draft holds one session's uncommitted changes. Sections that it has not
// touched read as committed, whoever commits them. It is safe for concurrent use.
type Draft struct {
	store *Store
	mu    sync.RWMutex
	edits map[*spec]edit
}

// edit is a change of one section: was is the committed value it started from.
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
		delete(d.edits, s) // changed back: nothing to commit
		return
	}
	d.edits[s] = e
}

// replace is set, provided that the section still is what it was before.
func (d *Draft) replace(s *spec, before, now *entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !equalXML(d.entryLocked(s), before) {
		return &ConflictError{[]string{s.name}}
	}
	d.setLocked(s, now)
	return nil
}

// rebase lets a change that began from before begin from after, with redo applied
// to it. Where redo fails the change stays as it is: the draft's owner decided.
func (d *Draft) rebase(s *spec, before, after *entry, redo func(*entry) (*entry, error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.edits[s]
	if !ok || !equalXML(e.was, before) {
		return nil
	}
	e.was = after
	if now, err := redo(e.now); err == nil {
		e.now = now
	}
	d.edits[s] = e
	if equalXML(e.was, e.now) {
		delete(d.edits, s)
	}
	return nil
}

// Changed lists the names of the sections that the draft alters, in the order of
// showconfig.
func (d *Draft) ChangedSections() []string {
	var names []string
	for _, s := range d.changed() {
		names = append(names, s.name)
	}
	return names
}

func (d *Draft) changed() []*spec {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return sortedSpecs(d.edits)
}

func sortedSpecs[V any](m map[*spec]V) []*spec {
	var specs []*spec
	for s := range m {
		specs = append(specs, s)
	}
	slices.SortFunc(specs, compareSpecs)
	return specs
}

// Pending reports whether there is anything to commit.
func (d *Draft) Pending() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.edits) > 0
}

// Save returns a func that undoes what is changed from now on, unless something is
// committed in between: what a draft holds then is no longer what it was made of.
func (d *Draft) Checkpoint() (undo func()) {
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

// Discard forgets the changes.
func (d *Draft) Discard() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.edits)
}

// snapshot is what a commit works on while the draft's owner may go on.
func (d *Draft) snapshot() map[*spec]edit {
	d.mu.RLock()
	defer d.mu.RUnlock()
	m := make(map[*spec]edit, len(d.edits))
	for s, e := range d.edits {
		m[s] = e
	}
	return m
}

// committed forgets the changes of done, which are now committed. What was changed
// again meanwhile stays, as a change of the new value.
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
