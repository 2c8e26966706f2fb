package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/tooltest"
)

func TestRollback(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		s := open(t, config.Options{Dir: dir})
		for i := range 12 {
			rename(t, s, fmt.Sprintf("h%d.example.com", i+1))
		}
		d := s.NewDraft()
		hostname.Set(d, "unkept.example.com")
		commit(t, s, d, config.CommitInfo{User: "joe", Comment: "not for rollback"})
		rename(t, s, "last.example.com")
		if dir != "" { // the history must survive a restart
			s = open(t, config.Options{Dir: dir})
		}
		h := s.History()
		if len(h) != 10 || h[9].Number != 3 ||
			h[0].Comment != "to h12.example.com" || h[0].User != "admin" || !h[0].Time.Equal(start) {
			t.Fatalf("dir %q: history %v", dir, h)
		}
		if err := s.Rollback(d, 13); err == nil {
			t.Error("rolled back to a revision that was not kept")
		}
		users.Set(d, accounts{})
		if err := s.Rollback(d, h[9].Number); err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(d.ChangedSections(), []string{"hostname"}) {
			t.Errorf("changes %v", d.ChangedSections())
		}
		commit(t, s, d, config.CommitInfo{})
		if got := hostname.Get(s.Committed()); got != "h3.example.com" {
			t.Errorf("rolled back to %s", got)
		}
		if dir != "" {
			if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) != 11 {
				t.Errorf("%d files are kept for 10 revisions and the committed one: %v", len(files), err)
			}
		}
	}
}

func TestFirstCommitCanBeRolledBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, config.Options{Dir: dir})
	rename(t, s, "esa.example.com")
	s = open(t, config.Options{Dir: dir})
	h := s.History()
	if len(h) != 1 || h[0].Number != 0 {
		t.Fatalf("history %v", h)
	}
	d := s.NewDraft()
	if err := s.Rollback(d, 0); err != nil || hostname.Get(d) != "example.com" {
		t.Errorf("%v, host name %s", err, hostname.Get(d))
	}
}

func TestFactoryResetIgnoresDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, config.Options{Dir: dir})
	rename(t, s, "one.example.com")
	rename(t, s, "two.example.com")
	damage(t, filepath.Join(dir, "00000002.xml"), func(b []byte) []byte { return b[:40] })
	s = open(t, config.Options{Dir: dir, Reset: true})
	if got := hostname.Get(s.Committed()); got != "example.com" {
		t.Errorf("after the reset: %s", got)
	}
	s = open(t, config.Options{Dir: dir})
	if got := hostname.Get(s.Committed()); got != "example.com" || s.Committed().Revision() != 3 {
		t.Errorf("after the next start: %s, revision %d", got, s.Committed().Revision())
	}
	d := s.NewDraft()
	if err := s.Rollback(d, 1); err != nil || hostname.Get(d) != "one.example.com" {
		t.Errorf("the older version: %v", err)
	}
}

