package users_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
)

var (
	admin      = users.Account{Name: "admin", Role: users.Administrator}
	joe        = users.Account{Name: "joe", Role: users.Operator}
	clientAddr = netip.MustParseAddr("10.0.201.4")
)

func openLogins(t *testing.T, file string, c clock.Clock) *users.Logins {
	t.Helper()
	l := users.OpenLogins(file, c, nil)
	t.Cleanup(l.Close)
	return l
}

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestSessions(t *testing.T) {
	f := clock.NewFake(start)
	l := openLogins(t, "", f)
	a := l.Open(admin, netip.MustParseAddr("::ffff:10.0.201.4"), "cli")
	f.Advance(time.Minute)
	j := l.Open(joe, netip.Addr{}, "ftp")
	f.Advance(time.Minute)
	a.Touch()
	f.Advance(time.Second)
	want := []users.Session{
		{ID: 1, Account: "admin", Role: users.Administrator,
			ClientAddr: clientAddr, Service: "cli", LoginTime: start, Idle: time.Second},
		{ID: 2, Account: "joe", Role: users.Operator,
			Service: "ftp", LoginTime: start.Add(time.Minute), Idle: 61 * time.Second},
	}
	if diff := cmp.Diff(want, l.Sessions(), sameAddr); diff != "" {
		t.Error(diff)
	}
	a.Close()
	a.Close()
	if got := l.Sessions(); len(got) != 1 || got[0].ID != j.ID() {
		t.Errorf("after a logout: %v", got)
	}
}

func TestHistoryOutlivesRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "logins")
	f := clock.NewFake(start)
	l := openLogins(t, file, f)
	if _, ok := l.PreviousLogin("admin"); ok {
		t.Error("a first login has a previous one")
	}
	a := l.Open(admin, clientAddr, "cli")
	f.Advance(time.Minute)
	l.Open(joe, clientAddr, "sftp") // not closed: the process crashes
	a.Close()
	l.RecordPowerEvent(users.Rebooted)
	l.Flush()

	l = openLogins(t, file, f)
	f.Advance(time.Minute)
	again := l.Open(admin, clientAddr.Next(), "cli")
	want := []users.Record{
		{Event: users.LoggedIn, ID: 3, Account: "admin",
			ClientAddr: clientAddr.Next(), Service: "cli", LoginTime: start.Add(2 * time.Minute), Open: true},
		{Event: users.Rebooted, LoginTime: start.Add(time.Minute)},
		{Event: users.LoggedIn, ID: 2, Account: "joe",
			ClientAddr: clientAddr, Service: "sftp", LoginTime: start.Add(time.Minute)},
		{Event: users.LoggedIn, ID: 1, Account: "admin",
			ClientAddr: clientAddr, Service: "cli", LoginTime: start, LogoutTime: start.Add(time.Minute)},
	}
	if diff := cmp.Diff(want, l.History(), sameAddr); diff != "" {
		t.Error(diff)
	}
	if r, ok := l.PreviousLogin("joe"); !ok || r.ID != 2 {
		t.Errorf("joe's previous login: %v", r)
	}
	again.Close()
	if h := l.History(); h[0].Open || !h[0].LogoutTime.Equal(start.Add(2*time.Minute)) {
		t.Errorf("after the logout: %v", h[0])
	}
}

// A newer version of the program must be able to read the file of an older one.
func TestFormatOfTheHistoryFile(t *testing.T) {
	const line = `{"Event":"login","ID":1,"Account":"admin","From":"192.0.2.1","What":"cli",` +
		`"In":"2015-06-25T08:50:03Z","Out":"2015-06-25T08:51:03Z","Open":false}` + "\n"
	file := filepath.Join(t.TempDir(), "logins")
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []users.Record{{
		Event: users.LoggedIn, ID: 1, Account: "admin",
		ClientAddr: netip.MustParseAddr("192.0.2.1"), Service: "cli",
		LoginTime:  time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC),
		LogoutTime: time.Date(2015, 6, 25, 8, 51, 3, 0, time.UTC),
	}}
	got := openLogins(t, file, clock.NewFake(start)).History()
	if diff := cmp.Diff(want, got, sameAddr); diff != "" {
		t.Error(diff)
	}
	if b, err := json.Marshal(got[0]); err != nil || string(b)+"\n" != line {
		t.Errorf("written as %s, %v; want %s", b, err, line)
	}
}

func TestTornLineIsSkipped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "logins")
	f := clock.NewFake(start)
	l := openLogins(t, file, f)
	l.Open(admin, clientAddr, "cli").Close()
	l.Open(joe, clientAddr, "cli")
	l.Flush()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, whole[:len(whole)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	l = openLogins(t, file, f)
	l.Open(joe, clientAddr, "cli")
	l.Flush()
	h := openLogins(t, file, f).History()
	if len(h) != 2 || h[0].Account != "joe" || h[1].Account != "admin" || h[1].LogoutTime.IsZero() {
		t.Errorf("history %v", h)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "logins")
	l := openLogins(t, file, clock.NewFake(start))
	first := l.Open(joe, clientAddr, "cli")
	for i := range 6000 {
		l.Open(admin, clientAddr, "cli").Close()
		if i < 4000 && i%100 == 0 { // later there are more records than Flush is given at a time
			l.Flush()
		}
	}
	first.Close() // the history does not contain it any more
	l.Flush()
	if h := l.History(); len(h) != 500 || h[0].ID != 6001 {
		t.Errorf("%d records, the newest is %v", len(h), h[0])
	}
	if i, err := os.Stat(file); err != nil || i.Size() > 1<<20 {
		t.Errorf("the file has %d bytes, %v", i.Size(), err)
	}
	if h := openLogins(t, file, clock.NewFake(start)).History(); len(h) != 500 || h[0].ID != 6001 {
		t.Errorf("after a restart %d records, the newest is %v", len(h), h[0])
	}
}

