package files

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
)

const digestFile = Configuration + "/sub/x"

// digestStore returns a store with digestFile, and the directory of the store.
func digestStore(t *testing.T) (s *Store, dir string) {
	dir = t.TempDir()
	s, err := Open(dir, 0, clock.System())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := errors.Join(s.Mkdir(Configuration+"/sub"), s.WriteFile(digestFile, []byte("content"))); err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func sumOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// write writes text to a file at an offset, and closes it.
func write(f *File, err error, text string, off int64) error {
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(text), off)
	return errors.Join(err, f.Close())
}

// digestChanges are all ways to change a file.
var digestChanges = map[string]func(s *Store, a *Area) error{
	"create":    func(s *Store, _ *Area) error { f, err := s.Create(digestFile); return write(f, err, "new", 0) },
	"append":    func(s *Store, _ *Area) error { f, err := s.Append(digestFile); return write(f, err, "new", 0) },
	"overwrite": func(s *Store, _ *Area) error { f, err := s.Overwrite(digestFile); return write(f, err, "new", 0) },
	"upload": func(_ *Store, a *Area) error {
		f, err := a.OpenFile("/"+digestFile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
		return write(f, err, "new", 0)
	},
	"upload in place": func(_ *Store, a *Area) error {
		f, err := a.OpenFile("/"+digestFile, os.O_RDWR|os.O_CREATE)
		return write(f, err, "new", 2)
	},
	"write file":   func(s *Store, _ *Area) error { return s.WriteFile(digestFile, []byte("CONTENT")) },
	"truncate":     func(s *Store, _ *Area) error { return s.Truncate(digestFile, 3) },
	"cut by user":  func(_ *Store, a *Area) error { return a.Truncate("/"+digestFile, 0) },
	"times":        func(s *Store, _ *Area) error { return s.Chtimes(digestFile, clock.System().Now().Add(1e9)) },
	"remove":       func(s *Store, _ *Area) error { return s.Remove(digestFile) },
	"user removes": func(_ *Store, a *Area) error { return a.Remove("/" + digestFile) },
	"rename":       func(s *Store, _ *Area) error { return s.Rename(digestFile, digestFile+"2") },
	"user renames": func(_ *Store, a *Area) error { return a.Rename("/"+digestFile, "/"+digestFile+"2", false) },
	"directory is renamed": func(s *Store, _ *Area) error {
		return s.Rename(Configuration+"/sub", Configuration+"/other")
	},
	"another file gets the name": func(s *Store, _ *Area) error {
		return errors.Join(s.WriteFile(Configuration+"/y", []byte("OTHER")), s.Rename(Configuration+"/y", digestFile))
	},
	"user replaces it": func(s *Store, a *Area) error {
		return errors.Join(s.WriteFile(Configuration+"/y", []byte("OTHER")),
			a.Rename("/"+Configuration+"/y", "/"+digestFile, true))
	},
	"the store is closed": func(s *Store, _ *Area) error { return s.Close() },
}

// TestDigestIsOfTheFormerContent: however a file changes, a digest that was taken before is that of
// the former content, and one that is taken afterwards is not.
func TestDigestIsOfTheFormerContent(t *testing.T) {
	for name, change := range digestChanges {
		t.Run(name, func(t *testing.T) {
			s, dir := digestStore(t)
			a := s.Area("admin")
			whole, part := a.Digest("/"+digestFile, 7), a.Digest("/configuration/sub/x", 4)
			if err := change(s, a); err != nil {
				t.Fatal(err)
			}
			if whole.String() != sumOf("content") || part.String() != sumOf("cont") {
				t.Errorf("the digests are %s and %s", whole, part)
			}
			now, err := os.ReadFile(filepath.Join(dir, digestFile))
			if name == "the store is closed" {
				return
			}
			want := sumOf(string(now))
			if err != nil {
				want = ""
			}
			if got := a.Digest("/"+digestFile, int64(len(now))).String(); got != want {
				t.Errorf("after the change the digest is %s, want that of %q, %v", got, now, err)
			}
		})
	}
}

// TestDigestIsComputedLate: a digest that nobody has looked at was not computed. If another program
// changes the file past the store, it is unknown and not wrong.
func TestDigestIsComputedLate(t *testing.T) {
	s, dir := digestStore(t)
	a := s.Area("admin")
	d := a.Digest("/"+digestFile, 7)
	if err := os.WriteFile(filepath.Join(dir, digestFile), []byte("CONTENT"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := d.String(); got != "" {
		t.Errorf("the digest is %s", got)
	}
	if got := a.Digest("/"+digestFile, 7).String(); got != sumOf("CONTENT") {
		t.Errorf("a later digest is %s", got)
	}
}

// TestDigestIsComputedOnce: two digests of the same content are one.
func TestDigestIsComputedOnce(t *testing.T) {
	s, dir := digestStore(t)
	a := s.Area("admin")
	first := a.Digest("/"+digestFile, 7)
	if text, err := first.MarshalText(); err != nil || string(text) != sumOf("content") {
		t.Fatalf("%s, %v", text, err)
	}
	if again := a.Digest("/"+digestFile, 7); again != first {
		t.Error("the second digest is another one")
	}
	if err := os.WriteFile(filepath.Join(dir, digestFile), []byte("shorter"[:5]), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := a.Digest("/"+digestFile, 5).String(); got != sumOf("short") {
		t.Errorf("after a change by another program: %s", got)
	}
}

// TestDigestOfAnOpenFile: the digest of a file that is being written is computed at once.
func TestDigestOfAnOpenFile(t *testing.T) {
	s, _ := digestStore(t)
	f, err := s.Append(digestFile)
	if err != nil {
		t.Fatal(err)
	}
	d := s.Area("admin").Digest("/"+digestFile, 7)
	if _, err := f.f.WriteAt([]byte("CONTENT"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := d.String(); got != sumOf("content") {
		t.Errorf("the digest is %s", got)
	}
}

// TestNoDigest: a file that does not exist, or is too short, has none; nor has one whose user may not
// use the area.
func TestNoDigest(t *testing.T) {
	s, _ := digestStore(t)
	a := s.Area("admin")
	denied := a.WithLimits(Limits{Check: func() error { return io.ErrClosedPipe }})
	for name, d := range map[string]Digest{
		"zero": {}, "none": a.Digest("/configuration/none", 0), "short": a.Digest("/"+digestFile, 8),
		"directory": a.Digest("/configuration", 0), "denied": denied.Digest("/"+digestFile, 7),
	} {
		if got := d.String(); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := a.Digest("/"+digestFile, 0).String(); got != sumOf("") {
		t.Errorf("no bytes: %s", got)
	}
}

// TestDigestsAreBounded: the oldest are computed when there are more than are remembered.
func TestDigestsAreBounded(t *testing.T) {
	s, dir := digestStore(t)
	a := s.Area("admin")
	var all []Digest
	for i := range maxDigests + 5 {
		name := fmt.Sprint(Configuration, "/", i)
		if err := s.WriteFile(name, []byte(name)); err != nil {
			t.Fatal(err)
		}
		all = append(all, a.Digest("/"+name, int64(len(name))))
	}
	if len(s.digests) != maxDigests {
		t.Errorf("%d digests are remembered, want %d", len(s.digests), maxDigests)
	}
	if err := os.RemoveAll(filepath.Join(dir, Configuration)); err != nil { // past the store
		t.Fatal(err)
	}
	for i, d := range all {
		want := ""
		if i < 5 {
			want = sumOf(fmt.Sprint(Configuration, "/", i))
		}
		if got := d.String(); got != want {
			t.Errorf("digest %d is %q, want %q", i, got, want)
		}
	}
}

// TestDigestsWhileFilesChange: digests that are taken and computed while a file changes are those of
// contents that the file has had.
func TestDigestsWhileFilesChange(t *testing.T) {
	s, _ := digestStore(t)
	a := s.Area("admin")
	had := map[string]bool{sumOf("content"): true}
	for i := range 100 {
		had[sumOf(strings.Repeat(fmt.Sprint(i%10), 7))] = true
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 100 {
			text := strings.Repeat(fmt.Sprint(i%10), 7)
			if err := s.WriteFile(digestFile, []byte(text)); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3 {
		all.Go(func() {
			for range 100 {
				if got := a.Digest("/"+digestFile, 7).String(); !had[got] {
					t.Errorf("digest %q", got)
				}
			}
		})
	}
	all.Wait()
}
