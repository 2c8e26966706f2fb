package files_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/tooltest"
)

// After a kill, a file that was being overwritten has its former content, and nothing temporary is
// left.
func TestKillDuringOverwriteRestoresTheFormerContent(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1000)
	const name, deep = "data/pub/configuration/a", "data/pub/configuration/d/e/f"
	write(t, s, name, "acknowledged")
	for _, d := range []string{"data/pub/configuration/d", "data/pub/configuration/d/e"} {
		if err := s.Mkdir(d); err != nil {
			t.Fatal(err)
		}
	}
	write(t, s, deep, "deep")
	for _, n := range []string{name, deep} {
		f, err := s.Overwrite(n)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write([]byte("half of th")); err != nil {
			t.Fatal(err)
		}
	}
	fresh, err := s.Create("data/pub/configuration/new")
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if _, err := fresh.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}

	killed := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s = open(t, killed, 1000)
	for n, want := range map[string]string{
		name: "acknowledged", deep: "deep", "data/pub/configuration/new": "half",
	} {
		if got := read(t, s, n); got != want {
			t.Errorf("%s has %q, want %q", n, got, want)
		}
	}
	if got := s.Recovered(); len(got) != 2 || !strings.Contains(got[0], "/"+name) {
		t.Errorf("reported: %q", got)
	}
	wantUsed(t, s, killed, 20)
	if _, err := os.Stat(filepath.Join(killed, "tmp")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary directory: %v", err)
	}
	if got := open(t, killed, 1000).Recovered(); got != nil {
		t.Errorf("the next start reports: %q", got)
	}
}