// Whatever the file holds, logins work, and the lines that are whole are kept.
func TestDamagedHistoryIsSkipped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "logins")
	before := openLogins(t, file, clock.NewFake(start))
	before.Open(joe, clientAddr, "cli").Close()
	before.Close()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, content string
		logins        int
		damaged       bool // lines are reported
	}{
		{"empty", "", 0, false},
		{"half", string(whole[:len(whole)/4]), 0, false},
		{"garbage", "\x00\xff\n{}\n[1]\n\"x\"\n", 0, true},
		{"garbage between lines", string(whole) + "\x00garbage\n", 1, true},
		{"impossible numbers", `{"Event":"login","ID":9223372036854775807}` + "\n", 0, true},
		{"unknown event", `{"Event":"launch","ID":1}` + "\n", 0, true},
	} {
		if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		l := users.OpenLogins(file, clock.NewFake(start), slog.New(slog.NewTextHandler(&log, nil)))
		if h := l.History(); len(h) != c.logins {
			t.Errorf("%s: history %v, want %d", c.name, h, c.logins)
		}
		if strings.Contains(log.String(), "damaged") != c.damaged {
			t.Errorf("%s: logged %q", c.name, log.String())
		}
		l.Open(admin, clientAddr, "cli").Close()
		l.Close()
		if h := openLogins(t, file, clock.NewFake(start)).History(); len(h) != c.logins+1 {
			t.Errorf("%s: after a login the history is %v", c.name, h)
		}
	}
}

func TestUnreadableHistoryIsEmpty(t *testing.T) {
	var log bytes.Buffer
	l := users.OpenLogins(t.TempDir(), clock.NewFake(start), slog.New(slog.NewTextHandler(&log, nil)))
	if len(l.History()) != 0 || !strings.Contains(log.String(), "ignored") {
		t.Errorf("a directory as history: %v, logged %q", l.History(), log.String())
	}
}

func TestUnwritableHistoryRefusesNoLogin(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	file := filepath.Join(dir, "logins")
	var log bytes.Buffer
	l := users.OpenLogins(file, clock.NewFake(start), slog.New(slog.NewTextHandler(&log, nil)))
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // where the directory is expected
		t.Fatal(err)
	}
	l.Open(admin, clientAddr, "cli").Close()
	l.Open(joe, clientAddr, "cli")
	if h := l.History(); len(h) != 2 || h[1].LogoutTime.IsZero() {
		t.Errorf("in memory: %v", h)
	}
	l.Flush()
	l.Open(joe, clientAddr, "ftp").Close()
	l.Flush()
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines were logged, want 1:\n%s", n, log.String())
	}
	if err := os.Remove(dir); err != nil { // now there is space
		t.Fatal(err)
	}
	l.Open(admin, clientAddr, "ftp")
	l.Close()
	if h := openLogins(t, file, clock.NewFake(start)).History(); len(h) != 4 {
		t.Errorf("once the file can be written it holds %v", h)
	}
}

func TestRecordsAreWrittenSoon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "logins")
	l := openLogins(t, file, clock.NewFake(start))
	l.Open(admin, clientAddr, "cli")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for len(openLogins(t, file, clock.NewFake(start)).History()) == 0 {
		if err := clock.System().Sleep(ctx, time.Millisecond); err != nil {
			t.Fatal("the login is not in the file")
		}
	}
	joined := l.Open(joe, clientAddr, "cli")
	l.Close()
	joined.Close()
	l.Flush()
	h := openLogins(t, file, clock.NewFake(start)).History()
	if len(h) != 2 || !h[0].LogoutTime.IsZero() {
		t.Errorf("the file holds %v, want the two logins and nothing after Close", h)
	}
}

func TestLoginsAreSafeForConcurrentUse(t *testing.T) {
	l := openLogins(t, filepath.Join(t.TempDir(), "logins"), clock.NewFake(start))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				s := l.Open(users.Account{Name: fmt.Sprint("u", i)}, clientAddr, "cli")
				s.Touch()
				l.Sessions()
				l.History()
				s.Close()
			}
		})
	}
	wg.Wait()
	if n := len(l.Sessions()); n != 0 {
		t.Errorf("%d are still logged in", n)
	}
}

func BenchmarkLogin(b *testing.B) {
	l := users.OpenLogins(filepath.Join(b.TempDir(), "logins"), clock.System(), nil)
	defer l.Close()
	for b.Loop() {
		l.Open(admin, clientAddr, "cli").Close()
	}
}
