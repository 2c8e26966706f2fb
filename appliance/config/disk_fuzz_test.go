package config_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/config"
)

// Whatever a record on disk holds, Open does not panic. A record whose digest is wrong is replaced
// by an older one; a record whose digest is right either is the committed configuration, or is
// named by the error.
func FuzzRecord(f *testing.F) {
	dir := f.TempDir()
	s, err := config.Open(config.Options{Dir: dir})
	if err != nil {
		f.Fatal(err)
	}
	d := s.NewDraft()
	hostname.Set(d, "esa.example.com")
	if _, err := s.Commit(f.Context(), d, config.CommitInfo{User: "admin", Comment: "<&"}); err != nil {
		f.Fatal(err)
	}
	file := filepath.Join(dir, "00000001.xml")
	whole, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	content, _, _ := strings.Cut(string(whole), "<!-- sha256 ")
	f.Add([]byte(content), true)
	f.Add(whole, false)
	f.Add([]byte("<commit number='1' time='2015-06-25T08:50:03Z' rollback='true'><config/>"+
		"<before><hostname>a</hostname></before><after/></commit>"), true)
	f.Add([]byte("<commit number='1' time='x'><config><nothing/></config></commit>"), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, record []byte, seal bool) {
		dir := t.TempDir()
		file := filepath.Join(dir, "00000001.xml")
		if seal {
			record = fmt.Appendf(record, "<!-- sha256 %x -->\n", sha256.Sum256(record))
		}
		if err := os.WriteFile(file, record, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := config.Open(config.Options{Dir: dir})
		switch {
		case err != nil && (!seal || !strings.Contains(err.Error(), file)):
			t.Fatal(err)
		case err != nil:
			return
		case seal == s.Damaged() && !bytesAreSealed(record):
			t.Fatalf("Damaged() = %t", s.Damaged())
		}
		d := s.NewDraft()
		hostname.Set(d, "next.example.com")
		if !d.Pending() {
			return
		}
		if _, err := s.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
			t.Fatal(err)
		}
		s.LastCommit()
		if s, err = config.Open(config.Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		if got := hostname.Get(s.Committed()); got != "next.example.com" {
			t.Fatalf("after a commit and a start: %s", got)
		}
	})
}

// bytesAreSealed reports whether a record ends with its digest.
func bytesAreSealed(record []byte) bool {
	content, _, ok := strings.Cut(string(record), "<!-- sha256 ")
	return ok && strings.HasSuffix(string(record), fmt.Sprintf("%x -->\n", sha256.Sum256([]byte(content))))
}
