package box_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/tooltest"
)

// startReset starts a box over a directory until the test ends.
func startReset(t *testing.T, dir string) *box.Box {
	t.Helper()
	b := newBox(t, dir, loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop(context.Background()) })
	return b
}

// textsBelow returns the modes and texts of what is in a directory, by name.
func textsBelow(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var text string
		switch {
		case d.Type().IsRegular():
			var content []byte
			content, err = os.ReadFile(path)
			text = string(content)
		case d.Type()&fs.ModeSymlink != 0:
			text, err = os.Readlink(path)
		}
		name, _ := filepath.Rel(dir, path)
		found[filepath.ToSlash(name)] = info.Mode().String() + " " + text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What was in the directory at the start is there after a reset, and the copy of it is in the
// directory, but not in the file area, until the box stops.
func TestResetRestoresFilesOfTheStart(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	long := filepath.Join(kept, strings.Repeat("long/", 25), strings.Repeat("é", 100)+" name")
	for path, text := range map[string]string{
		filepath.Join(kept, "a", "b"): "before", filepath.Join(kept, "empty"): "", long: "deep",
		filepath.Join(kept, "large"): strings.Repeat("0123456789abcdef", 1<<16),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(kept, "none"), 0o700); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Symlink("a/b", filepath.Join(kept, "link")); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(kept, "empty"), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	want := textsBelow(t, kept)
	// A process that was killed has left this.
	archive := filepath.Join(dir, "baseline.tar")
	if err := os.WriteFile(archive, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startReset(t, dir)
	for range 2 {
		if _, err := os.Stat(filepath.Join(dir, "files", "baseline.tar")); err == nil {
			t.Error("the file area has the copy")
		}
		if err := os.RemoveAll(filepath.Join(kept, "a")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(kept, "large"), []byte("after"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(kept, "more"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, textsBelow(t, kept)); diff != "" {
			t.Error("-want +got: ", diff)
		}
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(archive); err == nil {
		t.Error("the copy is left after the stop")
	}
}

// An appliance that is new has no copy, whatever a killed process has left.
func TestNoFilesOfTheStart(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "baseline.tar")
	if err := os.WriteFile(archive, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startReset(t, dir)
	if err := b.Reset(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(archive); err == nil {
		t.Error("there is a copy of nothing")
	}
}

// A copy that is damaged or missing is found before anything is changed.
func TestResetWithDamagedFilesOfTheStart(t *testing.T) {
	for name, damage := range map[string]func(archive string) error{
		"missing": os.Remove,
		"torn":    func(archive string) error { return os.Truncate(archive, 700) },
		"changed": func(archive string) error {
			f, err := os.OpenFile(archive, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("x"), 600)
			return err
		},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "kept"), []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		b := startReset(t, dir)
		if _, err := b.Snapshot(t.Context(), "now"); err != nil {
			t.Fatal(err)
		}
		if err := damage(filepath.Join(dir, "baseline.tar")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "kept"), []byte("after"), 0o600); err != nil {
			t.Fatal(err)
		}
		a := b.Appliance()
		if err := b.Reset(t.Context()); err == nil || !strings.Contains(err.Error(), "baseline.tar") {
			t.Errorf("%s: the reset returns %v", name, err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "kept"))
		if b.Appliance() != a || b.Power() != box.PowerIsOn || string(text) != "after" || err != nil {
			t.Errorf("%s: the appliance was changed; its file: %q, %v", name, text, err)
		}
		if err := b.Restore(t.Context(), "now"); err != nil {
			t.Errorf("%s: a snapshot needs no copy: %v", name, err)
		}
	}
}

// What an appliance holds when it starts takes no memory, however many appliances a process has.
func TestFilesOfTheStartTakeNoMemory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	before := heapInUse()
	b := startReset(t, dir)
	if after := heapInUse(); after > before+20<<20 {
		t.Errorf("%d KiB before the start, %d KiB after it", before>>10, after>>10)
	}
	if err := os.Remove(filepath.Join(dir, "large")); err != nil {
		t.Fatal(err)
	}
	if err := b.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "large"))
	if err != nil || info.Size() != 40<<20 {
		t.Errorf("after the reset: %v, %v", info, err)
	}
}

// An appliance that holds too much is not copied. It starts and says why it cannot be reset.
func TestTooManyFilesOfTheStart(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, box.MaxContent+1); err != nil {
		t.Fatal(err)
	}
	b := startReset(t, dir)
	if err := b.Reset(t.Context()); err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("the reset returns %v", err)
	}
	if _, err := b.Snapshot(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("the snapshot returns %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "baseline.tar")); err == nil {
		t.Error("a part of a copy is left")
	}
}

