package alert

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// Whatever is in the file of stored alerts, the desk opens, and stores the next alert.
func FuzzStoredAlerts(f *testing.F) {
	for _, seed := range []string{
		"", "{", "null", "[]", `{"alerts":[{"time":"2015-06-25T08:50:03Z","class":"System"}]}`,
		`{"alerts":null,"report":"x"}`, `{"alerts":[{"repeats":{"count":-1}},null]}`, "\x00\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "alerts")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var k deskState
		err := k.load(file)
		if err != nil && (len(k.Alerts) > 0 || !k.LastReport.IsZero()) {
			t.Fatalf("%v, but %+v", err, k)
		}
		d := Open(Options{
			File: file, Logger: slog.New(slog.DiscardHandler), Clock: clock.NewFake(time.Unix(0, 0)),
			Submit: func(Message) error { return nil },
		})
		d.mu.Lock()
		d.keep(Alert{Class: System, Text: "new"}, 3)
		d.mu.Unlock()
		d.saving.Wait()
		var again deskState
		if err := again.load(file); err != nil || len(again.Alerts) == 0 || len(again.Alerts) > 3 ||
			again.Alerts[len(again.Alerts)-1].Text != "new" {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}
