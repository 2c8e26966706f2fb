package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/refusal"
)

// A Config is one version of the whole configuration. It never changes, and as its
// sections are kept encoded nobody can reach a value in it by pointer.
type Config struct {
	rev     int
	set     map[string]*entry // what differs from the factory
	factory *Factory
}

// Rev is the number of the commit that made c; 0 is the factory configuration.
func (c *Config) Revision() int { return c.rev }

func (c *Config) entry(s *spec) *entry {
	if e := c.set[s.name]; e != nil {
		return e
	}
	return c.factory.entry(s)
}

// with is c with edits, as revision rev.
func (c *Config) with(edits map[*spec]edit, rev int) *Config {
	next := &Config{rev: rev, set: make(map[string]*entry, len(c.set)+len(edits)), factory: c.factory}
	maps.Copy(next.set, c.set)
	for s, e := range edits {
		if equalXML(e.now, c.factory.entry(s)) {
			delete(next.set, s.name)
		} else {
			next.set[s.name] = e.now
		}
	}
	return next
}

// check runs the checks of all sections. Its error is an *InvalidError.
func (c *Config) check() error {
	var bad []Problem
	for _, s := range allSections() {
		if err := s.check(c); err != nil {
			bad = append(bad, Problem{s.name, err.Error()})
		}
	}
	if bad != nil {
		return &InvalidError{bad}
	}
	return nil
}

// A Problem is what a section's check has to say.
type Problem struct{ Section, Text string }

// An InvalidError lists all that makes a configuration unfit to be committed. The
// texts are meant for the administrator.
type InvalidError struct{ Problems []Problem }

func (e *InvalidError) Error() string {
	var texts []string
	for _, p := range e.Problems {
		texts = append(texts, p.Section+": "+p.Text)
	}
	return "config: invalid: " + strings.Join(texts, "; ")
}

// A ConflictError says that another session changed the same sections first.
type ConflictError struct{ Sections []string }

func (e *ConflictError) Error() string {
	return "config: changed by another session: " + strings.Join(e.Sections, ", ")
}

// A SaveError says that a commit could not be stored, and was undone.
type SaveError struct{ Err error }

