package config

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Group is a chapter of showconfig, which prints a banner above the sections of each group.
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

// String returns the title in the banner.
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

// An Option is an optional property of a section.
type Option func(*spec)

// In puts a section into a group. Within a group, sections are written by ascending order and
// then by name. A section without this option is in Other.
func In(g Group, order int) Option {
	return func(s *spec) { s.group, s.order = g, order }
}

// A spec is a section without its type parameter.
type spec struct {
	name         string
	group        Group
	order        int
	schema       *schema
	defaultEntry func() *entry
	copier       copier // nil if values hold nothing by reference
	copyable     bool   // copier makes complete copies; if not, each Get decodes again
	check        func(*Config) error
	// canonical decodes a value of the section's type and encodes it again.
	canonical func([]byte) (*entry, error)
}

// An entry is one value. It is immutable.
type entry struct {
	xml     func() []byte       // the encoded value
	decoded atomic.Pointer[any] // the value itself, if it is copyable and known
}

// encoded returns the entry of an encoded value.
func encoded(xml []byte) *entry { return &entry{xml: func() []byte { return xml }} }

func equalXML(a, b *entry) bool { return a == b || bytes.Equal(a.xml(), b.xml()) }

// registry holds the sections by name. Define fills it while packages are initialized; afterwards
// it is only read.
var registry = map[string]*spec{}

// allSections returns all sections in the order of showconfig.
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
type Section[T any] struct {
	*spec
	def T
}

// Define declares a section. The name is also the name of its XML element, and def is its value
// unless the factory or a commit sets another. check, which may be nil, decides whether v, as a
// part of the configuration c, may be committed; it returns a refusal if not.
//
// T may be a string, a number, a bool, a type that marshals to text, or a struct of these, of
// structs and of slices, with the tags of encoding/xml. A list must be wrapped in a struct. A field
// tagged `secret:"hash"` or `secret:"text"` is a passphrase (see Passphrases).
//
// Define is meant for package-level variables. It panics if the name is taken or T is any other
// type. If def does not survive encoding and decoding, the first encoding of it panics.
func Define[T any](
	name string, def T, check func(v T, c *Config) error, options ...Option,
) *Section[T] {
	if _, taken := registry[name]; taken {
		panic("config: section defined twice: " + name)
	}
	t := reflect.TypeFor[T]()
	sp := &spec{name: name, group: Other, schema: schemaOf(t, name)}
	sp.copier, sp.copyable = copierOf(t)
	if sp.schema.repeated || t.Kind() == reflect.Pointer {
		panic(fmt.Sprintf("config: section %s: wrap %v in a struct", name, t))
	}
	for _, o := range options {
		o(sp)
	}
	s := &Section[T]{sp, def}
	sp.defaultEntry = sync.OnceValue(func() *entry {
		return s.encodeLater(def, func(text []byte) {
			if again, err := sp.canonical(text); err != nil || !bytes.Equal(again.xml(), text) {
				panic(fmt.Sprintf("config: section %s: the default does not survive encoding: %s, %v",
					name, text, err))
			}
		})
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

// A View is a configuration that sections can be read from: a *Config, a *Draft or a *Factory.
type View interface{ entry(*spec) *entry }

// Name returns the section's name, as it is in ConflictError and Draft.ChangedSections.
func (s *Section[T]) Name() string { return s.name }

// Get returns the section's value in v. The caller may change it.
func (s *Section[T]) Get(v View) T { return s.decode(v.entry(s.spec)) }

// Equal reports whether the section has the same value in a and in b.
func (s *Section[T]) Equal(a, b View) bool { return equalXML(a.entry(s.spec), b.entry(s.spec)) }

// IsFactory reports whether the section has the factory's value in c because no commit has set
// another one.
func (s *Section[T]) IsFactory(c *Config) bool { return c.set[s.name] == nil }

// Set sets the section's value in the draft. It takes effect when the draft is committed.
func (s *Section[T]) Set(d *Draft, value T) { d.set(s.spec, s.encode(value)) }

// SetFactory sets the section's value in the factory. If the value is the default, the factories of
// a process share it.
func (s *Section[T]) SetFactory(f *Factory, value T) {
	f.checked = false
	if reflect.DeepEqual(value, s.def) {
		delete(f.set, s.name)
		return
	}
	f.set[s.name] = s.encodeLater(value, func([]byte) {})
}

// Edit calls fn with the section's value, and sets it to what fn has made of it unless fn returns
// an error. No lock is held while fn runs, so fn may hold a conversation. If the section is changed
// in the meantime, by a commit or through the same draft, Edit sets nothing and returns a
// *ConflictError.
func (s *Section[T]) Edit(d *Draft, fn func(*T) error) error {
	before := d.entry(s.spec)
	v := s.decode(before)
	if err := fn(&v); err != nil {
		return err
	}
	return d.replace(s.spec, before, s.encode(v))
}

// CommitNow changes the committed value at once, for the few commands that do not wait for
// commit. If d, which may be nil, also changes the section, fn is applied to d's value as well, so
// that d can still be committed. So fn may run twice, and must not hold a conversation.
func (s *Section[T]) CommitNow(
	ctx context.Context, store *Store, d *Draft, info CommitInfo, fn func(*T) error,
) error {
	immediate := store.NewDraft()
	before := immediate.entry(s.spec)
	if err := s.Edit(immediate, fn); err != nil {
		return err
	}
	after := immediate.entry(s.spec)
	if _, err := store.Commit(ctx, immediate, info); err != nil && !errors.Is(err, ErrNoChanges) {
		return err
	}
	if d == nil {
		return nil
	}
	d.rebase(s.spec, before, after, func(e *entry) (*entry, error) {
		v := s.decode(e)
		if err := fn(&v); err != nil {
			return nil, err
		}
		return s.encode(v), nil
	})
	return nil
}

func (s *Section[T]) encode(v T) *entry {
	var b bytes.Buffer
	enc := xml.NewEncoder(&b)
	err := enc.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: s.name}})
	if err == nil {
		err = enc.Close()
	}
	if err != nil { // Define has checked the type, so only a marshaler of its own can fail
		panic(fmt.Sprintf("config: section %s does not encode: %v", s.name, err))
	}
	return encoded(b.Bytes())
}

