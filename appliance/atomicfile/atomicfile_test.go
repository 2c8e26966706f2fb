package atomicfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/esasim/esasim/appliance/atomicfile"
)

func TestAFileIsReplaced(t *testing.T) {
	for name, write := range map[string]func(string, []byte) error{"Write": atomicfile.Write, "WriteSynced": atomicfile.WriteSynced} {
		dir := filepath.Join(t.TempDir(), "made", "for it")
		path := filepath.Join(dir, "state")
		for _, text := range []string{"old", "new"} {
			if err := write(path, []byte(text)); err != nil {
				t.Fatal(name, err)
			}
			if got, err := os.ReadFile(path); string(got) != text || err != nil {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if left, err := os.ReadDir(dir); len(left) != 1 || err != nil {
			t.Errorf("%s: the directory holds %v, %v", name, left, err)
		}
	}
}

// What cannot be replaced is as it was, and nothing is left beside it.
func TestAFileThatCannotBeReplaced(t *testing.T) {
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
