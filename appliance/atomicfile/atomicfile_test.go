package atomicfile_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/esasim/esasim/appliance/atomicfile"
)

func TestFileIsReplaced(t *testing.T) {
	for name, write := range map[string]func(string, []byte) error{
		"Write":       atomicfile.Write,
		"WriteSynced": atomicfile.WriteSynced,
	} {
		dir := filepath.Join(t.TempDir(), "missing", "parents")
		path := filepath.Join(dir, "state")
		for _, text := range []string{"old", "new"} {
			if err := write(path, []byte(text)); err != nil {
				t.Fatal(name, err)
			}
			if got, err := os.ReadFile(path); string(got) != text || err != nil {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		for path, want := range map[string]os.FileMode{
			path: 0o600, dir: 0o700 | os.ModeDir, filepath.Dir(dir): 0o700 | os.ModeDir,
		} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(name, err)
			}
			if info.Mode() != want && runtime.GOOS != "windows" { // Windows has no modes
				t.Errorf("%s: %s has mode %v, want %v", name, path, info.Mode(), want)
			}
		}
		if left, err := os.ReadDir(dir); len(left) != 1 || err != nil {
			t.Errorf("%s: the directory holds %v, %v", name, left, err)
		}
	}
}

func TestFailureLeavesNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := os.MkdirAll(filepath.Join(path, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, []byte("new")); err == nil {
		t.Error("a directory was replaced")
	}
	if left, err := os.ReadDir(dir); len(left) != 1 || !left[0].IsDir() || err != nil {
		t.Errorf("the directory holds %v, %v", left, err)
	}
}

func TestSweepRemovesFilesOfKilledProcesses(t *testing.T) {
	dir := t.TempDir()
	if err := atomicfile.Sweep(filepath.Join(dir, "missing")); err != nil {
		t.Error(err)
	}
	kept := []string{"packetcapture", "x.1", "v2.xml", "1234567", ".tmp1234567", "clock.tmp", "host1234567"}
	for _, name := range append([]string{"packetcapture.1234567", "clock.tmp3316"}, kept...) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "push.1234567"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Sweep(dir); err != nil {
		t.Error(err)
	}
	var got []string
	left, err := os.ReadDir(dir)
	for _, e := range left {
		got = append(got, e.Name())
	}
	want := append(kept, "push.1234567")
	slices.Sort(want)
	if !slices.Equal(got, want) || err != nil {
		t.Errorf("left %q, %v, want %q", got, err, want)
	}
}
