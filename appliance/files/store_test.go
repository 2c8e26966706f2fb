package files_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
)

var noon = time.Date(2015, 6, 25, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string, quota int64) *files.Store {
	t.Helper()
	s, err := files.Open(dir, quota, clock.NewFake(noon))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t *testing.T, s *files.Store, name, text string) {
	t.Helper()
	if err := s.WriteFile(name, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s *files.Store, name string) string {
	t.Helper()
	b, err := fs.ReadFile(s, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantUsed checks that the usage agrees with the files on disk.
func wantUsed(t *testing.T, s *files.Store, dir string, want int64) {
	t.Helper()
	var onDisk int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		onDisk += fi.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if used, _ := s.Usage(); used != want || onDisk != want {
		t.Errorf("used %d, on disk %d, want %d", used, onDisk, want)
	}
}

// list formats the entries of a directory.
func list(t *testing.T, fsys fs.FS, dir string) string {
	t.Helper()
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, fs.FormatDirEntry(e))
	}
	return strings.Join(names, ", ")
}

func TestPermanentDirectoriesAreListedBeforeTheyExist(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	for name, want := range map[string]string{
		".":        "d data/, d var/",
		"data/pub": "L Diagnostic, L captures, d configuration/, d diagnostic/",
		"var/log":  "L diagnostic",
	} {
		if got := list(t, s, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if onDisk, _ := os.ReadDir(dir); len(onDisk) != 0 {
		t.Errorf("the disk already contains %v", onDisk)
	}
	write(t, s, "data/pub/configuration/a.xml", "x")
	if got := read(t, s, "data/pub/configuration/a.xml"); got != "x" {
		t.Errorf("read %q", got)
	}
}

func TestStoredNamesAreOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	stored := func(name string) string {
		t.Helper()
		names, err := s.StoredNames(name)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	if got := stored("data/pub"); got != "" {
		t.Errorf("%s are stored in a directory that is not on disk", got)
	}
	write(t, s, "data/pub/diagnostic/a.cap", "x")
	if err := os.Symlink("elsewhere", filepath.Join(dir, "data/pub/mail_logs")); err != nil {
		t.Skip("the disk has no symbolic links:", err)
	}
	if got := stored("data/pub"); got != "diagnostic mail_logs" {
		t.Errorf("%s are stored, want diagnostic and mail_logs", got)
	}
	if _, err := s.StoredNames("data/pub/diagnostic/a.cap"); err == nil {
		t.Error("a file has stored names")
	}
}

// A file that must not exist is made in a permanent directory that is not on disk yet, and in no
// other one that is missing. What exists is left alone.
func TestExclusiveCreation(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	const exclusive = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	create := func(name string) error {
		f, err := s.OpenFile(name, exclusive)
		if err == nil {
			_, err = f.Write([]byte("new"))
			err = errors.Join(err, f.Close())
		}
		return err
	}
	for _, name := range []string{"data/pub/diagnostic/a.cap", "data/pub/diagnostic/b.cap", "c"} {
		if err := create(name); err != nil {
			t.Error(err)
		}
	}
	wantUsed(t, s, dir, 9)
	write(t, s, "data/pub/diagnostic/old.cap", "old")
	if err := os.Symlink("old.cap", filepath.Join(dir, "data/pub/diagnostic/link.cap")); err != nil {
		t.Skip("the disk has no symbolic links:", err)
	}
	if err := os.Symlink("nowhere.cap", filepath.Join(dir, "data/pub/diagnostic/broken.cap")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"data/pub/diagnostic/old.cap":             fs.ErrExist,
		"data/pub/diagnostic/link.cap":            fs.ErrExist,
		"data/pub/diagnostic/broken.cap":          fs.ErrPermission,
		"data/pub/diagnostic":                     syscall.EISDIR,
		"data/pub/configuration":                  syscall.EISDIR, // which is not on disk
		"data/pub/other/a.cap":                    fs.ErrNotExist,
		"data/" + strings.Repeat("d/", 100) + "a": syscall.ENAMETOOLONG,
	} {
		if err := create(name); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", name, err, want)
		}
	}
	if got := read(t, s, "data/pub/diagnostic/old.cap"); got != "old" {
		t.Errorf("an existing file has become %q", got)
	}
}

func TestStoreIsAnFS(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	write(t, s, "data/pub/diagnostic/a.cap", "aaaa")
	write(t, s, "data/pub/configuration/with blank.xml", "<x/>")
	if err := fstest.TestFS(s,
		"data/pub/diagnostic/a.cap", "data/pub/configuration/with blank.xml", "var/log",
	); err != nil {
		t.Error(err)
	}
}

func TestAlias(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	if err := s.Alias("var/log/mail_logs", "data/pub/mail_logs"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s, "data/pub"); !strings.Contains(got, "mail_logs/") {
		t.Errorf("the target is not listed: %s", got)
	}
	write(t, s, "var/log/mail_logs/a", "x")
	if got := read(t, s, "data/pub/mail_logs/a"); got != "x" {
		t.Errorf("read %q", got)
	}
	if to, err := s.ReadLink("var/log/mail_logs"); to != "../../data/pub/mail_logs" || err != nil {
		t.Errorf("link to %q, %v", to, err)
	}
	var walked []string
	err := fs.WalkDir(s, ".", func(p string, d fs.DirEntry, err error) error {
		if !d.IsDir() && d.Type().IsRegular() {
			walked = append(walked, p)
		}
		return err
	})
	if diff := cmp.Diff([]string{"data/pub/mail_logs/a"}, walked); diff != "" || err != nil {
		t.Errorf("WalkDir visits (-want +got):\n%s %v", diff, err)
	}
	s.RemoveAlias("var/log/mail_logs")
	if _, err := s.Stat("var/log/mail_logs"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after RemoveAlias: %v", err)
	}
	for _, bad := range [][2]string{
		{"data/pub/x", "data/pub/x"}, {"data/pub/x", "data/pub/x/y"}, {"../x", "data/pub"}, {".", "data"},
	} {
		if err := s.Alias(bad[0], bad[1]); err == nil {
			t.Errorf("Alias(%q, %q) succeeds", bad[0], bad[1])
		}
	}
}

func TestNamesOutsideTheStoreAreRefused(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, 0)
	write(t, s, "data/pub/configuration/a", "x")
	if err := os.Symlink(outside, filepath.Join(dir, "data/pub/evil")); err != nil {
		t.Skip("the system has no symbolic links:", err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "data/pub/evildir")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"../x", "/etc/passwd", "data/../../x", "data/pub/evil", "data/pub/evildir/secret",
		"tmp", "tmp/1", "data//pub", "",
	} {
		if _, err := s.Open(name); err == nil {
			t.Errorf("Open(%q) succeeds", name)
		}
		if _, err := s.Create(name); err == nil {
			t.Errorf("Create(%q) succeeds", name)
		}
	}
	if got := list(t, s, "data/pub"); strings.Contains(got, "evil") {
		t.Errorf("symbolic links on disk are listed: %s", got)
	}
}

func TestErrorsContainTheNameThatTheCallerUsed(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	_, err := s.Open("var/log/diagnostic/missing")
	const want = "open var/log/diagnostic/missing: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestOpenRemovesTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tmp/7"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantUsed(t, open(t, dir, 0), dir, 0)
}

func TestReaderOfAGrowingFileGetsEOF(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	const name = "data/pub/diagnostic/a.cap"
	w, err := s.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("first.second.ha")); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.Write([]byte("lf.")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); string(got) != "first.second.ha" || err != nil {
		t.Errorf("the earlier reader got %q, %v", got, err)
	}
	if got := read(t, s, name); got != "first.second.half." {
		t.Errorf("a new reader got %q", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, name); got != "first.second.half." {
		t.Errorf("after its writer has closed it, the file contains %q", got)
	}
}

func TestTimesAreThoseOfTheAppliancesClock(t *testing.T) {
	dir := t.TempDir()
	clk := clock.NewFake(noon)
	s, err := files.Open(dir, 0, clk)
	if err != nil {
		t.Fatal(err)
	}
	s.SetZone(func() *time.Location { return time.FixedZone("CEST", 7200) })
	clk.Advance(time.Hour)
	f, err := s.Create("data/pub/diagnostic/a")
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		fi, err := s.Stat("data/pub/diagnostic/a")
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.ModTime().Format(time.RFC3339); got != "2015-06-25T15:00:00+02:00" {
			t.Errorf("%s: %s", when, got)
		}
	}
	if _, err := f.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	check("while it is being written")
	clk.Advance(time.Hour)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	check("afterwards")
	if err := s.Chtimes("data/pub/diagnostic/a", noon); err != nil {
		t.Fatal(err)
	}
	if fi, _ := s.Stat("data/pub/diagnostic/a"); !fi.ModTime().Equal(noon) {
		t.Errorf("after Chtimes: %v", fi.ModTime())
	}
}

