package config

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Group is a chapter of showconfig: a banner is printed above its sections.
// Groups are written in the order of their values.
type Group int

// The groups, in the order in which they are written.
const (
	Network Group = iota + 1
	System
	Access
	Mail
	Logs
	Alerts
	Other
)

// String is the title in the banner.
func (g Group) String() string {
	switch g {
	case Network:
		return "Network Configuration"
	case System:
		return "System Configuration"
	case Access:
		return "Users and Access"
	case Mail:
		return "Mail Configuration"
	case Logs:
		return "Log Subscriptions"
	case Alerts:
		return "Alerts"
	}
	return "Other Settings"
}

// An Option of Define.
type Option func(*spec)

// In puts a section into a group; within it, sections are written by rising
// order and then by name. A section without it is in Other.
func In(g Group, order int) Option {
	return func(s *spec) { s.group, s.order = g, order }
}

// spec is what is known of a section without its type.
type spec struct {
	name         string
	group        Group
	order        int
	schema       *schema
	defaultEntry func() *entry // encoded when it is first asked for: most programs ask for few
	copier       copier        // nil: a value holds nothing by reference
	copies       bool          // copier makes true copies; otherwise decoding again does
	check        func(*Config) error
	// canonical decodes a value of the section's type and encodes it again.
	canonical func([]byte) (*entry, error)
}

// entry is one encoded value. It never changes once made.
type entry struct {
	xml     []byte
	decoded atomic.Pointer[any] // what xml decodes to, once asked for, if copies can be made
}

func equalXML(a, b *entry) bool { return a == b || bytes.Equal(a.xml, b.xml) }

// registry holds the sections by name. It is filled while packages initialize
// and only read afterwards.
var registry = map[string]*spec{}

// inOrder returns all sections in the order of showconfig.
func allSections() []*spec {
	return slices.SortedFunc(maps.Values(registry), compareSpecs)
}

func compareSpecs(a, b *spec) int {
	if a.group != b.group {
		return int(a.group - b.group)
	}
	if a.order != b.order {
		return a.order - b.order
	}
	return strings.Compare(a.name, b.name)
}

// A Section is one named part of the configuration, of type T.
type Section[T any] struct{ *spec }

// Define declares a section called name, which is also its element in XML. def is
// its value where neither the factory nor a commit set another. check, which may
// be nil, judges the value within the configuration c that is to be committed; the
// text of its error is shown to the administrator.
//
// T may be a string, a number, a bool, a type that marshals to text, or a struct
// of such, of structs and of slices, with the tags of encoding/xml. A field tagged
// `secret:"hash"` or `secret:"text"` is a passphrase (see XMLOptions). A list is
// wrapped in a struct. Define panics if the name is taken or T is anything else:
// it is meant for package-level variables. A def that does not survive encoding makes
// whoever first asks for it panic.
func Define[T any](name string, def T, check func(v T, c *Config) error, options ...Option) *Section[T] {
	if _, taken := registry[name]; taken {
		panic("config: section defined twice: " + name)
	}
	t := reflect.TypeFor[T]()
	sp := &spec{name: name, group: Other, schema: schemaOf(t, name)}
	sp.copier, sp.copies = copierOf(t)
	if sp.schema.repeated || t.Kind() == reflect.Pointer {
		panic(fmt.Sprintf("config: section %s: wrap %v in a struct", name, t))
	}
	for _, o := range options {
		o(sp)
	}
	s := &Section[T]{sp}
	sp.defaultEntry = sync.OnceValue(func() *entry {
		e := s.encode(def)
		if again, err := sp.canonical(e.xml); err != nil || !equalXML(again, e) {
			panic(fmt.Sprintf("config: section %s: the default does not survive encoding: %s, %v", name, e.xml, err))
		}
		return e
	})
	sp.check = func(c *Config) error {
		if check == nil {
			return nil
		}
		return check(s.Get(c), c)
	}
	sp.canonical = func(b []byte) (*entry, error) {
		var v T
		if err := xml.Unmarshal(b, &v); err != nil {
			return nil, err
		}
		return s.encode(v), nil
	}
	registry[name] = sp
	return s
}

