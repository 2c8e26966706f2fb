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
)

func TestTheTimeThatWasSetOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	first, clock := offline(t, dir, switchedOn)
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
	second, _ := offline(t, dir, clock.Now().Add(24*time.Hour))
	if got := second.Clock.Now(); !got.Equal(set.Add(time.Minute + 24*time.Hour)) {
		t.Errorf("a day after that it is %v", got)
	}
}

func TestTheInstallationHappensOnce(t *testing.T) {
	dir := t.TempDir()
	first, _ := offline(t, dir, switchedOn)
	second, _ := offline(t, dir, switchedOn.Add(24*time.Hour))
	for _, app := range []*appliance.Appliance{first, second} {
		if got := app.Product.Installed; !got.Equal(switchedOn) {
			t.Errorf("installed %v, want %v", got, switchedOn)
		}
	}
}

func TestDamagedStateIsRefusedByName(t *testing.T) {
	for _, name := range []string{"clock", "installed"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "state", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := appliance.New(appliance.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: New = %v, want an error that names %s", name, err, file)
		}
	}
}

func TestTheOperatorReadsWhatMatters(t *testing.T) {
	var out bytes.Buffer
	app := open(t, appliance.Options{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	app.Log(appliance.SystemLog, appliance.Debug, "small")
	app.Log(appliance.SystemLog, appliance.Warning, "large")
	app.Log(appliance.CLILog, appliance.Information, "typed")
	got := out.String()
	if strings.Contains(got, "small") || strings.Contains(got, "typed") || !strings.Contains(got, "level=WARN msg=large log=system") {
		t.Errorf("the program's log:\n%s", got)
	}
}

func TestNobodyAtThePowerSwitch(t *testing.T) {
	app, _ := offline(t, t.TempDir(), switchedOn)
	if app.Power(appliance.Reboot, 0) {
		t.Error("Power reports that somebody reboots the appliance")
	}
}
