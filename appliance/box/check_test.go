package box_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/check"
)

// A lie is a change of what a run has left that one invariant must find.
type lie struct {
	about string // what is wrong
	finds string // the name of the invariant
	tell  func(t *testing.T, r *check.Run)
}

// TestCheckFindsLies: what a run leaves has no contradiction, and each planted lie is found by the
// invariant that it violates.
func TestCheckFindsLies(t *testing.T) {
	dir := t.TempDir()
	b := newBox(t, dir, loopback)
	w := watchRun(b)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.tap(); err != nil {
		t.Fatal(err)
	}
	useEvents(t, b)
	if err := b.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	run, err := w.finish(dir)
	if err != nil {
		t.Fatal(err)
	}
	report := run.Check()
	if err := contradictions(report); err != nil {
		t.Fatal(err)
	}
	if report.Events < 100 || report.Frames < 100 {
		t.Errorf("the run has %d events and %d frames", report.Events, report.Frames)
	}
	unproved := map[string]bool{}
	for _, i := range check.Invariants() {
		unproved[i.Name] = true
	}
	for _, l := range lies() {
		delete(unproved, l.finds)
		t.Run(l.about, func(t *testing.T) {
			told := w.read(t, dir)
			l.tell(t, told)
			found := told.Check().Contradictions
			i := slices.IndexFunc(found, func(c check.Contradiction) bool { return c.Name == l.finds })
			if i < 0 {
				t.Fatalf("%s is not found by the invariant %s but by %v", l.about, l.finds, found)
			}
			if len(found[i].Witnesses) == 0 {
				t.Errorf("%v has no witness", found[i])
			}
		})
	}
	for name := range unproved {
		t.Errorf("no lie is told to the invariant %s", name)
	}
}

// read returns what the run has left, again.
func (w *watchedRun) read(t *testing.T, dir string) *check.Run {
	t.Helper()
	run, err := w.left(dir)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// eventOf returns the index of the n-th event of a kind, from 0.
func eventOf(t *testing.T, r *check.Run, kind string, n int) int {
	t.Helper()
	for i, e := range r.Record.Events {
		if e.Kind == kind {
			if n == 0 {
				return i
			}
			n--
		}
	}
	t.Fatalf("there are too few events of kind %s", kind)
	return 0
}

// changeFirst changes the first event of a kind.
func changeFirst(kind string, f func(e *check.Event)) func(*testing.T, *check.Run) {
	return func(t *testing.T, r *check.Run) { f(r.Record.Events[eventOf(t, r, kind, 0)]) }
}

// insert adds an event after the one at i, and numbers all again. Causes keep their events.
func insert(r *check.Run, i int, e check.Event) {
	list := slices.Insert(r.Record.Events, i+1, &e)
	at := e.Seq
	for j := i + 1; j < len(list); j++ {
		list[j].Seq++
		if j > i+1 && list[j].Cause > at {
			list[j].Cause++
		}
	}
	r.Record.Events = list
}

// double doubles the first event of a kind.
func double(kind string) func(*testing.T, *check.Run) {
	return func(t *testing.T, r *check.Run) {
		i := eventOf(t, r, kind, 0)
		insert(r, i, *r.Record.Events[i])
	}
}

func lies() []lie {
	return []lie{
		{"two swapped lines", "events-in-order", func(_ *testing.T, r *check.Run) {
			e := r.Record.Events
			e[20], e[21] = e[21], e[20]
		}},
		{"a missing line", "events-in-order", func(_ *testing.T, r *check.Run) {
			r.Record.Events = slices.Delete(r.Record.Events, 20, 21)
		}},
		{"a command without login", "causes-come-first", changeFirst("command.entered", func(e *check.Event) { e.Cause = 1 })},
		{"an event in the past", "time-goes-on", changeFirst("login.opened", func(e *check.Event) {
			e.Time = e.Time.Add(-time.Hour)
		})},
		{"a connection that is closed twice", "connections-end-once", double("connection.closed")},
		{"a connection that is opened twice", "addresses-are-free", double("connection.opened")},
		{"a connection that is not recorded", "frames-belong", func(t *testing.T, r *check.Run) {
			i := eventOf(t, r, "connection.opened", 0)
			gone := r.Record.Events[i].Fields
			gone["remote"] = "10.9.9.9:9"
			gone["direction"] = "out"
			for _, e := range r.Record.Events {
				if e.Kind == "socket.opened" && e.Fields["protocol"] == "tcp" {
					e.Fields["local"] = "10.9.9.9:9"
				}
			}
		}},
		{"a connection whose frames are missing", "connections-show", func(_ *testing.T, r *check.Run) {
			c := r.Captures[0]
			for i := len(c.Frames) - 1; i > 0; i-- {
				if len(c.Frames[i].Data) > 300 { // it has data
					c.Frames = slices.Delete(c.Frames, i, i+1)
				}
			}
		}},
		{"a dropped frame", "captures-are-whole", func(_ *testing.T, r *check.Run) {
			c := r.Captures[0]
			c.Frames = slices.Delete(c.Frames, 10, 11)
		}},
	}
}