// A View is anything a section can be read from: a *Config or a *Draft.
type View interface{ entry(*spec) *entry }

// Name is the section's name, as ConflictError and Draft.Changed use it.
func (s *Section[T]) Name() string { return s.name }

// Get returns the section's value in v. The value is the caller's own.
func (s *Section[T]) Get(v View) T { return s.decode(v.entry(s.spec)) }

// Set puts value in the draft. Nothing takes effect before Commit.
func (s *Section[T]) Set(d *Draft, value T) { d.set(s.spec, s.encode(value)) }

// SetFactory makes value the section's factory value.
func (s *Section[T]) SetFactory(f *Factory, value T) { f.set[s.name] = s.encode(value) }

// Edit is Get, fn, and Set if fn succeeds. No lock is held meanwhile, so fn may
// hold a conversation. If the section was changed under it, by a commit or through
// the same draft, Edit sets nothing and returns a *ConflictError.
func (s *Section[T]) Edit(d *Draft, fn func(*T) error) error {
	before := d.entry(s.spec)
	v := s.decode(before)
	if err := fn(&v); err != nil {
		return err
	}
	return d.replace(s.spec, before, s.encode(v))
}

// CommitNow changes the committed value at once, for the few commands that do not
// wait for commit. Where d, which may be nil, holds a change of the same section,
// fn is applied to that too, so that d can still be committed: fn may therefore
// run twice and must hold no conversation.
func (s *Section[T]) CommitNow(ctx context.Context, store *Store, d *Draft, c CommitInfo, fn func(*T) error) error {
	own := store.NewDraft()
	before := own.entry(s.spec)
	if err := s.Edit(own, fn); err != nil {
		return err
	}
	after := own.entry(s.spec)
	if _, err := store.Commit(ctx, own, c); err != nil && !errors.Is(err, ErrNoChanges) {
		return err
	}
	if d == nil {
		return nil
	}
	return d.rebase(s.spec, before, after, func(e *entry) (*entry, error) {
		v := s.decode(e)
		if err := fn(&v); err != nil {
			return nil, err
		}
		return s.encode(v), nil
	})
}

func (s *Section[T]) encode(v T) *entry {
	var b bytes.Buffer
	enc := xml.NewEncoder(&b)
	err := enc.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: s.name}})
	if err == nil {
		err = enc.Close()
	}
	if err != nil { // the type was judged by Define: only a marshaler of its own can do this
		panic(fmt.Sprintf("config: section %s does not encode: %v", s.name, err))
	}
	return &entry{xml: b.Bytes()}
}

func (s *Section[T]) decode(e *entry) T {
	if p := e.decoded.Load(); p != nil {
		return s.copyOf((*p).(T))
	}
	var v T
	if err := xml.Unmarshal(e.xml, &v); err != nil { // made by encode, or judged by canonical
		panic(fmt.Sprintf("config: section %s does not decode: %v", s.name, err))
	}
	if s.copies {
		kept := any(v)
		e.decoded.Store(&kept)
		return s.copyOf(v)
	}
	return v
}

// copyOf is v with nothing that a caller might change for others.
func (s *Section[T]) copyOf(v T) T {
	if s.copier != nil {
		s.copier(reflect.ValueOf(&v).Elem())
	}
	return v
}

// A Factory is the configuration that an appliance leaves the factory with. It is
// what a topology says, over what the sections themselves say.
type Factory struct{ set map[string]*entry }

// NewFactory returns a factory that alters nothing.
func NewFactory() *Factory { return &Factory{map[string]*entry{}} }

func (f *Factory) entry(s *spec) *entry {
	if e := f.set[s.name]; e != nil {
		return e
	}
	return s.defaultEntry()
}
