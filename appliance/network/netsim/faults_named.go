package netsim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A FaultSpec is what a user sets of a fault: its rule, and whether it is disabled. A disabled
// fault applies to nothing.
type FaultSpec struct {
	Rule     topology.Rule
	Disabled bool
}

// maxNameLength is the number of characters of a name by which a fault can be created.
const maxNameLength = 64

// checkName reports what is wrong with a name for a new fault.
func checkName(name string) error {
	wrong := func(text string) error { return &topology.RuleError{Key: "name", Message: text} }
	switch {
	case name == "":
		return wrong("no name, expected one such as slow-link")
	case isNumber(name):
		return wrong(fmt.Sprintf(
			"there is no fault %s, and a name for a new one has something else than digits", name))
	case utf8.RuneCountInString(name) > maxNameLength:
		return wrong(fmt.Sprintf("a name of %d characters, expected at most %d",
			utf8.RuneCountInString(name), maxNameLength))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return wrong("a name with control characters, expected one such as slow-link")
	}
	return nil
}

// isNumber reports whether ref, which is not empty, is the number of a fault and not a name.
func isNumber(ref string) bool { return strings.Trim(ref, "0123456789") == "" }

// find returns the fault with a number or a name. It is called with mu held.
func (f *Faults) find(ref string) (*fault, error) {
	var found []*fault
	for _, x := range f.list {
		if isNumber(ref) && strconv.Itoa(x.id) == ref || !isNumber(ref) && x.Rule.Name == ref {
			found = append(found, x)
		}
	}
	switch {
	case len(found) == 0 && isNumber(ref):
		return nil, &NotFoundError{"there is no fault " + ref}
	case len(found) == 0:
		return nil, &NotFoundError{fmt.Sprintf("there is no fault called %q", ref)}
	case len(found) > 1:
		var ids []string
		for _, x := range found {
			ids = append(ids, strconv.Itoa(x.id))
		}
		return nil, &ConflictError{fmt.Sprintf("%d faults are called %q: expected one of the numbers %s",
			len(found), ref, strings.Join(ids, ", "))}
	}
	return found[0], nil
}

// Find returns the fault with a number or a name. The error is a *NotFoundError, or a
// *ConflictError if several faults have the name.
func (f *Faults) Find(ref string) (Fault, error) {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	x, err := f.find(ref)
	if err != nil {
		return Fault{}, err
	}
	return x.report(f.clock.Mark()), nil
}

// Delete is Remove for a fault with a number or a name. Errors are those of Find.
func (f *Faults) Delete(ref string) error {
	f.settle()
	f.mu.Lock()
	x, err := f.find(ref)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Remove(x.id)
}

// Put makes the fault with a number or a name what s says, and creates it if there is none of that
// name. If the fault is that already, and is not over, Put does nothing: its times and counts go
// on. Otherwise the fault begins from scratch, and keeps its number and its place in the order of
// evaluation. Errors are those of Find and of Add.
func (f *Faults) Put(ref string, s FaultSpec) (set Fault, created bool, err error) {
	if name := s.Rule.Name; name != "" && name != ref && !isNumber(ref) {
		return Fault{}, false, &topology.RuleError{Key: "name", Message: fmt.Sprintf(
			"%q is not the name in the path, expected %q or no name", name, ref)}
	}
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	x, created, err := f.put(ref, s)
	if err != nil {
		return Fault{}, false, err
	}
	f.apply()
	return x.report(f.clock.Mark()), created, nil
}

// put is Put with mu held, and the caller calls apply.
func (f *Faults) put(ref string, s FaultSpec) (set *fault, created bool, err error) {
	x, err := f.find(ref)
	var missing *NotFoundError
	if err != nil && !errors.As(err, &missing) {
		return nil, false, err
	}
	if !isNumber(ref) {
		s.Rule.Name = ref
	}
	if err := s.Rule.Check(f.topology); err != nil {
		return nil, false, err
	}
	if x == nil {
		if err := checkName(ref); err != nil {
			return nil, false, err
		}
		x, err = f.insert(s)
		return x, true, err
	}
	f.change(x, s)
	return x, false, nil
}

// change makes a fault what s says. It is called with mu held, and the caller calls apply.
func (f *Faults) change(x *fault, s FaultSpec) {
	state, _ := x.state(f.clock.Mark())
	if x.FaultSpec != s || state == FaultOver {
		f.begin(x, s)
	}
}

// Update lets edit change a fault, with the consequences of Put. The error is that of edit, or one
// of Find and of Add. edit must not call methods of f.
func (f *Faults) Update(ref string, edit func(*FaultSpec) error) (Fault, error) {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	x, err := f.find(ref)
	if err != nil {
		return Fault{}, err
	}
	next := x.FaultSpec
	if err := edit(&next); err != nil {
		return Fault{}, err
	}
	if err := next.Rule.Check(f.topology); err != nil {
		return Fault{}, err
	}
	f.change(x, next)
	f.apply()
	return x.report(f.clock.Mark()), nil
}

// Set replaces all faults, those of the topology too, by others, in the order of evaluation. A
// fault that is among the others stays as it is, with its number, its times and its counts. If
// one of them has a mistake, nothing changes, and the error is a *topology.RuleError whose key
// begins with the place in the list: "[2].action".
func (f *Faults) Set(specs []FaultSpec) ([]Fault, error) {
	if n := len(specs); n > topology.MaxRules {
		return nil, &topology.RuleError{
			Message: fmt.Sprintf("%d faults, expected at most %d", n, topology.MaxRules),
		}
	}
	for i := range specs {
		err := specs[i].Rule.Check(f.topology)
		var mistake *topology.RuleError
		if errors.As(err, &mistake) {
			return nil, &topology.RuleError{
				Key: fmt.Sprintf("[%d].%s", i, mistake.Key), Message: mistake.Message,
			}
		}
	}
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrStopped
	}
	old := slices.Clone(f.list)
	f.list = make([]*fault, 0, len(specs))
	for _, s := range specs {
		if i := slices.IndexFunc(old, func(x *fault) bool { return x.FaultSpec == s }); i >= 0 {
			f.change(old[i], s)
			f.list = append(f.list, old[i])
			old = slices.Delete(old, i, i+1)
		} else {
			f.list = append(f.list, f.newFault(s))
		}
	}
	f.apply()
	return f.reports(), nil
}

// Restore makes the faults those of the topology, from scratch. Servers that were stopped are no
// longer, but the world that f applies to does not start them.
func (f *Faults) Restore() {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.restore()
	f.apply()
}
