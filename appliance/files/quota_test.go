package files_test

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/files"
)

// Every operation that changes the size of a file counts, and a write that exceeds the quota
// writes nothing.
func TestQuota(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 100)
	calls := 0
	s.OnFull(func() { calls++ })

	f, err := s.Create("data/pub/configuration/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 60)); err != nil {
		t.Fatal(err)
	}
	n, err := f.Write(make([]byte, 41))
	if n != 0 || !errors.Is(err, files.ErrQuota) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a write beyond the quota: %d, %v", n, err)
	}
	if _, err := f.Write(make([]byte, 41)); err == nil || calls != 1 {
		t.Errorf("OnFull's function was called %d times, %v", calls, err)
	}
	wantUsed(t, s, dir, 60)

	if _, err := f.WriteAt(make([]byte, 60), 0); err != nil {
		t.Errorf("overwriting in place: %v", err)
	}
	wantUsed(t, s, dir, 60)
	if _, err := f.WriteAt([]byte("x"), 89); err != nil { // the hole before it counts
		t.Error(err)
	}
	wantUsed(t, s, dir, 90)
	if err := f.Truncate(101); !errors.Is(err, files.ErrQuota) {
		t.Errorf("truncate beyond the quota: %v", err)
	}
	if err := f.Truncate(100); err != nil {
		t.Error(err)
	}
	wantUsed(t, s, dir, 100)
	if err := f.Truncate(10); err != nil {
		t.Error(err)
	}
	wantUsed(t, s, dir, 10)
	if err := f.Close(); err != nil {
		t.Error(err)
	}

	write(t, s, "data/pub/configuration/b", strings.Repeat("b", 20))
	if err := s.Rename("data/pub/configuration/a", "data/pub/configuration/b"); err != nil {
		t.Error(err)
	}
	wantUsed(t, s, dir, 10)
	if err := s.Truncate("data/pub/configuration/b", 70); err != nil {
		t.Error(err)
	}
	wantUsed(t, s, dir, 70)
	if err := s.Remove("data/pub/configuration/b"); err != nil {
		t.Error(err)
	}
	wantUsed(t, s, dir, 0)
	if f, err = s.Append("data/pub/configuration/c"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 101)); err == nil || calls != 2 {
		t.Errorf("after space was freed and used again: called %d times, %v", calls, err)
	}
	f.Close()
}

func TestUsageIsCountedAtOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	write(t, s, "data/pub/diagnostic/a.cap", "12345")
	write(t, s, "data/pub/configuration/a.xml", "1234567")
	if used, _ := open(t, dir, 5).Usage(); used != 12 {
		t.Errorf("used %d, want 12", used)
	}
}

func TestRemovedFileCountsUntilItIsClosed(t *testing.T) {
	s := open(t, t.TempDir(), 100)
	f, err := s.Create("data/pub/diagnostic/a.cap")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 50)); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("data/pub/diagnostic/a.cap"); err != nil {
		t.Fatal(err)
	}
	write(t, s, "data/pub/diagnostic/a.cap", "new") // another file of the same name
	if _, err := f.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if used, _ := s.Usage(); used != 63 {
		t.Errorf("while the file is open the usage is %d, want 63", used)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if used, _ := s.Usage(); used != 3 {
		t.Errorf("after Close the usage is %d, want 3", used)
	}
}

// The function of OnFull may write, even to the file that was full.
func TestOnFullMayWrite(t *testing.T) {
	s := open(t, t.TempDir(), 10)
	if _, err := s.Append("data/pub/mail_logs/mail_logs.current"); err == nil {
		t.Error("Append succeeds in a directory that does not exist")
	}
	if err := s.ShowDir("data/pub/mail_logs"); err != nil {
		t.Fatal(err)
	}
	f, err := s.Append("data/pub/mail_logs/mail_logs.current")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.OnFull(func() {
		if _, err := f.Write([]byte("full!")); err != nil {
			t.Error(err)
		}
	})
	if _, err := f.Write([]byte("a line that is too long")); !errors.Is(err, files.ErrQuota) {
		t.Errorf("got %v", err)
	}
	if got := read(t, s, "data/pub/mail_logs/mail_logs.current"); got != "full!" {
		t.Errorf("the file contains %q", got)
	}
}

// Concurrent writers together never exceed the quota.
func TestQuotaHoldsForConcurrentWriters(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1000)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			f, err := s.Append("data/pub/diagnostic/" + string(rune('a'+i)))
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			for range 100 {
				if _, err := f.Write(make([]byte, 7)); err != nil && !errors.Is(err, files.ErrQuota) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantUsed(t, s, dir, 994) // 142 writes of 7
}

func TestOverwriteRestoresTheOldContentIfTheNewExceedsTheQuota(t *testing.T) {
	for _, tc := range []struct {
		size int
		want string
	}{{50, strings.Repeat("n", 50)}, {51, strings.Repeat("o", 50)}} {
		dir := t.TempDir()
		s := open(t, dir, 100)
		write(t, s, "data/pub/configuration/a", strings.Repeat("o", 50))
		f, err := s.Overwrite("data/pub/configuration/a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(strings.Repeat("n", tc.size))); (err != nil) != (tc.size > 50) {
			t.Errorf("write %d: %v", tc.size, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got := read(t, s, "data/pub/configuration/a"); got != tc.want {
			t.Errorf("after writing %d: %q", tc.size, got)
		}
		wantUsed(t, s, dir, 50)
	}
}

func TestWriteFileKeepsTheOldContentIfTheNewExceedsTheQuota(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 10)
	write(t, s, "data/pub/configuration/a", "precious")
	err := s.WriteFile("data/pub/configuration/a", make([]byte, 11))
	if !errors.Is(err, files.ErrQuota) {
		t.Errorf("got %v, want %v", err, files.ErrQuota)
	}
	if got := read(t, s, "data/pub/configuration/a"); got != "precious" {
		t.Errorf("the file contains %q", got)
	}
	wantUsed(t, s, dir, 8)
}
