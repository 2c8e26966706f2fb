package appliance_test

import (
	"testing"

	"github.com/esasim/esasim/appliance"
)

func TestADatabaseIsSwitchedOffUntilItIsSwitchedOn(t *testing.T) {
	dir := t.TempDir()
	for _, on := range []bool{true, false, true} {
		box, err := appliance.New(appliance.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if got := box.Reporting.Enabled(); got != on {
			t.Errorf("reporting is enabled: %v, want %v", got, on)
		}
		if !box.Tracking.Enabled() {
			t.Error("tracking was switched off with it")
		}
		if err := box.Reporting.Enable(!on); err != nil {
			t.Fatal(err)
		}
		if err := box.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeletingADatabaseLeavesTheOther(t *testing.T) {
	box, err := appliance.New(appliance.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Stop(t.Context()) //nolint:errcheck // nothing runs in it
	usage := func(d *appliance.Database, files int, bytes int64) {
		t.Helper()
		if n, size, err := d.Usage(); n != files || size != bytes || err != nil {
			t.Errorf("%s: %d files of %d bytes, %v; want %d of %d", d.Dir(), n, size, err, files, bytes)
		}
	}
	usage(box.Reporting, 0, 0)
	if err := box.Reporting.Delete(); err != nil {
		t.Errorf("nothing to delete: %v", err)
	}
	for _, dir := range []string{"var/db", box.Reporting.Dir(), box.Reporting.Dir() + "/2015", box.Tracking.Dir()} {
		if err := box.Files.Mkdir(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{box.Reporting.Dir() + "/counters", box.Reporting.Dir() + "/2015/june", box.Tracking.Dir() + "/messages"} {
		if err := box.Files.WriteFile(name, []byte("12345")); err != nil {
			t.Fatal(err)
		}
	}
	usage(box.Reporting, 2, 10)
	if err := box.Reporting.Delete(); err != nil {
		t.Fatal(err)
	}
	usage(box.Reporting, 0, 0)
	usage(box.Tracking, 1, 5)
	if used, _ := box.Files.Usage(); used != 5 {
		t.Errorf("the file area holds %d bytes, want tracking's 5", used)
	}
}
