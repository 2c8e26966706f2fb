package appliance_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/esasim/esasim/appliance"
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