// An appliance starts on a full disk, and on one that cannot be written. It cannot be reset then, and
// says why.
func TestStartWithoutSpaceForTheFilesOfTheStart(t *testing.T) {
	disk := tooltest.SmallDisk(t)
	dir := filepath.Join(disk.Dir, "appliance")
	topo := topologyWithPush(t)
	startIn(t, topo, dir, func(b *box.Box) { useEverything(t, b) })
	refused := func(b *box.Box) {
		if err := b.Reset(t.Context()); err == nil || !strings.Contains(err.Error(), "could not be copied") {
			t.Errorf("the reset returns %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "baseline.tar")); err == nil {
			t.Error("a part of a copy is left")
		}
	}
	disk.Fill()
	if log := startIn(t, topo, dir, refused); !strings.Contains(log, "cannot be reset") {
		t.Error("the log says nothing of the full disk: ", log)
	}
	disk.MakeReadOnly()
	if log := startIn(t, topo, dir, refused); !strings.Contains(log, "cannot be reset") {
		t.Error("the log says nothing of the read-only disk: ", log)
	}
}

// A reset in which the process is killed has happened as a whole, or not at all, after the next start.
func TestKilledDuringReset(t *testing.T) {
	for name, x := range map[string]struct {
		files map[string]string
		want  string
	}{
		"while it writes": {
			map[string]string{"a": "old", "b": "old", "reset.new/a": "ne"}, "a=old b=old",
		},
		"while it removes": {
			map[string]string{"b": "old", "reset.ready/a": "new", "reset.ready/c/d": "new"}, "a=new c/d=new",
		},
		"while it moves": {
			map[string]string{"a": "new", "reset.moving/c/d": "new"}, "a=new c/d=new",
		},
		"at the end": {
			map[string]string{"a": "new", "c/d": "new", "reset.moving/": ""}, "a=new c/d=new",
		},
	} {
		dir := t.TempDir()
		for file, text := range x.files {
			path := filepath.Join(dir, filepath.FromSlash(file))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, "/") {
				if err := os.MkdirAll(path, 0o700); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b := startReset(t, dir)
		for _, when := range []string{"the start", "a reset"} {
			var got []string
			for _, file := range []string{"a", "b", "c/d"} {
				if text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file))); err == nil {
					got = append(got, file+"="+string(text))
				}
			}
			if s := strings.Join(got, " "); s != x.want {
				t.Errorf("%s: after %s there is %q, want %q", name, when, s, x.want)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "reset.*")); left != nil {
				t.Errorf("%s: after %s there is %q", name, when, left)
			}
			if err := b.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A reset for which the disk has no space changes nothing, and succeeds when there is space.
func TestResetOnAFullDisk(t *testing.T) {
	disk := tooltest.SmallDisk(t)
	dir := filepath.Join(disk.Dir, "appliance")
	topo := topologyWithPush(t)
	startIn(t, topo, dir, func(b *box.Box) { useEverything(t, b) })
	startIn(t, topo, dir, func(b *box.Box) {
		file := filepath.Join(dir, "kept")
		if err := os.WriteFile(file, []byte("after"), 0o600); err != nil {
			t.Fatal(err)
		}
		disk.Fill()
		a := b.Appliance()
		if err := b.Reset(t.Context()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("the reset returns %v", err)
		}
		text, err := os.ReadFile(file)
		if b.Appliance() != a || b.Power() != box.PowerIsOn || string(text) != "after" || err != nil {
			t.Errorf("the appliance was changed; its file: %q, %v", text, err)
		}
		disk.Free()
		if err := b.Reset(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("a file is there that was not there at the start")
		}
	})
}
