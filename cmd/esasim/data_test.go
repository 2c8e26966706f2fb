package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Programs that start at the same time do not remove each other's directories.
func TestEphemeralRunsStartTogether(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	const runs = 40
	dirs := make([]*dataDir, runs)
	var all sync.WaitGroup
	for i := range dirs {
		all.Go(func() {
			var err error
			if dirs[i], err = ephemeralData(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, d := range dirs {
		if d == nil {
			continue
		}
		if !d.present() {
			t.Errorf("%s was removed", d.path)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("not removed: %v, %v", left, err)
	}
}

// A user who may write to the directory of temporary files must not be able to have the data
// of another user removed.
func TestEphemeralDataIgnoresLinks(t *testing.T) {
	tmp, precious := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	if err := os.Mkdir(filepath.Join(precious, "appliance"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, filepath.Join(tmp, ephemeralPrefix+"1")); err != nil {
		t.Skip("symbolic links are not supported: ", err)
	}
	d, err := ephemeralData()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if left, err := os.ReadDir(precious); err != nil || len(left) != 1 || left[0].Name() != "appliance" {
		t.Errorf("behind the link: %v, %v", left, err)
	}
}
