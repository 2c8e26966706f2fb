package appliance_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
)

func TestTimeSettingSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	first, clock := openOffline(t, dir, firstStart)
	clock.Advance(time.Hour)
	set := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := first.SetTime(set); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	if got := first.Clock.Now(); !got.Equal(set.Add(time.Minute)) {
		t.Errorf("a minute later the time is %v", got)
	}
	if up := first.Clock.Now().Sub(first.Started()); up != time.Hour+time.Minute {
		t.Errorf("setting the time made the uptime %v", up)
	}
	// A day passes while the appliance is off.
	second, _ := openOffline(t, dir, clock.Now().Add(24*time.Hour))
	if got := second.Clock.Now(); !got.Equal(set.Add(time.Minute + 24*time.Hour)) {
		t.Errorf("a day after that it is %v", got)
	}
}

// The date is saved when somebody asks for it, a minute after the start, and by Stop. Killing the
// process afterwards does not change it.
func TestInstallationDateIsThatOfFirstStart(t *testing.T) {
	for name, save := range map[string]func(*appliance.Appliance, *clock.Fake){
		"asked": func(a *appliance.Appliance, _ *clock.Fake) { a.Installed() },
		"later": func(_ *appliance.Appliance, c *clock.Fake) { c.Advance(time.Minute) },
		"stopped": func(a *appliance.Appliance, _ *clock.Fake) {
			if err := a.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		dir := t.TempDir()
		first, clock := openOffline(t, dir, firstStart)
		if _, err := os.Stat(filepath.Join(dir, "state")); !os.IsNotExist(err) {
			t.Errorf("%s: a first start makes the directory of state files (%v)", name, err)
		}
		save(first, clock)
		second, _ := openOffline(t, dir, firstStart.Add(24*time.Hour))
		for _, app := range []*appliance.Appliance{first, second} {
			if got := app.Installed(); !got.Equal(firstStart) {
				t.Errorf("%s: installed %v, want %v", name, got, firstStart)
			}
		}
	}
}

// A damaged state file is ignored, and the program's log names it.
func TestDamagedStateIsIgnored(t *testing.T) {
	for _, name := range []string{"clock", "installed", "dns", "tracking"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "state", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		app := open(t, appliance.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		if app.Clock.Shift() != 0 || app.Product.Installed.IsZero() || !app.Tracking.Enabled() {
			t.Errorf("%s: shift %v, installed %v", name, app.Clock.Shift(), app.Product.Installed)
		}
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, file) {
			t.Errorf("%s: logged %q, want a line that names %s", name, got, file)
		}
	}
}

func TestEntriesInProgramLog(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	app := open(t, appliance.Options{Dir: t.TempDir(), Logger: logger})
	app.Log(appliance.SystemLog, appliance.Debug, "small")
	app.Log(appliance.SystemLog, appliance.Warning, "large")
	app.Log(appliance.CLILog, appliance.Information, "typed")
	got := out.String()
	if strings.Contains(got, "small") || strings.Contains(got, "typed") ||
		!strings.Contains(got, "level=WARN msg=large log=system") {
		t.Errorf("the program's log:\n%s", got)
	}
}

func TestPowerWithoutHandler(t *testing.T) {
	app, _ := openOffline(t, t.TempDir(), firstStart)
	if app.Power(appliance.Reboot, 0) {
		t.Error("Power reports that the appliance is rebooted")
	}
}
