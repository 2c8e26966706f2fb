package users_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
)

// Whatever the file of the history holds, logins are recorded in it and can be read again.
func FuzzHistory(f *testing.F) {
	const login = `{"Event":"login","ID":1,"Account":"joe","From":"10.0.201.4","What":"cli",` +
		`"In":"2015-06-25T08:50:03Z","Out":"0001-01-01T00:00:00Z","Open":true}` + "\n"
	f.Add([]byte(login))
	f.Add([]byte(login + login[:30]))
	f.Add([]byte(login[:30] + "\n" + login))
	f.Add([]byte(`{"Event":"reboot","In":"2015-06-25T08:50:03Z"}` + "\n\x00\n[]\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "logins")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		l := openLogins(t, file, clock.NewFake(start))
		l.PreviousLogin("joe")
		login := l.Open(admin, clientAddr, "cli")
		login.Close()
		l.Flush()
		before := len(l.History())
		again := openLogins(t, file, clock.NewFake(start)).History()
		if len(again) != before || again[0].ID != login.ID() || again[0].LogoutTime.IsZero() {
			t.Fatalf("%d records, then %d; the newest is %+v", before, len(again), again[0])
		}
	})
}
