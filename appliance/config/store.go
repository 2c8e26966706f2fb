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
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/refusal"
)

// A Config is one version of the whole configuration. It is immutable.
type Config struct {
	rev     int
	edition int               // the number of changes of the factory, see Store.EditFactory
	set     map[string]*entry // the sections that differ from the factory
	factory *Factory
}

// Revision returns the number of the commit that made c. The factory configuration has 0.
func (c *Config) Revision() int { return c.rev }

func (c *Config) entry(s *spec) *entry {
	if e := c.set[s.name]; e != nil {
		return e
	}
	return c.factory.entry(s)
}

// with returns c with edits, as revision rev.
func (c *Config) with(edits map[*spec]edit, rev int) *Config {
	next := &Config{
		rev: rev, edition: c.edition, factory: c.factory,
		set: make(map[string]*entry, len(c.set)+len(edits)),
	}
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

// check runs the checks of all sections. Its error is an *InvalidError if all checks that failed
// returned refusals; any other error is internal.
func (c *Config) check() error {
	var problems []Problem
	for _, s := range allSections() {
		err := s.check(c)
		if err == nil {
			continue
		}
		text, ok := refusal.Text(err)
		if !ok {
			return fmt.Errorf("config: check the section %s: %w", s.name, err)
		}
		problems = append(problems, Problem{s.name, text})
	}
	if problems != nil {
		return &InvalidError{problems}
	}
	return nil
}

// A Problem is the refusal of a section's check.
type Problem struct{ Section, Text string }

// An InvalidError lists the problems of a configuration that cannot be committed.
type InvalidError struct{ Problems []Problem }

func (e *InvalidError) Error() string {
	return "config: invalid: " + strings.Join(e.lines(), "; ")
}

// Unwrap returns a refusal that has a line for each problem.
func (e *InvalidError) Unwrap() error { return refusal.New(strings.Join(e.lines(), "\n")) }

func (e *InvalidError) lines() []string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.Section+": "+p.Text)
	}
	return lines
}

// A ConflictError says that another session has changed the same sections first.
type ConflictError struct{ Sections []string }

func (e *ConflictError) Error() string {
	return "config: changed by another session: " + strings.Join(e.Sections, ", ")
}

// ErrNoChanges says that a draft without changes cannot be committed.
var ErrNoChanges = errors.New("config: no changes to commit")

// An Applier makes a part of the running appliance agree with a new configuration. The methods of
// all appliers of a store are called one at a time.
type Applier interface {
	// Apply moves the part from old to new. If it cannot do so for a reason that the
	// administrator should know, it returns a refusal. After a failure the store calls
	// Apply(ctx, new, old) on this applier and on those before it, last first, so Apply must
	// be able to start from a state half-way between two configurations. Effects that cannot be
	// undone belong in Done.
	Apply(ctx context.Context, old, new *Config) error
	// Done is called when new is the committed configuration. It must not wait for a session,
	// because that may itself be waiting to commit.
	Done(ctx context.Context, old, new *Config)
}

// Undoes reports whether the call Apply(ctx, old, new) of an Applier undoes a commit or a change of
// the factory.
func Undoes(old, new *Config) bool {
	return new.rev < old.rev || new.rev == old.rev && new.edition < old.edition
}

// Options are the options of Open. The zero value opens a configuration in memory.
type Options struct {
	Dir     string       // created if it does not exist; "" keeps the configuration in memory
	Factory *Factory     // nil: the defaults of all sections
	Clock   clock.Clock  // gives the times of commits; nil: the machine's
	Logger  *slog.Logger // for the person who runs the program; nil discards
	Reset   bool         // start from the factory configuration, whatever Dir holds
}

// A Store holds the committed configuration. It is safe for concurrent use.
type Store struct {
	current atomic.Pointer[Config]
	clock   clock.Clock
	log     *slog.Logger
	damaged bool // set by Open only

	commit   sync.Mutex // held for a whole commit; guards appliers and archive
	appliers []Applier
	archive  archive

	history sync.Mutex // guards last and older; taken after commit
	last    *record
	older   []Revision // revisions before last that can be rolled back to, newest first
}

// A CommitInfo says who commits, and why.
type CommitInfo struct {
	User, Comment   string
	KeepForRollback bool // keep the revision for rollbackconfig after the next commit
}

// A Revision is one committed version.
type Revision struct {
	Number int
	Time   time.Time
	CommitInfo
}

// maxRevisions is the number of older revisions that rollbackconfig offers.
const maxRevisions = 10

// NewStore returns a store in memory with the sections' defaults.
func NewStore(appliers ...Applier) *Store {
	s, err := Open(Options{})
	if err != nil {
		panic(err) // a section's check refuses its own default
	}
	s.appliers = appliers
	return s
}

