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
	b := newBench(t, 0)
	for _, first := range []capture.Side{capture.CLI, capture.GUI} {
		b.start(first)
		for _, second := range []capture.Side{capture.CLI, capture.GUI} {
			_, err := b.Start(t.Context(), capture.Owner{Side: second})
			var busy *capture.InProgressError
			if !errors.As(err, &busy) || busy.Running != first {
				t.Errorf("%v while the %v's runs: %v", second, first, err)
			}
		}
		b.stop(first)
	}
}

func TestASideSeesOnlyItsOwn(t *testing.T) { // B20, B21
	b := newBench(t, 0)
	b.start(capture.GUI)
	b.wire.send("Data 1", frame(25, 1, 64))
	if s := b.Status(capture.CLI); s.Running || s.File != "" {
		t.Errorf("the CLI sees %+v", s)
	}
	if _, err := b.Stop(capture.CLI); !errors.Is(err, capture.ErrNotRunning) {
		t.Errorf("the CLI's stop of the GUI's capture = %v", err)
	}
	for side, want := range map[capture.Side]int{capture.CLI: 0, capture.GUI: 1} {
		if list, err := b.Files(side); err != nil || len(list) != want {
			t.Errorf("while the GUI's runs, the %v lists %v, %v", side, list, err)
		}
	}
	b.stop(capture.GUI)
	if list, err := b.Files(capture.CLI); err != nil || len(list) != 1 || list[0].Name() != firstName+".cap" || list[0].Size() != 24+80 {
		t.Errorf("afterwards the CLI lists %v, %v", list, err)
	}
}

func TestPartsOfTheOtherSidesCaptureAreInNoList(t *testing.T) {
	b := newBench(t, 0)
	b.set(func(s *capture.Settings) { s.SizeMB, s.KeepNewest = 1, true })
	b.start(capture.GUI)
	for i := range 3000 {
		b.wire.send("Data 1", frame(25, i, 1000))
	}
	if list, err := b.Files(capture.CLI); err != nil || len(list) != 0 {
		t.Errorf("the CLI lists %v, %v", list, err)
	}
}

func TestACLICaptureEndsWithItsSession(t *testing.T) { // B10
	b := newBench(t, 0)
	session, hangUp := context.WithCancel(t.Context())
	if _, err := b.Start(session, capture.Owner{Side: capture.CLI, Session: "1"}); err != nil {
		t.Fatal(err)
	}
	b.wire.send("Data 1", frame(25, 1, 64))
	hangUp()
	s := b.ended(capture.CLI)
	if s.Reason != capture.SessionEnded || len(b.read(s.File)) != 1 {
		t.Errorf("ended as %+v", s)
	}
}

func TestAGUICaptureOutlivesItsSession(t *testing.T) { // B8
	b := newBench(t, 0)
	session, logOut := context.WithCancel(t.Context())
	if _, err := b.Start(session, capture.Owner{Side: capture.GUI}); err != nil {
		t.Fatal(err)
	}
	logOut()
	b.wire.send("Data 1", frame(25, 1, 64))
	if s := b.Status(capture.GUI); !s.Running || s.Packets != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestACaptureEndsAfterItsDuration(t *testing.T) {
	b := newBench(t, 0)
	b.set(func(s *capture.Settings) { s.Duration = time.Minute })
	b.start(capture.CLI)
	b.fake.Advance(59 * time.Second)
	if s := b.Status(capture.CLI); !s.Running || s.Elapsed != 59*time.Second {
		t.Errorf("a second before the end: %+v", s)
	}
	b.fake.Advance(time.Second)
	if s := b.Status(capture.CLI); s.Running || s.Reason != capture.DurationReached || s.Elapsed != time.Minute {
		t.Errorf("after a minute: %+v", s)
	}
}

func TestACaptureEndsWithItsInterface(t *testing.T) {
	b := newBench(t, 0)
	b.set(func(s *capture.Settings) { s.Interfaces = []string{"Data 2"} })
	b.start(capture.CLI)
	b.InterfacesChanged()
	if s := b.Status(capture.CLI); !s.Running {
		t.Fatalf("ended though nothing is gone: %+v", s)
	}
	b.wire.mu.Lock()
	b.wire.interfaces = []network.Interface{b.wire.interfaces[0]}
	b.wire.mu.Unlock()
	b.InterfacesChanged()
	if s := b.Status(capture.CLI); s.Running || s.Reason != capture.InterfaceGone {
		t.Errorf("without its interface: %+v", s)
	}
	var gone *capture.InterfaceError
	if _, err := b.Start(t.Context(), capture.Owner{}); !errors.As(err, &gone) || gone.Name != "Data 2" {
		t.Errorf("starting again = %v", err)
	}
}

func TestCloseClosesFilesWhole(t *testing.T) {
	b := newBench(t, 0)
	file := b.start(capture.GUI).File
	b.wire.send("Data 1", frame(25, 1, 64))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(b.read(file)); n != 1 {
		t.Errorf("%d records", n)
	}
	if _, err := b.Start(t.Context(), capture.Owner{}); !errors.Is(err, capture.ErrClosed) {
		t.Errorf("Start after Close = %v", err)
	}
}