// encodeLater returns the entry of a value that few programs need in its encoded form. It is
// encoded when it is first compared or written, and then checked.
func (s *Section[T]) encodeLater(v T, check func(text []byte)) *entry {
	if !s.copyable {
		e := s.encode(v)
		check(e.xml())
		return e
	}
	kept := any(s.copyOf(v))
	e := &entry{xml: sync.OnceValue(func() []byte {
		text := s.encode(kept.(T)).xml()
		check(text)
		return text
	})}
	e.decoded.Store(&kept)
	return e
}

func (s *Section[T]) decode(e *entry) T {
	if p := e.decoded.Load(); p != nil {
		return s.copyOf((*p).(T))
	}
	var v T
	if err := xml.Unmarshal(e.xml(), &v); err != nil { // unreachable: encode or canonical made it
		panic(fmt.Sprintf("config: section %s does not decode: %v", s.name, err))
	}
	if s.copyable {
		cached := any(v)
		e.decoded.Store(&cached)
		return s.copyOf(v)
	}
	return v
}

// copyOf returns a copy of v that shares no changeable memory with it.
func (s *Section[T]) copyOf(v T) T {
	if s.copier != nil {
		s.copier(reflect.ValueOf(&v).Elem())
	}
	return v
}

// A Factory is the configuration of a new appliance: the values that a topology gives, and the
// defaults of the other sections.
//
// Stores can share a factory that is not changed any more: a value is then decoded once for all.
type Factory struct {
	set     map[string]*entry
	checked bool // Check has found no mistake since the last change
}

// NewFactory returns a factory that has the default of every section.
func NewFactory() *Factory { return &Factory{set: map[string]*entry{}} }

// Clone returns a copy that shares the values of f.
func (f *Factory) Clone() *Factory {
	return &Factory{set: maps.Clone(f.set), checked: f.checked}
}

// Check returns an *InvalidError that lists the mistakes, or nil. Open does not check a factory
// again for which Check has returned nil.
func (f *Factory) Check() error {
	err := (&Config{factory: f}).check()
	f.checked = err == nil
	return err
}

// SetChecked says that Check would return nil, which the caller must know.
func (f *Factory) SetChecked() { f.checked = true }

// ReadXML sets the sections that r holds, in the form that the function ReadXML reads, whose errors
// it returns. If there is an error, f is unchanged.
func (f *Factory) ReadXML(r io.Reader) error {
	s, err := Open(Options{Factory: f})
	if err != nil {
		return err
	}
	d := s.NewDraft()
	if _, err := ReadXML(r, d); err != nil {
		return err
	}
	for spec, e := range d.snapshot() {
		f.set[spec.name] = e.now
	}
	f.checked = true // ReadXML has checked the whole
	return nil
}

func (f *Factory) entry(s *spec) *entry {
	if e := f.set[s.name]; e != nil {
		return e
	}
	return s.defaultEntry()
}
