package config_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
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

func TestErrorForDamagedFileNamesIt(t *testing.T) {
	dir := t.TempDir()
	s := open(t, config.Options{Dir: dir})
	rename(t, s, "esa.example.com")
	file := filepath.Join(dir, "00000001.xml")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string) {
		t.Helper()
		_, err := config.Open(config.Options{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error %v", what, err)
		}
	}
	for n := range len(whole) {
		if n%7 == 0 {
			damage(t, file, func([]byte) []byte { return whole[:n] })
			refused(fmt.Sprintf("cut off after %d of %d bytes", n, len(whole)))
		}
	}
	damage(t, file, func([]byte) []byte {
		return []byte(strings.Replace(string(whole), ">esa.", ">esb.", 1))
	})
	refused("another letter")
	damage(t, file, func([]byte) []byte { return whole })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	refused("a directory in its place")
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
