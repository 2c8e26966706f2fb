package box_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/fixtures"
)

var update = flag.Bool("update", false, "record the figures of this run in testdata")

// labBlueprint returns the blueprint of topology lab.
func labBlueprint(t testing.TB) *box.Blueprint {
	t.Helper()
	_, data, _ := fixtures.Topology("lab")
	topo, err := box.LoadTopology("lab", data)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := box.NewBlueprint(topo)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// startMany starts n boxes without doors, each in a directory of its own below dir. They share
// logFiles, which the caller closes after them.
func startMany(t testing.TB, plan *box.Blueprint, dir string, n int) (
	boxes []*box.Box, logFiles *logs.OpenFiles,
) {
	t.Helper()
	boxes = make([]*box.Box, n)
	logFiles = logs.NewOpenFiles(logs.DefaultOpenFiles, clock.System())
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	next := make(chan int)
	var starting sync.WaitGroup
	for range min(n, 16) {
		starting.Go(func() {
			for i := range next {
				x, err := box.New(box.Options{
					Blueprint: plan, NoDoors: true, HostKey: key, LogFiles: logFiles,
					Dir: filepath.Join(dir, fmt.Sprint(i)),
				})
				if err == nil {
					err = x.Start(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
				boxes[i] = x
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return boxes, logFiles
}

// bootFigures are what an appliance costs that has been started and that nobody uses.
type bootFigures struct {
	allocations int // of the start
	files       int // that the start makes, and directories
	goroutines  int // without those of gVisor's TCP, of which each processor has one a stack
}

const bootFigureFormat = "allocations %d\nfiles %d\ngoroutines %d\n"

// measureBoot measures the start of a box. It waits until the number of goroutines is at most the
// given one, or a while.
func measureBoot(t *testing.T, goroutines int) bootFigures {
	const boxes = 8
	plan := labBlueprint(t)
	warm, warmFiles := startMany(t, plan, t.TempDir(), 1) // decodes and loads what boxes share
	const stacks = 2
	processors := stacks * runtime.GOMAXPROCS(0)
	var before, after runtime.MemStats
	goroutinesBefore := runtime.NumGoroutine()
	runtime.ReadMemStats(&before)
	dir := t.TempDir()
	started, files := startMany(t, plan, dir, boxes)
	runtime.ReadMemStats(&after)
	each := func() int { return (runtime.NumGoroutine()-goroutinesBefore)/boxes - processors }
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for each() > goroutines && clock.System().Sleep(ctx, 10*time.Millisecond) == nil {
	}
	f := bootFigures{
		allocations: int(after.Mallocs-before.Mallocs) / boxes, goroutines: each(),
	}
	err := filepath.WalkDir(filepath.Join(dir, "0"), func(string, fs.DirEntry, error) error {
		f.files++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range append(started, warm...) {
		if err := x.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
	files.Close()
	warmFiles.Close()
	return f
}

// The figures of a boot do not become worse than the recorded ones: these are counts, which do not
// depend on the machine's speed. Allocations may differ by a tenth. To record an improvement:
//
//	go test ./appliance/box -run TestBootFigures -update
func TestBootFigures(t *testing.T) {
	file := filepath.Join("testdata", "boot.txt")
	var want bootFigures
	text, err := os.ReadFile(file)
	if err == nil {
		_, err = fmt.Fscanf(bytes.NewReader(text), bootFigureFormat,
			&want.allocations, &want.files, &want.goroutines)
	}
	if err != nil && !*update {
		t.Fatal(err)
	}
	got := measureBoot(t, want.goroutines)
	if *update {
		text := fmt.Sprintf(bootFigureFormat, got.allocations, got.files, got.goroutines)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if limit := want.allocations * 11 / 10; got.allocations > limit && !raceDetector {
		t.Errorf("a boot makes %d allocations, want at most %d", got.allocations, limit)
	}
	if got.files > want.files {
		t.Errorf("a boot makes %d files and directories, want at most %d", got.files, want.files)
	}
	if got.goroutines > want.goroutines {
		t.Errorf("an idle appliance has %d goroutines, want at most %d", got.goroutines, want.goroutines)
	}
	if got.allocations < want.allocations*9/10 || got.files < want.files ||
		got.goroutines < want.goroutines {
		t.Logf("the figures have become better (%+v, recorded %+v): record them", got, want)
	}
}
