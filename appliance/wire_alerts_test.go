package appliance_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
)

func TestAlertAboutRemovedLogFiles(t *testing.T) {
	for asked, want := range map[bool][]string{
		false: nil,
		true: {"Info: Log subscription system_logs: 1 log files were removed because of the maximum " +
			"number of files, 1."},
	} {
		app, clk := openOffline(t, t.TempDir(), firstStart)
		d := app.Config.NewDraft()
		list := logs.Section.Get(d)
		s := list.Find("system_logs")
		s.MaxFiles, s.Alert = 1, asked
		logs.Section.Set(d, list)
		if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			app.Log(appliance.SystemLog, appliance.Information, "a line")
			clk.Advance(time.Second)
			if err := app.Logs.RollOver(t.Context(), "system_logs"); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, a := range app.Alerts.Alerts() {
			got = append(got, a.Severity.ShortName()+": "+a.Text)
		}
		if diff := cmp.Diff(want, got[:min(1, len(got))]); diff != "" {
			t.Errorf("asked for: %v\n%s", asked, diff)
		}
	}
}

func TestAlertsSurviveRestart(t *testing.T) {
	dir := t.TempDir()
	app, _ := openOffline(t, dir, firstStart)
	app.Alerts.Raise(alert.Hardware, alert.Warning, "a fan is slow")
	if err := app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, _ := openOffline(t, dir, firstStart.Add(time.Hour))
	got := again.Alerts.Alerts()
	if len(got) != 1 || got[0].Text != "a fan is slow" || !got[0].Time.Equal(firstStart) {
		t.Errorf("got %+v", got)
	}
}

func TestSupportReport(t *testing.T) {
	w := newWorld(t)
	app := newAppliance(t, w)
	text := app.SupportReport()
	for _, want := range []string{"Up since: ", "(0d 0h 00m 0", "\nStatus: ", "CPUETm"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