func TestFilePositions(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	f, err := s.OpenFile("data/pub/configuration/a", os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.WriteString(f, "hello world"); err != nil {
		t.Fatal(err)
	}
	if pos, err := f.Seek(-5, io.SeekEnd); pos != 6 || err != nil {
		t.Errorf("Seek: %d, %v", pos, err)
	}
	if got, err := io.ReadAll(f); string(got) != "world" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := f.Seek(-1, io.SeekStart); err == nil {
		t.Error("a negative position is accepted")
	}
	a, err := s.Append("data/pub/configuration/a")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.WriteAt([]byte("!"), 0); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, "data/pub/configuration/a"); got != "hello world!" {
		t.Errorf("after appending: %q", got)
	}
	r, err := s.OpenFile("data/pub/configuration/a", os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Write([]byte("x")); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("writing to a file that was opened for reading: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closing twice: %v", err)
	}
}

func TestPermanentDirectoriesCannotBeChanged(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	write(t, s, "data/pub/configuration/a", "x")
	if err := s.Rename("data/pub/configuration", "data/pub/c"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("rename: %v", err)
	}
	if err := s.Mkdir("data/pub/diagnostic"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("mkdir: %v", err)
	}
	if err := s.Mkdir("data/pub/configuration/sub"); err != nil {
		t.Error(err)
	}
	w, err := s.Create("data/pub/configuration/sub/f")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Rename("data/pub/configuration/sub", "data/pub/configuration/dir"); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("12")); err != nil {
		t.Error(err)
	}
	if fi, err := s.Stat("data/pub/configuration/dir/f"); err != nil || fi.Size() != 2 {
		t.Errorf("a file in a directory that is renamed while the file is written: %v, %v", fi, err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Remove("data/pub/configuration/dir"); err == nil {
		t.Error("a directory that is not empty was removed")
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := files.Open(dir, 1<<30, clock.System())
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkWrite(b *testing.B) {
	s, err := files.Open(b.TempDir(), 0, clock.System())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	f, err := s.Create("data/pub/diagnostic/a")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 4096)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := f.WriteAt(p, 0); err != nil {
			b.Fatal(err)
		}
	}
}
