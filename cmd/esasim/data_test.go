package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/tooltest"
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

// Directories of other users, and names that other users have put into a directory of temporary
// files, are left alone: nothing is created, followed or removed.
func TestEphemeralDataTouchesOnlyOwnDirectories(t *testing.T) {
	tmp, elsewhere := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	target := filepath.Join(elsewhere, "created")
	other := filepath.Join(tmp, ephemeralPrefix+"other")
	linked := filepath.Join(tmp, ephemeralPrefix+"linked")
	fresh := filepath.Join(tmp, ephemeralPrefix+"fresh")
	full := filepath.Join(tmp, ephemeralPrefix+"full")
	for _, dir := range []string{other, linked, fresh, full} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(target, filepath.Join(linked, lockName)); err != nil {
		t.Skip("symbolic links are not supported: ", err)
	}
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(full, old, old); err != nil { // no lock, but content
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		for _, file := range []string{filepath.Join(other, lockName), other} {
			if file != other {
				if err := os.WriteFile(file, nil, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chown(file, 12345, 12345); err != nil {
				t.Fatal(err)
			}
		}
	}
	d, err := ephemeralData()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{other, linked, fresh, full} {
		if _, err := os.Lstat(dir); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if left, err := os.ReadDir(fresh); err != nil || len(left) != 0 {
		t.Errorf("created in %s: %v, %v", fresh, left, err)
	}
	if _, err := os.Lstat(target); !os.IsNotExist(err) {
		t.Errorf("the target of the link: %v", err)
	}
	if err := os.Remove(filepath.Join(full, "x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(full, old, old); err != nil { // as a process leaves it that is killed early
		t.Fatal(err)
	}
	if d, err = ephemeralData(); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := os.Lstat(full); !os.IsNotExist(err) {
		t.Errorf("an empty directory of a killed process: %v", err)
	}
}

// A data directory can be opened whatever a crash or a full disk has left of its mark.
func TestDamagedTopologyMark(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	dir := t.TempDir()
	mark := filepath.Join(dir, topologyMarkName)
	for _, content := range []string{"", "\n", "lab\n"} {
		if err := os.WriteFile(mark, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		reopen(t, dir, logger)
		if text, err := os.ReadFile(mark); string(text) != "lab\n" || err != nil {
			t.Errorf("after %q the mark is %q, %v", content, text, err)
		}
	}
	for _, content := range []string{"la", "\x00\xff\n", "gar\nbage\n"} {
		log.Reset()
		if err := os.WriteFile(mark, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		reopen(t, dir, logger)
		if text, err := os.ReadFile(mark); string(text) != "lab\n" || err != nil {
			t.Errorf("after %q the mark is %q, %v", content, text, err)
		}
		if !strings.Contains(log.String(), mark) {
			t.Errorf("%q: logged %q", content, log.String())
		}
	}
	log.Reset()
	if err := os.WriteFile(mark, []byte("lab2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openData(dir, "lab", logger); err == nil || !strings.Contains(err.Error(), "belongs to topology lab2") {
		t.Errorf("a directory of another topology: %v", err)
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{applianceName, topologyMarkName + ".tmp123456"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	reopen(t, dir, logger)
	if log.Len() > 0 {
		t.Errorf("logged %s", log.String())
	}
}

// The first start on a full disk makes a directory that later starts accept.
func TestFirstStartOnFullDisk(t *testing.T) {
	disk := tooltest.SmallDisk(t)
	disk.Fill()
	dir := filepath.Join(disk.Dir, "data")
	var log bytes.Buffer
	reopen(t, dir, slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), "no space left") {
		t.Errorf("logged %q", log.String())
	}
	if err := os.Mkdir(filepath.Join(dir, applianceName), 0o700); err != nil { // as the start goes on
		t.Fatal(err)
	}
	log.Reset()
	disk.Free()
	reopen(t, dir, slog.New(slog.NewTextHandler(&log, nil)))
	disk.MakeReadOnly()
	reopen(t, dir, slog.New(slog.NewTextHandler(&log, nil)))
	if log.Len() > 0 {
		t.Errorf("logged %s", log.String())
	}
}

func reopen(t *testing.T, dir string, log *slog.Logger) {
	t.Helper()
	d, err := openData(dir, "lab", log)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// A host key that is damaged is set aside, and one that cannot be saved is used for one run.
func TestHostKeyFile(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	key := func() string {
		t.Helper()
		k, err := hostKey(true, logger)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(k.Public())
	}
	first := key()
	if again := key(); again != first || log.Len() > 0 {
		t.Errorf("another key; logged %q", log.String())
	}
	file := filepath.Join(home, "esasim", keyName)
	for _, content := range []string{"", "-----BEGIN PRIVATE KEY-----\nMC4C", "nonsense"} {
		log.Reset()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		next := key()
		if next == first || key() != next || !strings.Contains(log.String(), file) {
			t.Errorf("%q was not replaced; logged %q", content, log.String())
		}
		if text, err := os.ReadFile(file + ".damaged"); string(text) != content || err != nil {
			t.Errorf("set aside: %q, %v", text, err)
		}
	}
	disk := tooltest.SmallDisk(t)
	disk.Fill()
	t.Setenv("XDG_STATE_HOME", disk.Dir)
	log.Reset()
	if key(); !strings.Contains(log.String(), "for this run only") {
		t.Errorf("on a full disk: logged %q", log.String())
	}
}
