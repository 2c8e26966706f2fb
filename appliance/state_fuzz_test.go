package appliance_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
)

// Whatever the state files hold, the appliance starts, its clock and the date of its installation
// are in the range of years that administrators can set, and what is set next survives a restart.
func FuzzStateFiles(f *testing.F) {
	f.Add([]byte("-26h3m\n"), []byte("2015-06-25T08:50:03Z\n"), []byte(`{"Requests":3,"Hits":1}`),
		[]byte("{}"))
	f.Add([]byte("2562047h47m16s"), []byte("9999-12-31T23:59:59+23:59"), []byte("[]"), []byte("null"))
	f.Add([]byte("-2562047h47m16s"), []byte("0001-01-01T00:00:00Z"), []byte(`{"Hits":-1}`), []byte{})
	f.Add([]byte{}, []byte("\x00\xff\n"), []byte(`{"Requests":18446744073709551615}`), []byte("\n"))
	f.Fuzz(func(t *testing.T, ahead, installed, dns, tracking []byte) {
		dir, now := t.TempDir(), clock.NewFake(firstStart)
		if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{
			"clock": ahead, "installed": installed, "dns": dns, "tracking": tracking,
		} {
			if err := os.WriteFile(filepath.Join(dir, "state", name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		first := open(t, appliance.Options{
			Dir: dir, Clock: now, Logger: slog.New(slog.DiscardHandler),
		})
		for what, at := range map[string]time.Time{
			"clock": first.Clock.Now(), "date": first.Installed(),
		} {
			if y := at.Year(); y < appliance.MinYear || y > appliance.MaxYear {
				t.Fatalf("the %s is %v", what, at)
			}
		}
		set := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
		if err := first.SetTime(set); err != nil {
			t.Fatal(err)
		}
		again := open(t, appliance.Options{
			Dir: dir, Clock: now, Logger: slog.New(slog.DiscardHandler),
		})
		if got := again.Clock.Now(); !got.Equal(set) || !again.Installed().Equal(first.Installed()) {
			t.Fatalf("after a restart the time is %v, and the installation was %v, not %v",
				got, again.Installed(), first.Installed())
		}
	})
}