func (e *SaveError) Error() string { return "config: saving the commit: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *SaveError) Unwrap() error { return e.Err }

// ErrNoChanges is Commit's answer to a draft without changes.
var ErrNoChanges = errors.New("config: no changes to commit")

// An Applier makes the running appliance agree with a new configuration. Its
// methods are called one at a time, and never concurrently with those of another
// applier of the same store.
type Applier interface {
	// Apply moves from old to new, or fails. After a failure the store calls
	// Apply(ctx, new, old) on this applier and on those before it, last first, so
	// Apply must cope with being half-way. What cannot be undone belongs in Done.
	Apply(ctx context.Context, old, new *Config) error
	// Done is called once new is the committed configuration. It must not wait for
	// a session, which may itself be waiting to commit.
	Done(ctx context.Context, old, new *Config)
}

// Undoes reports whether the call Apply(ctx, old, new) of an Applier undoes a commit.
func Undoes(old, new *Config) bool { return new.rev < old.rev }

// Options say where a configuration is kept and where it comes from. The zero
// value is a configuration in memory.
type Options struct {
	Dir     string       // "" keeps it in memory; created if need be
	Factory *Factory     // nil alters nothing
	Clock   clock.Clock  // stamps commits; nil means the system's
	Logger  *slog.Logger // for the program's operator; nil discards
	Reset   bool         // start from the factory configuration whatever is in Dir
}

// A Store holds the committed configuration. It is safe for concurrent use.
type Store struct {
	current atomic.Pointer[Config]
	factory *Factory
	clock   clock.Clock
	log     *slog.Logger

	commit   sync.Mutex // held for a whole commit; guards what follows
	appliers []Applier
	archive  archive

	history sync.Mutex // guards what follows; taken after commit
	last    *record
	older   []Revision // older ones that can be rolled back to, newest first
}

// A Change says who commits and why.
type CommitInfo struct {
	User, Comment   string
	KeepForRollback bool // keep this version for rollbackconfig once it is superseded
}

// A Revision is one committed version.
type Revision struct {
	Number int
	At     time.Time
	CommitInfo
}

// keep is how many older versions rollbackconfig offers.
const maxRevisions = 10

// NewStore returns a store in memory at the sections' defaults.
func NewStore(appliers ...Applier) *Store {
	s, err := Open(Options{})
	if err != nil {
		panic(err) // a default that its own check refuses
	}
	s.appliers = appliers
	return s
}

// Open returns the store kept in o.Dir; it begins in the factory configuration if
// there is none. What cannot be read, or is damaged, is an error that names the
// file: nothing is ever reset unasked.
func Open(o Options) (*Store, error) {
	s := &Store{factory: NewFactory(), clock: o.Clock, log: o.Logger, archive: &memory{}}
	if o.Factory != nil {
		s.factory.set = maps.Clone(o.Factory.set)
	}
	if s.clock == nil {
		s.clock = clock.System()
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := (&Config{factory: s.factory}).check(); err != nil {
		return nil, fmt.Errorf("config: factory configuration: %w", err)
	}
	s.last = &record{Revision: Revision{At: s.clock.Now(), CommitInfo: CommitInfo{Comment: "Factory configuration", KeepForRollback: true}}}
	if o.Dir != "" {
		if err := s.openDir(o); err != nil {
			return nil, err
		}
	}
	s.current.Store(&Config{rev: s.last.Number, set: s.last.set, factory: s.factory})
	return s, nil
}

func (s *Store) openDir(o Options) error {
	dir := &directory{path: o.Dir, factory: s.factory}
	numbers, err := dir.open()
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	s.archive = dir
	if len(numbers) == 0 {
		return nil
	}
	newest := numbers[len(numbers)-1]
	older := numbers[:len(numbers)-1]
	if o.Reset {
		s.last.Number, older = newest+1, numbers
		if err := dir.save(s.last); err != nil {
			return fmt.Errorf("config: starting from the factory configuration: %w", err)
		}
	} else {
		if s.last, err = dir.load(newest); err != nil {
			return fmt.Errorf("config: %w", err)
		}
		if err := (&Config{set: s.last.set, factory: s.factory}).check(); err != nil {
			return fmt.Errorf("config: %s: %w", dir.file(newest), err)
		}
	}
	for _, n := range slices.Backward(older) {
		rev, err := dir.revision(n)
		if err != nil {
			s.log.Warn("an older configuration cannot be rolled back to", "err", err)
			continue
		}
		if rev.KeepForRollback && len(s.older) < maxRevisions {
			s.older = append(s.older, rev)
		} else if err := dir.remove(n); err != nil { // a crash came between a commit and this
			s.log.Warn("removing an old configuration", "err", err)
		}
	}
	return nil
}

// Committed returns the committed configuration.
func (s *Store) Committed() *Config { return s.current.Load() }

// Edit begins an empty draft.
func (s *Store) NewDraft() *Draft { return &Draft{store: s, edits: map[*spec]edit{}} }

// AddApplier adds a to the appliers, which are called in the order they were
// added. It does not apply anything: parts read Committed when they start.
func (s *Store) AddApplier(a Applier) {
	s.commit.Lock()
	defer s.commit.Unlock()
	s.appliers = append(s.appliers, a)
}

// Commit checks the draft, applies it, saves it and makes it the committed
// configuration: all of it or none of it. It waits for other commits, and the end
// of ctx does not stop it, so that a connection that breaks leaves nothing
// half-done. When Commit returns nil the configuration is on disk, and d holds only
// what was changed in it meanwhile.
//
// Errors: ErrNoChanges, *ConflictError, *InvalidError, *SaveError; any other is
// an applier's.
func (s *Store) Commit(ctx context.Context, d *Draft, c CommitInfo) (*Config, error) {
	ctx = context.WithoutCancel(ctx)
	s.commit.Lock()
	defer s.commit.Unlock()
	edits := d.snapshot()
	if len(edits) == 0 {
		return nil, ErrNoChanges
	}
	old := s.Committed()
	var clash []string
	for _, sp := range sortedSpecs(edits) {
		if !equalXML(edits[sp].was, old.entry(sp)) {
			clash = append(clash, sp.name)
		}
	}
	if clash != nil {
		return nil, &ConflictError{clash}
	}
	next := old.with(edits, old.rev+1)
	if err := next.check(); err != nil {
		return nil, err
	}
	undo, err := s.apply(ctx, old, next)
	if err != nil {
		return nil, errors.Join(notCommitted(err), undo())
	}
	r := &record{Revision: Revision{next.rev, s.clock.Now(), c}, set: next.set, edits: edits}
	if err := s.save(r); err != nil {
		return nil, errors.Join(&SaveError{err}, undo())
	}
	s.current.Store(next)
	d.committed(edits)
	for _, a := range s.appliers {
		a.Done(ctx, old, next)
	}
	return next, nil
}

// notCommitted returns the error of a commit that an applier has stopped with err: a refusal if
// err is one.
func notCommitted(err error) error {
	if text, ok := refusal.Text(err); ok {
		return refusal.Because(err, "The changes cannot be committed.\n%s", text)
	}
	return fmt.Errorf("config: not committed: %w", err)
}

// apply calls the appliers until one fails; undo takes back what they did.
func (s *Store) apply(ctx context.Context, old, next *Config) (undo func() error, err error) {
	called := 0
	undo = func() error {
		var errs []error
		for _, a := range slices.Backward(s.appliers[:called]) {
			if err := catchPanic(func() error { return a.Apply(ctx, next, old) }); err != nil {
				s.log.Error("undoing a commit", "applier", fmt.Sprintf("%T", a), "err", err)
				errs = append(errs, fmt.Errorf("undoing: %w", err))
			}
		}
		return errors.Join(errs...)
	}
	for _, a := range s.appliers {
		called++
		if err := catchPanic(func() error { return a.Apply(ctx, old, next) }); err != nil {
			return undo, err
		}
	}
	return undo, nil
}

// survive turns a panic into an error: what came before it must still be undone.
func catchPanic(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// save makes r the newest record of the archive, and then drops what is no longer
// needed.
func (s *Store) save(r *record) error {
	s.history.Lock()
	before, kept := s.last, s.older
	s.history.Unlock()
	if before.Number == 0 { // the factory configuration: so far only implied
		if err := s.archive.save(before); err != nil {
			return err
		}
	}
	if err := s.archive.save(r); err != nil {
		return err
	}
	var drop []int
	if before.KeepForRollback {
		kept = slices.Insert(slices.Clone(kept), 0, before.Revision)
	} else {
		drop = append(drop, before.Number)
	}
	for len(kept) > maxRevisions {
		drop = append(drop, kept[len(kept)-1].Number)
		kept = kept[:len(kept)-1]
	}
	for _, n := range drop {
		if err := s.archive.remove(n); err != nil {
			s.log.Warn("removing an old configuration", "err", err)
		}
	}
	s.history.Lock()
	s.last, s.older = r, kept
	s.history.Unlock()
	return nil
}

// Last is the newest commit and what it changed; with Number 0 nothing was
// committed yet.
func (s *Store) LastCommit() (Revision, []Difference) {
	s.history.Lock()
	defer s.history.Unlock()
	return s.last.Revision, differences(s.last.edits)
}

// History lists the versions that Rollback can return to, newest first: at most
// ten, all older than the committed one.
func (s *Store) History() []Revision {
	s.history.Lock()
	defer s.history.Unlock()
	return slices.Clone(s.older)
}

// Rollback makes d differ from the committed configuration so that committing it
// returns to that revision. Other changes in d are lost.
func (s *Store) Rollback(d *Draft, revision int) error {
	if !slices.ContainsFunc(s.History(), func(r Revision) bool { return r.Number == revision }) {
		return fmt.Errorf("config: there is no revision %d to roll back to", revision)
	}
	r, err := s.archive.load(revision)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	d.setAll(&Config{set: r.set, factory: s.factory})
	return nil
}

// ResetToFactory makes d differ from the committed configuration so that
// committing it returns to the factory's.
func (s *Store) ResetToFactory(d *Draft) {
	d.setAll(&Config{factory: s.factory})
}

// become makes d read as c in all sections.
func (d *Draft) setAll(c *Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.edits)
	for _, s := range allSections() {
		d.setLocked(s, c.entry(s))
	}
}
