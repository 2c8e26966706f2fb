package capture_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/pcapfilter"
	"github.com/esasim/esasim/appliance/refusal"
)

const menuName = "tcpdump-" + firstName

func TestTheMenuHasSettingsOfItsOwn(t *testing.T) { // B25
	b := newBench(t, 0)
	if got, want := b.MenuSettings(), (capture.MenuSettings{Interface: "Data 1"}); got != want {
		t.Errorf("a new appliance's are %+v, want %+v", got, want)
	}
	before := b.Settings().FilterText()
	want := capture.MenuSettings{Interface: "Data 2", Filter: "tcp port 25"}
	if err := b.SetMenuSettings(want); err != nil {
		t.Fatal(err)
	}
	if got := b.Settings().FilterText(); got != before {
		t.Errorf("the filter of packetcapture became %q", got)
	}
	b.open() // a restart
	if got := b.MenuSettings(); got != want {
		t.Errorf("after a restart they are %+v, want %+v", got, want)
	}
	s := b.start(capture.TCPDump)
	b.wire.send("Data 1", frame(25, 1, 64))
	b.wire.send("Data 2", frame(26, 2, 64))
	b.wire.send("Data 2", frame(25, 3, 64))
	b.stop(capture.TCPDump)
	recs := b.read(s.File)
	if len(recs) != 1 || numberOf(recs[0].frame) != 3 {
		t.Errorf("%d records, want the frame to port 25 on Data 2", len(recs))
	}
}

func TestTheMenusSettingsAreJudgedAtOnce(t *testing.T) {
	b := newBench(t, 0)
	before := b.MenuSettings()
	var syntax *pcapfilter.SyntaxError
	if err := b.SetMenuSettings(capture.MenuSettings{Interface: "Data 1", Filter: "port or"}); !errors.As(err, &syntax) {
		t.Errorf("a filter that is none: %v", err)
	}
	var gone *capture.InterfaceError
	if err := b.SetMenuSettings(capture.MenuSettings{Interface: "Data 9"}); !errors.As(err, &gone) || gone.Name != "Data 9" {
		t.Errorf("an interface that is none: %v", err)
	}
	if got := b.MenuSettings(); got != before {
		t.Errorf("settings that were refused became %+v", got)
	}
}

func TestOneCaptureRunsOverAllSides(t *testing.T) { // B22
	for _, first := range []capture.Side{capture.CLI, capture.GUI, capture.TCPDump} {
		for _, second := range []capture.Side{capture.CLI, capture.GUI, capture.TCPDump} {
			b := newBench(t, 0)
			b.start(first)
			var busy *capture.InProgressError
			if _, err := b.Start(t.Context(), capture.Owner{Side: second}); !errors.As(err, &busy) || busy.Running != first {
				t.Errorf("the %s's while the %s's runs: %v", second, first, err)
			}
			if s := b.Status(second); s.Running != (first == second) {
				t.Errorf("the %s is shown the %s's capture: %+v", second, first, s)
			}
		}
	}
}

func TestASecondCaptureIsRefusedWithThePlaceOfTheFirst(t *testing.T) { // B22
	for _, c := range []struct {
		running, requested capture.Side
		want               string
	}{
		{capture.GUI, capture.GUI, "A packet capture is in progress already."},
		{capture.CLI, capture.GUI, "started with the command packetcapture is in progress."},
		{capture.GUI, capture.CLI, "started in the GUI is in progress."},
		{capture.TCPDump, capture.CLI, "started in the menu tcpdump of another session is in progress."},
		{capture.TCPDump, capture.GUI, "started in the menu tcpdump of the command line is in progress."},
	} {
		err := &capture.InProgressError{Running: c.running, Requested: c.requested}
		if text, _ := refusal.Text(err); !strings.Contains(text, c.want) {
			t.Errorf("the %v while the %v captures: %q, want %q", c.requested, c.running, text, c.want)
		}
	}
}

func TestLeavingTheMenuEndsItsCapture(t *testing.T) { // B26
	b := newBench(t, 0)
	me := capture.Owner{Side: capture.TCPDump, Session: "1"}
	if _, err := b.Start(t.Context(), me); err != nil {
		t.Fatal(err)
	}
	b.wire.send("Data 1", frame(25, 1, 64))
	if _, err := b.LeaveMenu(capture.Owner{Side: capture.TCPDump, Session: "2"}); !errors.Is(err, capture.ErrNotRunning) {
		t.Errorf("another session that leaves: %v", err)
	}
	if s := b.Status(capture.TCPDump); !s.Running {
		t.Fatal("another session that leaves ends it")
	}
	s, err := b.LeaveMenu(me)
	if err != nil || s.Running || s.Reason != capture.MenuLeft || s.File != menuName+".cap" || len(b.read(s.File)) != 1 {
		t.Errorf("left with %+v, %v", s, err)
	}
	if _, err := b.LeaveMenu(me); !errors.Is(err, capture.ErrNotRunning) {
		t.Errorf("leaving again: %v", err)
	}
}

func TestAMenusCaptureEndsWithItsSession(t *testing.T) {
	b := newBench(t, 0)
	session, hangUp := context.WithCancel(t.Context())
	if _, err := b.Start(session, capture.Owner{Side: capture.TCPDump, Session: "1"}); err != nil {
		t.Fatal(err)
	}
	hangUp()
	if s := b.ended(capture.TCPDump); s.Reason != capture.SessionEnded {
		t.Errorf("ended as %+v", s)
	}
}

func TestAMenusCaptureHasNoLimitButTheDisk(t *testing.T) { // B31
	const quota = 3 << 20
	b := newBench(t, quota)
	b.set(func(s *capture.Settings) { s.SizeMB = 1 })
	file := b.start(capture.TCPDump).File
	for i := 0; b.Status(capture.TCPDump).Running; i++ {
		for range 100 {
			b.wire.send("Data 1", frame(25, i, 1500))
		}
	}
	s := b.Status(capture.TCPDump)
	if s.Reason != capture.DiskFull || s.Size < quota/2 || s.Size > quota {
		t.Errorf("ended as %+v", s)
	}
	if n := len(b.read(file)); uint64(n) != s.Packets {
		t.Errorf("%d whole records, want %d", n, s.Packets)
	}
}

func TestClearRemovesTheMenusCapturesOnly(t *testing.T) {
	b := newBench(t, 0)
	for _, side := range []capture.Side{capture.CLI, capture.TCPDump, capture.TCPDump, capture.GUI} {
		b.start(side)
		b.stop(side)
	}
	b.start(capture.TCPDump) // goes on
	gone, err := b.RemoveMenuFiles()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range gone {
		names = append(names, f.Name())
	}
	if want := []string{menuName + ".cap", menuName + "_2.cap"}; !slices.Equal(names, want) {
		t.Errorf("removed %q, want %q", names, want)
	}
	if got, want := b.list(), []string{firstName + ".cap", firstName + "_2.cap", menuName + "_3.cap"}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

func TestAMenusCaptureEndsWithItsInterface(t *testing.T) {
	b := newBench(t, 0)
	if err := b.SetMenuSettings(capture.MenuSettings{Interface: "Data 2"}); err != nil {
		t.Fatal(err)
	}
	b.start(capture.TCPDump)
	b.wire.mu.Lock()
	b.wire.interfaces = []network.Interface{b.wire.interfaces[0]}
	b.wire.mu.Unlock()
	b.InterfacesChanged()
	if s := b.Status(capture.TCPDump); s.Running || s.Reason != capture.InterfaceGone {
		t.Errorf("without its interface: %+v", s)
	}
}