// Open returns the store that is kept in o.Dir. A new store has the factory configuration. If the
// file of the committed configuration is damaged, the newest older configuration that is intact is
// used, or else the factory's; Open logs that, sets the damaged file aside under the name
// NUMBER.xml.damaged, and Damaged reports it. If the file is intact but cannot be read or does not
// fit this program, Open returns an error that names it, because nothing is lost then.
//
// Open succeeds even if nothing can be written to o.Dir. Commits then fail.
func Open(o Options) (*Store, error) {
	s := &Store{clock: o.Clock, log: o.Logger, archive: &memory{}}
	factory := NewFactory()
	if o.Factory != nil {
		factory = o.Factory.Clone()
	}
	if s.clock == nil {
		s.clock = clock.System()
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if !factory.checked {
		if err := factory.Check(); err != nil {
			return nil, fmt.Errorf("config: factory configuration: %w", err)
		}
	}
	s.last = &record{Revision: Revision{Time: s.clock.Now(),
		CommitInfo: CommitInfo{Comment: "Factory configuration", KeepForRollback: true}}}
	if o.Dir != "" {
		if err := s.openDir(o, factory); err != nil {
			return nil, err
		}
	}
	s.current.Store(&Config{rev: s.last.Number, set: s.last.set, factory: factory})
	return s, nil
}

func (s *Store) openDir(o Options, factory *Factory) error {
	dir := &directory{path: o.Dir, factory: factory}
	numbers, err := dir.open()
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	s.archive = dir
	if len(numbers) == 0 {
		return nil
	}
	older := numbers
	if o.Reset {
		s.last.Number = numbers[len(numbers)-1] + 1
		if err := dir.save(s.last); err != nil {
			s.log.Warn("the reset to the factory configuration is not saved", "err", err)
			s.last.KeepForRollback = false // it is not on disk
		}
	} else if older, err = s.loadNewest(dir, numbers); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	for _, n := range slices.Backward(older) {
		rev, err := dir.revision(n)
		if err != nil {
			s.log.Warn("an older configuration is damaged and cannot be rolled back to", "err", err)
			continue
		}
		if rev.KeepForRollback && len(s.older) < maxRevisions {
			s.older = append(s.older, rev)
		} else if err := dir.remove(n); err != nil { // a crash prevented save from removing it
			s.log.Warn("an old configuration could not be removed", "err", err)
		}
	}
	return nil
}

// loadNewest sets s.last to the newest record that is not damaged, unless all are damaged, and
// returns the numbers of those before it.
func (s *Store) loadNewest(dir *directory, numbers []int) (older []int, err error) {
	for i, n := range slices.Backward(numbers) {
		r, err := dir.load(n)
		if errors.Is(err, errDamaged) {
			s.log.Error("a committed configuration is damaged: an older one is used", "err", err)
			if err := dir.setAside(n); err != nil {
				s.log.Warn("a damaged configuration could not be set aside", "err", err)
			}
			s.damaged = true
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := (&Config{set: r.set, factory: dir.factory}).check(); err != nil {
			return nil, fmt.Errorf("%s: %w", dir.file(n), err)
		}
		s.last = r
		return numbers[:i], nil
	}
	return nil, nil
}

// Damaged reports whether Open found that the newest configuration is damaged and uses an older
// one, or the factory's. The caller should tell an administrator.
func (s *Store) Damaged() bool { return s.damaged }

// Committed returns the committed configuration.
func (s *Store) Committed() *Config { return s.current.Load() }

// NewDraft returns a draft without changes.
func (s *Store) NewDraft() *Draft { return &Draft{store: s, edits: map[*spec]edit{}} }

// AddApplier adds an applier. Appliers are called in the order in which they were added. Adding
// one does not call it: parts read Committed when they start.
func (s *Store) AddApplier(a Applier) {
	s.commit.Lock()
	defer s.commit.Unlock()
	s.appliers = append(s.appliers, a)
}

// Commit checks the draft, applies it, saves it and makes it the committed configuration: all of it
// or none of it. It waits for other commits. The end of ctx does not stop it, so that a connection
// that breaks leaves no commit half-done. When Commit returns without an error, the configuration
// is on disk, and d holds only the changes that were made to it in the meantime.
//
// The error is ErrNoChanges, a *ConflictError, a refusal (which wraps an *InvalidError if the
// configuration is not valid), or an internal error.
func (s *Store) Commit(ctx context.Context, d *Draft, info CommitInfo) (*Config, error) {
	ctx = context.WithoutCancel(ctx)
	s.commit.Lock()
	defer s.commit.Unlock()
	edits := d.snapshot()
	if len(edits) == 0 {
		return nil, ErrNoChanges
	}
	old := s.Committed()
	var conflicts []string
	for _, sp := range sortedSpecs(edits) {
		if !equalXML(edits[sp].was, old.entry(sp)) {
			conflicts = append(conflicts, sp.name)
		}
	}
	if conflicts != nil {
		return nil, &ConflictError{conflicts}
	}
	next := old.with(edits, old.rev+1)
	if err := next.check(); err != nil {
		return nil, notCommitted(err)
	}
	undo, err := s.apply(ctx, old, next)
	if err != nil {
		return nil, errors.Join(notCommitted(err), undo())
	}
	r := &record{Revision: Revision{next.rev, s.clock.Now(), info}, set: next.set, edits: edits}
	if err := s.save(r); err != nil {
		s.log.Error("a commit could not be saved", "err", err)
		why := "the configuration could not be saved to disk"
		if errors.Is(err, syscall.ENOSPC) {
			why = "there is no disk space left"
		}
		err = refusal.Because(err, "The changes were not committed: %s.", why)
		return nil, errors.Join(err, undo())
	}
	s.current.Store(next)
	d.committed(edits)
	for _, a := range s.appliers {
		a.Done(ctx, old, next)
	}
	return next, nil
}

// notCommitted returns the error of a commit that err prevents: a refusal if err is one.
func notCommitted(err error) error {
	if text, ok := refusal.Text(err); ok {
		return refusal.Because(err, "The changes cannot be committed.\n%s", text)
	}
	return fmt.Errorf("config: commit: %w", err)
}

// apply calls the appliers until one fails. undo undoes the effects of those that were called.
func (s *Store) apply(ctx context.Context, old, next *Config) (undo func() error, err error) {
	called := 0
	undo = func() error {
		var errs []error
		for _, a := range slices.Backward(s.appliers[:called]) {
			if err := catchPanic(func() error { return a.Apply(ctx, next, old) }); err != nil {
				s.log.Error("a commit could not be undone", "applier", fmt.Sprintf("%T", a), "err", err)
				errs = append(errs, fmt.Errorf("undo: %w", err))
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

// catchPanic returns a panic of f as an error, so that the commit can still be undone.
func catchPanic(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// save adds r to the archive as the newest record, and then removes the records that are no longer
// needed.
func (s *Store) save(r *record) error {
	s.history.Lock()
	before, older := s.last, s.older
	s.history.Unlock()
	if before.Number == 0 { // the factory configuration, which has not been saved yet
		if err := s.archive.save(before); err != nil {
			return err
		}
	}
	if err := s.archive.save(r); err != nil {
		return err
	}
	var obsolete []int
	if before.KeepForRollback {
		older = slices.Insert(slices.Clone(older), 0, before.Revision)
	} else {
		obsolete = append(obsolete, before.Number)
	}
	for len(older) > maxRevisions {
		obsolete = append(obsolete, older[len(older)-1].Number)
		older = older[:len(older)-1]
	}
	for _, n := range obsolete {
		if err := s.archive.remove(n); err != nil {
			s.log.Warn("an old configuration could not be removed", "err", err)
		}
	}
	s.history.Lock()
	s.last, s.older = r, older
	s.history.Unlock()
	return nil
}

// LastCommit returns the newest revision and the differences from the one before it. Its Number is
// 0 if there was no commit yet.
func (s *Store) LastCommit() (Revision, []Difference) {
	s.history.Lock()
	defer s.history.Unlock()
	return s.last.Revision, differences(s.last.edits)
}

// History returns the revisions that Rollback accepts, newest first: at most ten, all older than
// the committed one.
func (s *Store) History() []Revision {
	s.history.Lock()
	defer s.history.Unlock()
	return slices.Clone(s.older)
}

// Rollback sets all sections of d to their values in that revision, so that committing d returns
// to it. Other changes in d are lost.
func (s *Store) Rollback(d *Draft, revision int) error {
	if !slices.ContainsFunc(s.History(), func(r Revision) bool { return r.Number == revision }) {
		return fmt.Errorf("config: there is no revision %d to roll back to", revision)
	}
	r, err := s.archive.load(revision)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	d.setAll(&Config{set: r.set, factory: s.Committed().factory})
	return nil
}

// ResetToFactory sets all sections of d to their factory values, so that committing d returns to
// the factory configuration. Other changes in d are lost.
func (s *Store) ResetToFactory(d *Draft) {
	d.setAll(&Config{factory: s.Committed().factory})
}

// setAll sets all sections of d to their values in c.
func (d *Draft) setAll(c *Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.edits)
	for _, s := range allSections() {
		d.setLocked(s, c.entry(s))
	}
}
