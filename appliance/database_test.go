package appliance_test

import (
	"testing"

	"github.com/esasim/esasim/appliance"
)

func TestDatabaseSettingSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	for _, on := range []bool{true, false, true} {
		app, err := appliance.New(appliance.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if got := app.Reporting.Enabled(); got != on {
			t.Errorf("reporting is enabled: %v, want %v", got, on)
		}
		if !app.Tracking.Enabled() {
			t.Error("tracking was switched off with it")
		}
		if err := app.Reporting.SetEnabled(!on); err != nil {
			t.Fatal(err)
		}
		if err := app.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeleteLeavesOtherDatabase(t *testing.T) {
	app, err := appliance.New(appliance.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Stop(t.Context())
	usage := func(d *appliance.Database, files int, bytes int64) {
		t.Helper()
		if n, size, err := d.Usage(); n != files || size != bytes || err != nil {
			t.Errorf("%s: %d files of %d bytes, %v; want %d of %d", d.Dir(), n, size, err, files, bytes)
		}
	}
	usage(app.Reporting, 0, 0)
	if err := app.Reporting.Delete(); err != nil {
		t.Errorf("nothing to delete: %v", err)
	}
	reporting, tracking := app.Reporting.Dir(), app.Tracking.Dir()
	for _, dir := range []string{"var/db", reporting, reporting + "/2015", tracking} {
		if err := app.Files.Mkdir(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{
		reporting + "/counters", reporting + "/2015/june", tracking + "/messages",
	} {
		if err := app.Files.WriteFile(name, []byte("12345")); err != nil {
			t.Fatal(err)
		}
	}
	usage(app.Reporting, 2, 10)
	if err := app.Reporting.Delete(); err != nil {
		t.Fatal(err)
	}
	usage(app.Reporting, 0, 0)
	usage(app.Tracking, 1, 5)
	if used, _ := app.Files.Usage(); used != 5 {
		t.Errorf("the file area holds %d bytes, want tracking's 5", used)
	}
}
