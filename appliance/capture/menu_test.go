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

func TestMenuHasItsOwnSettings(t *testing.T) { // B25
	fx := newFixture(t, 0)
	if got, want := fx.MenuSettings(), (capture.MenuSettings{Interface: "Data 1"}); got != want {
		t.Errorf("settings of a new appliance: %+v, want %+v", got, want)
	}
	before := fx.Settings().FilterText()
	want := capture.MenuSettings{Interface: "Data 2", Filter: "tcp port 25"}
	if err := fx.SetMenuSettings(want); err != nil {
		t.Fatal(err)
	}
	if got := fx.Settings().FilterText(); got != before {
		t.Errorf("the filter of packetcapture became %q", got)
	}
	fx.open() // a restart
	if got := fx.MenuSettings(); got != want {
		t.Errorf("settings after a restart: %+v, want %+v", got, want)
	}
	s := fx.start(capture.TCPDump)
	fx.network.send("Data 1", frame(25, 1, 64))
	fx.network.send("Data 2", frame(26, 2, 64))
	fx.network.send("Data 2", frame(25, 3, 64))
	fx.stop(capture.TCPDump)
	recs := fx.read(s.File)
	if len(recs) != 1 || numberOf(recs[0].frame) != 3 {
		t.Errorf("%d records, want the frame to port 25 on Data 2", len(recs))
	}
}

func TestInvalidMenuSettingsAreRefused(t *testing.T) {
	fx := newFixture(t, 0)
	before := fx.MenuSettings()
	var syntax *pcapfilter.SyntaxError
	err := fx.SetMenuSettings(capture.MenuSettings{Interface: "Data 1", Filter: "port or"})
	if !errors.As(err, &syntax) {
		t.Errorf("an invalid filter: %v", err)
	}
	var gone *capture.InterfaceError
	err = fx.SetMenuSettings(capture.MenuSettings{Interface: "Data 9"})
	if !errors.As(err, &gone) || gone.Name != "Data 9" {
		t.Errorf("an interface that does not exist: %v", err)
	}
	if got := fx.MenuSettings(); got != before {
		t.Errorf("the refused settings changed them to %+v", got)
	}
}

func TestOneCaptureRunsAcrossAllSides(t *testing.T) { // B22
	for _, first := range []capture.Side{capture.CLI, capture.GUI, capture.TCPDump} {
		for _, second := range []capture.Side{capture.CLI, capture.GUI, capture.TCPDump} {
			fx := newFixture(t, 0)
			fx.start(first)
			var busy *capture.InProgressError
			_, err := fx.Start(t.Context(), capture.Owner{Side: second})
			if !errors.As(err, &busy) || busy.Running != first || busy.Requested != second {
				t.Errorf("Start of the %s during a capture of the %s: %v", second, first, err)
			}
			if s := fx.Status(second); s.Running != (first == second) {
				t.Errorf("Status of the %s during a capture of the %s: %+v", second, first, s)
			}
		}
	}
}

func TestRefusalNamesTheSideOfTheRunningCapture(t *testing.T) { // B22
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
			t.Errorf("%v during a capture of the %v: %q, want %q", c.requested, c.running, text, c.want)
		}
	}
}

func TestLeavingTheMenuEndsItsCapture(t *testing.T) { // B26
	fx := newFixture(t, 0)
	me := capture.Owner{Side: capture.TCPDump, Session: "1"}
	if _, err := fx.Start(t.Context(), me); err != nil {
		t.Fatal(err)
	}
	fx.network.send("Data 1", frame(25, 1, 64))
	_, err := fx.LeaveMenu(capture.Owner{Side: capture.TCPDump, Session: "2"})
	if !errors.Is(err, capture.ErrNotRunning) {
		t.Errorf("another session leaves the menu: %v", err)
	}
	if s := fx.Status(capture.TCPDump); !s.Running {
		t.Fatal("another session that leaves the menu ended the capture")
	}
	s, err := fx.LeaveMenu(me)
	if err != nil || s.Running || s.Reason != capture.MenuLeft || s.File != menuName+".cap" ||
		len(fx.read(s.File)) != 1 {
		t.Errorf("LeaveMenu returned %+v, %v", s, err)
	}
	if _, err := fx.LeaveMenu(me); !errors.Is(err, capture.ErrNotRunning) {
		t.Errorf("leaving the menu again: %v", err)
	}
}

func TestMenuCaptureEndsWithItsSession(t *testing.T) {
	fx := newFixture(t, 0)
	session, hangUp := context.WithCancel(t.Context())
	if _, err := fx.Start(session, capture.Owner{Side: capture.TCPDump, Session: "1"}); err != nil {
		t.Fatal(err)
	}
	hangUp()
	if s := fx.awaitEnd(capture.TCPDump); s.Reason != capture.SessionEnded {
		t.Errorf("ended as %+v", s)
	}
}

func TestMenuCaptureIsLimitedByTheDiskOnly(t *testing.T) { // B31
	const quota = 3 << 20
	fx := newFixture(t, quota)
	fx.set(func(s *capture.Settings) { s.SizeMB = 1 })
	file := fx.start(capture.TCPDump).File
	for i := 0; fx.Status(capture.TCPDump).Running; i++ {
		for range 100 {
			fx.network.send("Data 1", frame(25, i, 1500))
		}
	}
	s := fx.Status(capture.TCPDump)
	if s.Reason != capture.DiskFull || s.Size < quota/2 || s.Size > quota {
		t.Errorf("ended as %+v", s)
	}
	if n := len(fx.read(file)); uint64(n) != s.Packets {
		t.Errorf("%d whole records, want %d", n, s.Packets)
	}
}

func TestRemoveMenuFilesKeepsOtherCaptures(t *testing.T) {
	fx := newFixture(t, 0)
	for _, side := range []capture.Side{capture.CLI, capture.TCPDump, capture.TCPDump, capture.GUI} {
		fx.start(side)
		fx.stop(side)
	}
	fx.start(capture.TCPDump) // keeps running
	removed, err := fx.RemoveMenuFiles()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range removed {
		names = append(names, f.Name())
	}
	if want := []string{menuName + ".cap", menuName + "_2.cap"}; !slices.Equal(names, want) {
		t.Errorf("removed %q, want %q", names, want)
	}
	want := []string{firstName + ".cap", firstName + "_2.cap", menuName + "_3.cap"}
	if got := fx.list(); !slices.Equal(got, want) {
		t.Errorf("the remaining files are %q, want %q", got, want)
	}
}

func TestMenuCaptureEndsWithItsInterface(t *testing.T) {
	fx := newFixture(t, 0)
	if err := fx.SetMenuSettings(capture.MenuSettings{Interface: "Data 2"}); err != nil {
		t.Fatal(err)
	}
	fx.start(capture.TCPDump)
	fx.network.mu.Lock()
	fx.network.interfaces = []network.Interface{fx.network.interfaces[0]}
	fx.network.mu.Unlock()
	fx.InterfacesChanged()
	if s := fx.Status(capture.TCPDump); s.Running || s.Reason != capture.InterfaceGone {
		t.Errorf("after its interface was removed: %+v", s)
	}
}
