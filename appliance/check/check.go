package check

import (
	"cmp"
	"fmt"
	"slices"
)

// A Run is what is known of one run of an appliance.
type Run struct {
	Record   *Record
	Captures []*Capture
	Logs     []*LogFile
	Files    []*FetchedFile
}

// A Report says what Check has found.
type Report struct {
	Events         int             `json:"events"`
	Frames         int             `json:"frames"`
	Invariants     int             `json:"invariants"`
	Contradictions []Contradiction `json:"contradictions"`
	More           int             `json:"more"` // contradictions beyond MaxContradictions of an invariant
}

// MaxContradictions bounds the contradictions of one invariant that a report has.
const MaxContradictions = 100

// A Contradiction is a violated invariant, with what contradicts it.
type Contradiction struct {
	Invariant int       `json:"invariant"` // its number
	Name      string    `json:"name"`
	Text      string    `json:"text"` // what is wrong
	Witnesses []Witness `json:"witnesses"`
}

// A Witness is a place in a file that says something.
type Witness struct {
	File  string `json:"file"`
	Line  int    `json:"line,omitzero"`  // of a record or a log, from 1
	Frame int    `json:"frame,omitzero"` // of a capture, from 1
	Text  string `json:"text"`           // what it says
}

// String returns "FILE: line N: TEXT" or "FILE: frame N: TEXT".
func (w Witness) String() string {
	switch {
	case w.Line > 0:
		return fmt.Sprintf("%s: line %d: %s", w.File, w.Line, w.Text)
	case w.Frame > 0:
		return fmt.Sprintf("%s: frame %d: %s", w.File, w.Frame, w.Text)
	}
	return w.File + ": " + w.Text
}

// An Invariant is a statement about every run.
type Invariant struct {
	Number   int    `json:"number"`
	Name     string `json:"name"` // a few words, joined by hyphens
	Sentence string `json:"sentence"`
	check    func(*story, reportFunc)
}

// A reportFunc reports a contradiction.
type reportFunc func(witnesses []Witness, format string, a ...any)

// Check verifies all invariants.
func (r *Run) Check() *Report {
	all := Invariants()
	report := &Report{Events: len(r.Record.Events), Invariants: len(all), Contradictions: []Contradiction{}}
	for _, c := range r.Captures {
		report.Frames += len(c.Frames)
	}
	s := newStory(r)
	for _, i := range all {
		found := 0
		i.check(s, func(witnesses []Witness, format string, a ...any) {
			if found++; found > MaxContradictions {
				report.More++
				return
			}
			report.Contradictions = append(report.Contradictions, Contradiction{
				i.Number, i.Name, fmt.Sprintf(format, a...), witnesses,
			})
		})
	}
	slices.SortStableFunc(report.Contradictions, func(a, b Contradiction) int {
		return cmp.Compare(a.Invariant, b.Invariant)
	})
	return report
}

// Invariants returns the invariants in the order of their numbers. The package documentation lists
// them.
func Invariants() []Invariant {
	list := slices.Concat(recordInvariants(), lifeInvariants(), connectionInvariants(),
		captureInvariants(), packetInvariants(), logInvariants(), mailInvariants(), fileInvariants())
	for i := range list {
		list[i].Number = i + 1
	}
	return list
}