func damage(t *testing.T, file string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, f(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A damaged record is set aside, and the newest intact one is used.
func TestOlderConfigurationReplacesDamagedOne(t *testing.T) {
	dir := t.TempDir()
	s := open(t, config.Options{Dir: dir})
	rename(t, s, "esa.example.com")
	rename(t, s, "esb.example.com")
	file := filepath.Join(dir, "00000002.xml")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	older := func(what string) {
		t.Helper()
		var log bytes.Buffer
		s := open(t, config.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if got := hostname.Get(s.Committed()); got != "esa.example.com" || !s.Damaged() {
			t.Errorf("%s: %s, Damaged() = %t", what, got, s.Damaged())
		}
		if !strings.Contains(log.String(), file) {
			t.Errorf("%s: logged %q, want the file in it", what, log.String())
		}
		if _, err := os.Stat(file + ".damaged"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		s = open(t, config.Options{Dir: dir})
		if s.Damaged() {
			t.Errorf("%s: the next start reports it again", what)
		}
		rename(t, s, "esc.example.com")
		if got := hostname.Get(open(t, config.Options{Dir: dir}).Committed()); got != "esc.example.com" {
			t.Errorf("%s: after a commit and a start: %s", what, got)
		}
		for n := 2; n < 9; n++ {
			os.Remove(filepath.Join(dir, fmt.Sprintf("%08d.xml", n)))
		}
	}
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n := range len(whole) {
		if n%77 == 0 {
			write(whole[:n])
			older(fmt.Sprintf("cut off after %d of %d bytes", n, len(whole)))
		}
	}
	write([]byte(strings.Replace(string(whole), ">esb.", ">esd.", 1)))
	older("another letter")
	write(bytes.Repeat([]byte("\x00\xff<"), 1000))
	older("garbage")
}

func TestFactoryConfigurationReplacesDamagedOnes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, config.Options{Dir: dir})
	rename(t, s, "esa.example.com")
	for _, name := range []string{"00000000.xml", "00000001.xml"} {
		damage(t, filepath.Join(dir, name), func([]byte) []byte { return nil })
	}
	s = open(t, config.Options{Dir: dir})
	if got := hostname.Get(s.Committed()); got != "example.com" || !s.Damaged() {
		t.Errorf("%s, Damaged() = %t", got, s.Damaged())
	}
	rename(t, s, "esb.example.com")
	if got := hostname.Get(open(t, config.Options{Dir: dir}).Committed()); got != "esb.example.com" {
		t.Errorf("after a commit and a start: %s", got)
	}
}

// Nothing is lost if a file is intact: the error says what is in the way.
func TestErrorForUnreadableFileNamesIt(t *testing.T) {
	dir := t.TempDir()
	s := open(t, config.Options{Dir: dir})
	rename(t, s, "esa.example.com")
	file := filepath.Join(dir, "00000001.xml")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Open(config.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a directory in place of the file: error %v", err)
	}
}

// A store opens on a full and on a read-only disk. Commits fail until there is space.
func TestFullAndReadOnlyDisk(t *testing.T) {
	disk := tooltest.SmallDisk(t)
	disk.Fill()
	dir := filepath.Join(disk.Dir, "config")
	s := open(t, config.Options{Dir: dir})
	d := s.NewDraft()
	hostname.Set(d, "esa.example.com")
	if _, err := s.Commit(t.Context(), d, config.CommitInfo{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("commit on a full disk: %v", err)
	}
	disk.Free()
	commit(t, s, d, config.CommitInfo{})
	disk.MakeReadOnly()
	for _, dir := range []string{dir, filepath.Join(disk.Dir, "new")} {
		s = open(t, config.Options{Dir: dir})
		rename := s.NewDraft()
		hostname.Set(rename, "esb.example.com")
		if _, err := s.Commit(t.Context(), rename, config.CommitInfo{}); !errors.Is(err, syscall.EROFS) {
			t.Errorf("commit on a read-only disk: %v", err)
		}
		s = open(t, config.Options{Dir: dir, Reset: true})
		if got := hostname.Get(s.Committed()); got != "example.com" {
			t.Errorf("reset on a read-only disk: %s", got)
		}
	}
	if got := hostname.Get(open(t, config.Options{Dir: dir}).Committed()); got != "esa.example.com" {
		t.Errorf("after the reset that was not saved: %s", got)
	}
}

func TestTemporaryFileOfCrashedCommitIsIgnored(t *testing.T) {
	dir := t.TempDir()
	s := open(t, config.Options{Dir: dir})
	rename(t, s, "esa.example.com")
	if err := os.WriteFile(filepath.Join(dir, "commit.tmp"), []byte("<?xml"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, config.Options{Dir: dir})
	rename(t, s, "esb.example.com")
	if got := hostname.Get(open(t, config.Options{Dir: dir}).Committed()); got != "esb.example.com" {
		t.Errorf("after the next commit: %s", got)
	}
}

func TestOpenRemovesObsoleteFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, config.Options{Dir: dir})
	d := s.NewDraft()
	hostname.Set(d, "unkept.example.com")
	commit(t, s, d, config.CommitInfo{})
	unkept := filepath.Join(dir, "00000001.xml")
	b, err := os.ReadFile(unkept)
	if err != nil {
		t.Fatal(err)
	}
	rename(t, s, "esa.example.com")
	if err := os.WriteFile(unkept, b, 0o600); err != nil { // as a crash would have left it
		t.Fatal(err)
	}
	s = open(t, config.Options{Dir: dir})
	if _, err := os.Stat(unkept); !os.IsNotExist(err) || len(s.History()) != 1 {
		t.Errorf("the file: %v; history: %v", err, s.History())
	}
}

func TestCommitThatCannotBeSavedIsUndone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "config")
	s := open(t, config.Options{Dir: dir})
	rename(t, s, "esa.example.com")
	a := &applier{}
	s.AddApplier(a)
	if err := os.RemoveAll(dir); err != nil { // so that no file can be written
		t.Fatal(err)
	}
	d := s.NewDraft()
	hostname.Set(d, "esb.example.com")
	_, err := s.Commit(t.Context(), d, config.CommitInfo{})
	const want = "The changes were not committed: the configuration could not be saved to disk."
	if text, _ := refusal.Text(err); text != want {
		t.Errorf("commit: %v", err)
	}
	wantError[*fs.PathError](t, err, "no such file")
	if got := a.calls(); got != "esa.example.com>esb.example.com esb.example.com>esa.example.com" {
		t.Errorf("the applier saw %q", got)
	}
	if hostname.Get(s.Committed()) != "esa.example.com" || !d.Pending() || len(s.History()) != 1 {
		t.Error("the commit left something behind")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	commit(t, s, d, config.CommitInfo{})
}

// The refusal of a commit on a full disk names the reason.
func TestCommitOnFullDiskSaysSo(t *testing.T) {
	disk := tooltest.SmallDisk(t)
	s := open(t, config.Options{Dir: filepath.Join(disk.Dir, "config")})
	disk.Fill()
	d := s.NewDraft()
	hostname.Set(d, "esb.example.com")
	_, err := s.Commit(t.Context(), d, config.CommitInfo{})
	const want = "The changes were not committed: there is no disk space left."
	if text, _ := refusal.Text(err); text != want {
		t.Errorf("commit: %v", err)
	}
}

func TestLastCommit(t *testing.T) {
	dir := t.TempDir()
	s := open(t, config.Options{Dir: dir})
	if rev, changes := s.LastCommit(); rev.Number != 0 || changes != nil {
		t.Errorf("before any commit: %v %v", rev, changes)
	}
	rename(t, s, "esa.example.com")
	for range 2 {
		rev, changes := s.LastCommit()
		want := []config.Difference{{Name: "hostname", Old: "example.com", New: "esa.example.com"}}
		if diff := cmp.Diff(want, changes); diff != "" || rev.Comment != "to esa.example.com" {
			t.Errorf("commit %v:\n%s", rev, diff)
		}
		s = open(t, config.Options{Dir: dir}) // and again after a restart
	}
}
