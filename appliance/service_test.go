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

// A recordingService records the calls of its methods.
type recordingService struct {
	name     string
	calls    *[]string
	startErr error
	stopErr  error
}

func (s *recordingService) Name() string { return s.name }

func (s *recordingService) Start(context.Context) error {
	*s.calls = append(*s.calls, "start "+s.name)
	return s.startErr
}

func (s *recordingService) Stop(ctx context.Context) error {
	*s.calls = append(*s.calls, "stop "+s.name+": "+appliance.StopReason(ctx))
	return s.stopErr
}

// events returns the kinds of entries in the history of logins, newest first.
func events(app *appliance.Appliance) []users.Event {
	var all []users.Event
	for _, r := range app.Logins.History() {
		all = append(all, r.Event)
	}
	return all
}

func TestServicesStopInReverse(t *testing.T) {
	app, _ := openOffline(t, t.TempDir(), firstStart)
	var calls []string
	for _, name := range []string{"a", "b"} {
		app.Add(&recordingService{name: name, calls: &calls})
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second Stop has no effect
		if err := app.Stop(appliance.WithStopReason(t.Context(), appliance.ReasonReboot)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"start a", "start b",
		"stop b: The system is rebooting.", "stop a: The system is rebooting.",
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
	if got := events(app); !slices.Equal(got, []users.Event{users.Rebooted}) {
		t.Errorf("the history holds %q", got)
	}
}

func TestStartThatFailsStopsStartedServices(t *testing.T) {
	app, _ := openOffline(t, t.TempDir(), firstStart)
	var calls []string
	noPort := errors.New("no port")
	app.Add(&recordingService{name: "a", calls: &calls})
	app.Add(&recordingService{name: "b", calls: &calls})
	app.Add(&recordingService{name: "c", calls: &calls, startErr: noPort})
	app.Add(&recordingService{name: "d", calls: &calls})
	err := app.Start(t.Context())
	if !errors.Is(err, noPort) || !strings.HasPrefix(err.Error(), "start c: ") {
		t.Errorf("Start = %v", err)
	}
	want := []string{
		"start a", "start b", "start c",
		"stop b: The system is going down.", "stop a: The system is going down.",
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
	if err := app.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got := events(app); len(got) != 0 {
		t.Errorf("the history has events of an appliance that was never up: %q", got)
	}
}

func TestStopContinuesAfterError(t *testing.T) {
	app, _ := openOffline(t, t.TempDir(), firstStart)
	var calls []string
	app.Add(&recordingService{name: "a", calls: &calls})
	app.Add(&recordingService{name: "b", calls: &calls, stopErr: context.DeadlineExceeded})
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := app.Stop(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "stop b: ") {
		t.Errorf("Stop = %v", err)
	}
	if last := calls[len(calls)-1]; last != "stop a: The system is going down." {
		t.Errorf("the last call: %s", last)
	}
	if got := events(app); !slices.Equal(got, []users.Event{users.ShutDown}) {
		t.Errorf("the history holds %q", got)
	}
}
