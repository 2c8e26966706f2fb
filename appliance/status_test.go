package appliance_test

import (
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/queue"
)

// Status lines are written each minute, to the status log and the mail log. A new interval takes
// effect immediately, even if the old one was long.
func TestStatusLines(t *testing.T) {
	app, clk := openOffline(t, t.TempDir(), firstStart)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := func(log string) (times []string) {
		t.Helper()
		names, err := app.Logs.Files(t.Context(), log)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(app.Files, name)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if at, _, is := strings.Cut(line, " Info: Status: CPULd "); is {
					times = append(times, strings.Fields(at)[3])
				}
			}
		}
		return times
	}
	want := func(after time.Duration, number int) {
		t.Helper()
		clk.Advance(after)
		for _, log := range []string{"status", "mail_logs"} {
			if got := lines(log); len(got) != number {
				t.Errorf("%s has status lines at %q, want %d", log, got, number)
			}
		}
	}
	every := func(seconds int) {
		t.Helper()
		d := app.Config.NewDraft()
		logs.General.Set(d, logs.Settings{MetricsInterval: seconds})
		if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
			t.Fatal(err)
		}
	}
	want(59*time.Second, 0)
	want(time.Second, 1)
	want(time.Minute, 2)
	every(logs.MaxMetricsInterval)
	want(time.Minute, 2)
	every(5)
	want(4*time.Second, 2)
	want(time.Second, 3)
	want(5*time.Second, 4)
	app.Log(appliance.MailLog, appliance.Information, "no status line")
	want(0, 4)
}

// The figures of a status line are those of the process and of its disk.
func TestStatusFigures(t *testing.T) {
	app, clk := openOffline(t, t.TempDir(), firstStart)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	clk.Advance(time.Minute)
	if err := app.Logs.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(app.Files, "data/pub/status/status.current")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "Status: ")
	words := strings.Fields(line)
	figures := map[string]int{}
	for i := 0; i+1 < len(words); i += 2 {
		n, err := strconv.Atoi(strings.TrimRight(words[i+1], "G%"))
		if err != nil {
			t.Errorf("%s %s", words[i], words[i+1])
		}
		figures[words[i]] = n
	}
	if n := figures["RAMUsd"]; n < 1<<20 {
		t.Errorf("RAMUsd is %d", n)
	}
	if n := figures["CPULd"]; n < 0 || n > 100 || n != figures["TotalLd"] {
		t.Errorf("CPULd is %d, TotalLd is %d", n, figures["TotalLd"])
	}
	free := int(app.MTA.Queue.Stats().BytesFree >> 10)
	if n := figures["QKFre"]; n != free || n < queue.DefaultQuota>>10-1024 {
		t.Errorf("QKFre is %d, the mail queue has %d KB", n, free)
	}
}
