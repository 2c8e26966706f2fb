package appliance_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/users"
)

// A notedService writes down what is done with it.
type notedService struct {
	name    string
	notes   *[]string
	refuses error // what Start returns
	stuck   error // what Stop returns
}

func (s *notedService) Name() string { return s.name }

func (s *notedService) Start(context.Context) error {
	*s.notes = append(*s.notes, "start "+s.name)
	return s.refuses
}

func (s *notedService) Stop(ctx context.Context) error {
	*s.notes = append(*s.notes, "stop "+s.name+": "+appliance.StopReason(ctx))
	return s.stuck
}

// events are the kinds of the history's entries, the newest first.
func events(app *appliance.Appliance) []users.Event {
	var all []users.Event
	for _, r := range app.Logins.History() {
		all = append(all, r.Event)
	}
	return all
}

func TestServicesStopInReverse(t *testing.T) {
	app, _ := offline(t, t.TempDir(), switchedOn)
	var notes []string
	for _, name := range []string{"a", "b"} {
		app.Add(&notedService{name: name, notes: &notes})
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing is left to do
		if err := app.Stop(appliance.WithStopReason(t.Context(), appliance.ReasonReboot)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"start a", "start b", "stop b: The system is rebooting.", "stop a: The system is rebooting."}
	if diff := cmp.Diff(want, notes); diff != "" {
		t.Error(diff)
	}
	if got := events(app); !slices.Equal(got, []users.Event{users.Rebooted}) {
		t.Errorf("the history holds %q", got)
	}
}

func TestAStartThatFailsIsUnwound(t *testing.T) {
	app, _ := offline(t, t.TempDir(), switchedOn)
	var notes []string
	refusal := errors.New("no port")
	app.Add(&notedService{name: "a", notes: &notes})
	app.Add(&notedService{name: "b", notes: &notes})
	app.Add(&notedService{name: "c", notes: &notes, refuses: refusal})
	app.Add(&notedService{name: "d", notes: &notes})
	err := app.Start(t.Context())
	if !errors.Is(err, refusal) || !strings.HasPrefix(err.Error(), "start c: ") {
		t.Errorf("Start = %v", err)
	}
	want := []string{"start a", "start b", "start c", "stop b: The system is going down.", "stop a: The system is going down."}
	if diff := cmp.Diff(want, notes); diff != "" {
		t.Error(diff)
	}
	if err := app.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got := events(app); len(got) != 0 {
		t.Errorf("the history tells of an appliance that was never up: %q", got)
	}
}

func TestAStopThatIsCutShortStillStopsTheRest(t *testing.T) {
	app, _ := offline(t, t.TempDir(), switchedOn)
	var notes []string
	app.Add(&notedService{name: "a", notes: &notes})
	app.Add(&notedService{name: "b", notes: &notes, stuck: context.DeadlineExceeded})
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := app.Stop(t.Context()); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "stop b: ") {
		t.Errorf("Stop = %v", err)
	}
	if last := notes[len(notes)-1]; last != "stop a: The system is going down." {
		t.Errorf("the last thing done: %s", last)
	}
	if got := events(app); !slices.Equal(got, []users.Event{users.ShutDown}) {
		t.Errorf("the history holds %q", got)
	}
}
