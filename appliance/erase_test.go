package appliance_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/tooltest"
)

func TestEraseKeepsClockAndInstallationDate(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"config/1.xml", "files/data/pub/configuration/x.xml",
		"state/logins", "state/clock", "state/installed",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // an erased appliance can be erased again
		if err := appliance.Erase(dir); err != nil {
			t.Fatal(err)
		}
	}
	left := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(dir, path)
			left[filepath.ToSlash(name)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 || !left["state/clock"] || !left["state/installed"] {
		t.Errorf("left %v", left)
	}
}

func TestNewFinishesErase(t *testing.T) {
	dir := t.TempDir()
	aside := filepath.Join(dir, "erased")
	if err := os.MkdirAll(filepath.Join(aside, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	app, err := appliance.New(appliance.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(aside); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestEraseOnFullDisk(t *testing.T) {
	disk := tooltest.SmallDisk(t)
	dir := filepath.Join(disk.Dir, "appliance")
	app, err := appliance.New(appliance.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.SetTime(app.Clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	disk.Fill()
	if err := appliance.Erase(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "state"))
	if err != nil || len(left) != 2 {
		t.Errorf("left %v, %v", left, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "state", "clock")); len(text) == 0 || err != nil {
		t.Errorf("the clock's setting: %q, %v", text, err)
	}
}

// On a full disk a setting is refused and stays as it was.
func TestSettingsOnFullDisk(t *testing.T) {
	disk := tooltest.SmallDisk(t)
	app := open(t, appliance.Options{Dir: filepath.Join(disk.Dir, "appliance")})
	disk.Fill()
	shift := app.Clock.Shift()
	for name, err := range map[string]error{
		"SetTime":     app.SetTime(app.Clock.Now().Add(time.Hour)),
		"AdvanceTime": app.AdvanceTime(time.Hour),
		"SetEnabled":  app.Tracking.SetEnabled(false),
	} {
		if text, ok := refusal.Text(err); !ok || !strings.Contains(text, "no disk space") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if app.Clock.Shift() != shift || !app.Tracking.Enabled() {
		t.Error("a setting that was refused has changed")
	}
	disk.Free()
	if err := app.AdvanceTime(time.Hour); err != nil || app.Clock.Shift() != shift+time.Hour {
		t.Errorf("afterwards: %v, %v", err, app.Clock.Shift())
	}
}
