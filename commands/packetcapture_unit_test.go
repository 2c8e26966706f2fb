package commands_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/shell/shelltest"
)

// A tappedNet is a network with interfaces that can be tapped and have no traffic.
type tappedNet struct{ network.Network }

type silentTap struct{ network.Tap }

func (silentTap) Close() error { return nil }

func (tappedNet) Tap(network.TapConfig) (network.Tap, error) { return silentTap{}, nil }

func (tappedNet) Interfaces() []network.Interface {
	return []network.Interface{{Name: "Data 1"}, {Name: "Data 2"}, {Name: "lo0", Loopback: true}}
}

// newCaptureAppliance returns an appliance on a tappedNet.
func newCaptureAppliance(t *testing.T) *appliance.Appliance {
	t.Helper()
	app, err := appliance.New(appliance.Options{
		Net: tappedNet{}, Dir: t.TempDir(), CaptureInterfaces: []string{"Data 1"},
		Product: product.Facts{Model: "C100V", Serial: "421F6D8FB9C75E19C425-C9AEA81B2B70"},
		Clock:   clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Stop(context.Background()) })
	return app
}

// packetcapture runs the command with these answers, in a session that ends with life, and
// returns the output.
func packetcapture(t *testing.T, life context.Context, app *appliance.Appliance, answers ...string) string {
	t.Helper()
	d := shelltest.NewPrompter(answers...)
	env := &shell.Env{Dialogue: shell.NewDialogue(d), Appliance: app, SessionContext: life}
	err := runCommand(t.Context(), env, "packetcapture")
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if d.Unused() > 0 {
		t.Errorf("%d answers were not asked for:\n%s", d.Unused(), d)
	}
	return d.String()
}

func TestCaptureIsVisibleToOtherSessions(t *testing.T) {
	app := newCaptureAppliance(t)
	packetcapture(t, t.Context(), app, "start")
	if s := app.Captures.Status(capture.CLI); !s.Running {
		t.Fatalf("leaving the menu ended the capture: %+v", s)
	}
	got := packetcapture(t, t.Context(), app, "stop")
	for _, want := range []string{"Status: Capture in progress (Duration = 0s)\n", "Success - Packet Capture has stopped\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestCaptureEndsWithItsSession(t *testing.T) { // B10
	app := newCaptureAppliance(t)
	life, hangUp := context.WithCancel(t.Context())
	packetcapture(t, life, app, "start")
	hangUp()
	for app.Captures.Status(capture.CLI).Running {
		if err := clock.System().Sleep(t.Context(), time.Millisecond); err != nil {
			t.Fatal("the capture does not end")
		}
	}
	if got, want := packetcapture(t, t.Context(), app), "The last capture ended: the session that started it ended.\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}

func TestCaptureOfGUIIsHiddenButExcludesOthers(t *testing.T) { // B21, B22
	app := newCaptureAppliance(t)
	if _, err := app.Captures.Start(t.Context(), capture.Owner{Side: capture.GUI}); err != nil {
		t.Fatal(err)
	}
	got := packetcapture(t, t.Context(), app, "start")
	if n := strings.Count(got, "Status: No packet capture in progress\n"); n != 2 || strings.Contains(got, ".cap") {
		t.Errorf("the GUI's capture is shown:\n%s", got)
	}
	if want := "A packet capture that was started in the GUI is in progress."; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
	got = packetcapture(t, t.Context(), app, "stop")
	want := "The packet capture in progress was started in the GUI. It must be stopped there."
	if !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
	if s := app.Captures.Status(capture.GUI); !s.Running {
		t.Error("the GUI's capture has ended")
	}
}

func TestSetupStoresSettings(t *testing.T) { // B12, B13
	app := newCaptureAppliance(t)
	packetcapture(t, t.Context(), app, "setup",
		"20", "n", "y", "5m 30s", "1, data 2", "2", "25, 587", "10.1.1.1", "10.1.1.2, 2001:db8::1")
	want := capture.Settings{
		SizeMB: 20, KeepNewest: true, Duration: 330 * time.Second, Interfaces: []string{"Data 1", "Data 2"},
		Filter: capture.Filter{
			Kind: capture.Predefined, Ports: []capture.Port{{Number: 25}, {Number: 587}},
			Clients: []netip.Addr{netip.MustParseAddr("10.1.1.1")},
			Servers: []netip.Addr{netip.MustParseAddr("10.1.1.2"), netip.MustParseAddr("2001:db8::1")},
		},
	}
	if diff := cmp.Diff(want, app.Captures.Settings(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	// The second time the defaults are the settings. "any" and "all" remove limits.
	packetcapture(t, t.Context(), app, "setup", "", "", "", "", "all", "", "", "any", "any")
	want.Interfaces, want.Filter.Clients, want.Filter.Servers = nil, nil, nil
	if diff := cmp.Diff(want, app.Captures.Settings()); diff != "" {
		t.Error(diff)
	}
}

func TestInvalidFilterIsAskedForAgain(t *testing.T) {
	app := newCaptureAppliance(t)
	got := packetcapture(t, t.Context(), app, "setup", "", "", "", "", "3", "ip host 10.1.1.1 or or", "ip host 10.1.1.1")
	want := `[]> ip host 10.1.1.1 or or

The filter is not valid at character 21: syntax error
  ip host 10.1.1.1 or or
                      ^

Enter the filter.
[]> ip host 10.1.1.1

Success - Packet Capture settings have been changed
`
	if !strings.Contains(got, want) {
		t.Errorf("want\n%s\nin\n%s", want, got)
	}
	if got := app.Captures.Settings().FilterText(); got != "ip host 10.1.1.1" {
		t.Errorf("the filter is now %q", got)
	}
}
