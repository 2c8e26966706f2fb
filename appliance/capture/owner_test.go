package capture_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/network"
)

func TestOneCaptureRunsAtATime(t *testing.T) { // B22
	fx := newFixture(t, 0)
	for _, first := range []capture.Side{capture.CLI, capture.GUI} {
		fx.start(first)
		for _, second := range []capture.Side{capture.CLI, capture.GUI} {
			_, err := fx.Start(t.Context(), capture.Owner{Side: second})
			var busy *capture.InProgressError
			if !errors.As(err, &busy) || busy.Running != first {
				t.Errorf("Start of the %v during a capture of the %v: %v", second, first, err)
			}
		}
		fx.stop(first)
	}
}

func TestSideSeesOnlyItsOwnCapture(t *testing.T) { // B20, B21
	fx := newFixture(t, 0)
	fx.start(capture.GUI)
	fx.network.send("Data 1", frame(25, 1, 64))
	if s := fx.Status(capture.CLI); s.Running || s.File != "" {
		t.Errorf("the CLI sees %+v", s)
	}
	if _, err := fx.Stop(capture.CLI); !errors.Is(err, capture.ErrNotRunning) {
		t.Errorf("the CLI's stop of the GUI's capture = %v", err)
	}
	for side, want := range map[capture.Side]int{capture.CLI: 0, capture.GUI: 1} {
		if list, err := fx.Files(side); err != nil || len(list) != want {
			t.Errorf("during a capture of the GUI, the %v lists %v, %v", side, list, err)
		}
	}
	fx.stop(capture.GUI)
	list, err := fx.Files(capture.CLI)
	if err != nil || len(list) != 1 || list[0].Name() != firstName+".cap" || list[0].Size() != 24+80 {
		t.Errorf("afterwards the CLI lists %v, %v", list, err)
	}
}

func TestPartsOfAnotherSidesCaptureAreNotListed(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) { s.SizeMB, s.KeepNewest = 1, true })
	fx.start(capture.GUI)
	for i := range 3000 {
		fx.network.send("Data 1", frame(25, i, 1000))
	}
	if list, err := fx.Files(capture.CLI); err != nil || len(list) != 0 {
		t.Errorf("the CLI lists %v, %v", list, err)
	}
}

func TestCLICaptureEndsWithItsSession(t *testing.T) { // B10
	fx := newFixture(t, 0)
	session, hangUp := context.WithCancel(t.Context())
	if _, err := fx.Start(session, capture.Owner{Side: capture.CLI, Session: "1"}); err != nil {
		t.Fatal(err)
	}
	fx.network.send("Data 1", frame(25, 1, 64))
	hangUp()
	s := fx.awaitEnd(capture.CLI)
	if s.Reason != capture.SessionEnded || len(fx.read(s.File)) != 1 {
		t.Errorf("ended as %+v", s)
	}
}

func TestGUICaptureSurvivesItsSession(t *testing.T) { // B8
	fx := newFixture(t, 0)
	session, logOut := context.WithCancel(t.Context())
	if _, err := fx.Start(session, capture.Owner{Side: capture.GUI}); err != nil {
		t.Fatal(err)
	}
	logOut()
	fx.network.send("Data 1", frame(25, 1, 64))
	if s := fx.Status(capture.GUI); !s.Running || s.Packets != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestCaptureEndsAfterItsDuration(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) { s.Duration = time.Minute })
	fx.start(capture.CLI)
	fx.fakeClock.Advance(59 * time.Second)
	if s := fx.Status(capture.CLI); !s.Running || s.Elapsed != 59*time.Second {
		t.Errorf("a second before the end: %+v", s)
	}
	fx.fakeClock.Advance(time.Second)
	s := fx.Status(capture.CLI)
	if s.Running || s.Reason != capture.DurationReached || s.Elapsed != time.Minute {
		t.Errorf("after a minute: %+v", s)
	}
}

func TestCaptureEndsWithItsInterface(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) { s.Interfaces = []string{"Data 2"} })
	fx.start(capture.CLI)
	fx.InterfacesChanged()
	if s := fx.Status(capture.CLI); !s.Running {
		t.Fatalf("ended although the interface exists: %+v", s)
	}
	fx.network.mu.Lock()
	fx.network.interfaces = []network.Interface{fx.network.interfaces[0]}
	fx.network.mu.Unlock()
	fx.InterfacesChanged()
	if s := fx.Status(capture.CLI); s.Running || s.Reason != capture.InterfaceGone {
		t.Errorf("after its interface was removed: %+v", s)
	}
	var gone *capture.InterfaceError
	_, err := fx.Start(t.Context(), capture.Owner{})
	if !errors.As(err, &gone) || gone.Name != "Data 2" {
		t.Errorf("starting again = %v", err)
	}
}

func TestCloseWritesAllFrames(t *testing.T) {
	fx := newFixture(t, 0)
	file := fx.start(capture.GUI).File
	fx.network.send("Data 1", frame(25, 1, 64))
	if err := fx.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(fx.read(file)); n != 1 {
		t.Errorf("%d records", n)
	}
	if _, err := fx.Start(t.Context(), capture.Owner{}); !errors.Is(err, capture.ErrClosed) {
		t.Errorf("Start after Close = %v", err)
	}
}