// An overwrite that ends leaves nothing behind.
func TestOverwriteLeavesNoBackup(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 20)
	const name = "data/pub/configuration/a"
	write(t, s, name, "old")
	for _, text := range []string{"new", "longer than the quota allows"} {
		f, err := s.Overwrite(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write([]byte(text))
		if (err != nil) != (len(text) > 17) {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got := read(t, s, name); got != "new" {
			t.Errorf("%q", got)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) != 0 {
			t.Errorf("left %v, %v", left, err)
		}
	}
}

func TestOpenOnFullAndReadOnlyDisk(t *testing.T) {
	disk := tooltest.SmallDisk(t)
	disk.Fill()
	dir := filepath.Join(disk.Dir, "files")
	s := open(t, dir, 0)
	full := false
	s.OnFull(func() { full = true })
	f, err := s.Create("data/pub/configuration/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("text")); !errors.Is(err, files.ErrQuota) || !full {
		t.Errorf("write to a full disk: %v, reported: %t", err, full)
	}
	f.Close()
	disk.Free()
	write(t, s, "data/pub/configuration/a", "text")
	s.Close()
	if err := os.MkdirAll(filepath.Join(dir, "tmp", "1"), 0o700); err != nil {
		t.Fatal(err)
	}
	disk.MakeReadOnly()
	s = open(t, dir, 0)
	if got := read(t, s, "data/pub/configuration/a"); got != "text" {
		t.Errorf("read %q", got)
	}
	if len(s.Recovered()) != 1 {
		t.Errorf("reported: %q", s.Recovered())
	}
}

// A tree that an earlier version let grow is counted in one pass, and nothing is added to it.
func TestDeepTree(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.MkdirAll("data/pub/configuration", 0o700); err != nil {
		t.Fatal(err)
	}
	at, err := root.OpenRoot("data/pub/configuration")
	if err != nil {
		t.Fatal(err)
	}
	const levels = 3000 // more than fit into a path of the operating system
	for range levels {
		if err := at.Mkdir("d", 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := at.OpenRoot("d")
		if err != nil {
			t.Fatal(err)
		}
		at.Close()
		at = next
	}
	if err := at.WriteFile("x", []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, 0)
	if used, _ := s.Usage(); used != 4 || s.Recovered() != nil {
		t.Errorf("used %d, %q", used, s.Recovered())
	}
	if err := s.Mkdir("data/pub/configuration" + strings.Repeat("/d", 100) + "/e"); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("mkdir: %v", err)
	}
}

func TestDepthAndLengthOfNames(t *testing.T) {
	_, a := area(t)
	deep := files.Home + "/configuration"
	for range 64 {
		deep += "/d"
		if err := a.Mkdir(deep); err != nil {
			t.Fatal(err)
		}
	}
	create := func(p string) error {
		f, err := a.OpenFile(p, os.O_WRONLY|os.O_CREATE)
		if err == nil {
			f.Close()
		}
		return err
	}
	long := files.Home + "/configuration/"
	for range 4 {
		long += strings.Repeat("n", 240)
		if err := a.Mkdir(long); err != nil {
			t.Fatal(err)
		}
		long += "/"
	}
	for _, dir := range []string{"/configuration/m", "/configuration/m/" + strings.Repeat("m", 60)} {
		if err := a.Mkdir(files.Home + dir); err != nil {
			t.Fatal(err)
		}
	}
	for what, err := range map[string]error{
		"mkdir too deep":  a.Mkdir(deep + "/d"),
		"create too deep": create(deep + "/f"),
		"mkdir too long":  a.Mkdir(long + strings.Repeat("n", 100)),
		"create too long": create(long + strings.Repeat("n", 100)),
		"rename of a tree makes it too deep": a.Rename(
			files.Home+"/configuration/d", files.Home+"/configuration/m/d", false),
		"rename of a tree makes it too long": a.Rename(
			files.Home+"/configuration/"+strings.Repeat("n", 240),
			files.Home+"/configuration/m/"+strings.Repeat("m", 60)+"/x"+strings.Repeat("n", 240), false),
	} {
		if !errors.Is(err, syscall.ENAMETOOLONG) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := a.Rename(files.Home+"/configuration/d", files.Home+"/configuration/e", false); err != nil {
		t.Error(err)
	}
}

// The number of files is bounded, and a user who has used it up can remove files and go on.
func TestNumberOfFiles(t *testing.T) {
	dir := t.TempDir()
	const limit = 20_000
	base := filepath.Join(dir, files.Configuration)
	for d := range 20 {
		sub := filepath.Join(base, fmt.Sprint(d))
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range limit/20 - 1 {
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := files.Open(dir, 0, clock.System())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	reports := 0
	s.OnFull(func() { reports++ })
	a := s.Area("joe")
	create := func(name string) error {
		f, err := a.OpenFile("/configuration/"+name, os.O_WRONLY|os.O_CREATE)
		if err == nil {
			f.Close()
		}
		return err
	}
	for what, err := range map[string]error{
		"create": create("one more"), "mkdir": a.Mkdir("/configuration/more"),
	} {
		if !errors.Is(err, files.ErrQuota) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if reports != 1 {
		t.Errorf("OnFull's function was called %d times", reports)
	}
	if err := create("3/3"); err != nil {
		t.Errorf("an existing file: %v", err)
	}
	write(t, s, "data/pub/diagnostic/a.cap", "the appliance's own files are not limited")
	for i := range 5 {
		if err := a.Remove(fmt.Sprintf("/configuration/3/%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := create("one more"); err != nil {
		t.Errorf("after files were removed: %v", err)
	}
}

// OpenSSH's scp overwrites a file in place and truncates it at the end.
func TestOverwriteInPlace(t *testing.T) {
	const name = "/data/pub/configuration/a"
	old := strings.Repeat("o", 50)
	begin := func(t *testing.T, quota int64) (string, *files.Store, *files.File) {
		t.Helper()
		dir := t.TempDir()
		s := open(t, dir, quota)
		write(t, s, name[1:], old)
		f, err := s.Area("joe").OpenFile(name, os.O_WRONLY|os.O_CREATE)
		if err != nil {
			t.Fatal(err)
		}
		return dir, s, f
	}
	left := func(t *testing.T, dir string) []os.DirEntry {
		t.Helper()
		list, err := os.ReadDir(filepath.Join(dir, "tmp"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return list
	}
	t.Run("kill", func(t *testing.T) {
		dir, _, f := begin(t, 0)
		defer f.Close()
		if _, err := f.WriteAt([]byte("nnnn"), 0); err != nil {
			t.Fatal(err)
		}
		killed := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		s := open(t, killed, 0)
		if got := read(t, s, name[1:]); got != old {
			t.Errorf("%q", got)
		}
		wantUsed(t, s, killed, 50)
	})
	t.Run("end", func(t *testing.T) {
		dir, s, f := begin(t, 0)
		if _, err := f.WriteAt([]byte("nnnn"), 0); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(4), f.Close()); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, name[1:]); got != "nnnn" || len(left(t, dir)) != 0 {
			t.Errorf("%q, left %v", got, left(t, dir))
		}
		wantUsed(t, s, dir, 4)
	})
	t.Run("quota", func(t *testing.T) {
		dir, s, f := begin(t, 120)
		if _, err := f.WriteAt(make([]byte, 50), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(make([]byte, 50), 50); !errors.Is(err, files.ErrQuota) {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, name[1:]); got != old || len(left(t, dir)) != 0 {
			t.Errorf("%q, left %v", got, left(t, dir))
		}
		wantUsed(t, s, dir, 50)
	})
	t.Run("no room for both", func(t *testing.T) {
		dir, s, f := begin(t, 99)
		if _, err := f.WriteAt([]byte("n"), 0); !errors.Is(err, files.ErrQuota) {
			t.Errorf("%v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, name[1:]); got != old {
			t.Errorf("%q", got)
		}
		wantUsed(t, s, dir, 50)
	})
	t.Run("resume", func(t *testing.T) {
		dir, s, f := begin(t, 60)
		if _, err := f.WriteAt([]byte("more"), 50); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, name[1:]); got != old+"more" || len(left(t, dir)) != 0 {
			t.Errorf("%q, left %v", got, left(t, dir))
		}
		wantUsed(t, s, dir, 54)
	})
}
