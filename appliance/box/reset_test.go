package box_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// stateOf returns what a reset must restore, in words.
func stateOf(t *testing.T, b *box.Box) map[string]string {
	t.Helper()
	a := b.Appliance()
	state := map[string]string{"hostname": netconfig.Hostname.Get(a.Config.Committed())}
	err := fs.WalkDir(a.Files, ".", func(name string, d fs.DirEntry, err error) error {
		// Log files are named by times, and appear when their first lines are written.
		if !strings.Contains(name, ".@") && !strings.HasSuffix(name, ".current") {
			state["file "+name] = ""
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range b.Faults().List() {
		state["fault"] += f.Rule.String()
	}
	for _, s := range b.World().Servers() {
		if !s.Running {
			state["stopped"] += s.Name
		}
	}
	for _, name := range b.World().MailServers() {
		m, err := b.World().MailServer(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Messages()) > 0 {
			state["mail"] += name
		}
	}
	if len(a.Guard.Failing()) > 0 {
		state["guard"] = "failing"
	}
	if shift := a.Clock.Shift(); shift != 0 {
		state["clock"] = shift.String()
	}
	return state
}

// TestResetRestoresTheState: whatever was changed is as it was after the start, and the doors have
// the same addresses.
func TestResetRestoresTheState(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kept"), []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBox(t, dir, loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	want, doors := stateOf(t, b), b.DoorAddrs()
	cursor := b.Cursor()
	for range 2 {
		useEvents(t, b)
		if err := b.Advance(48 * time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "kept"), []byte("after"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := stateOf(t, b); maps.Equal(got, want) {
			t.Fatal("nothing has changed")
		}
		if err := b.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := stateOf(t, b); !maps.Equal(got, want) {
			t.Error("after the reset, -want +got: ", cmp.Diff(want, got))
		}
		if got := b.DoorAddrs(); !maps.Equal(got, doors) {
			t.Errorf("the doors are at %v, want %v", got, doors)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "kept")); err != nil || string(text) != "before" {
			t.Errorf("a file of the start: %q, %v", text, err)
		}
	}
	if e := awaitAfter(t, b, cursor, "world.reset"); e <= cursor || b.Cursor() <= e {
		t.Errorf("the reset is event %d, after cursor %d and before %d", e, cursor, b.Cursor())
	}
}

// awaitAfter waits for an event of a kind after a cursor and returns its number.
func awaitAfter(t *testing.T, b *box.Box, cursor uint64, kind string) uint64 {
	t.Helper()
	for e, err := range b.Events(t.Context(), cursor) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Fields.Kind() == kind {
			return e.Seq
		}
	}
	t.Fatal("no ", kind)
	return 0
}

// TestResetEndsSessionsAndWaits: users are told, and waits end with ErrReset.
func TestResetEndsSessionsAndWaits(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	client := dialSSH(t, b)
	defer client.Close()
	in, out, err := openSession(client)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Write(nil)
	waited := make(chan error, 2)
	for _, what := range []string{"alert", "packet"} {
		go func() {
			_, err := b.WaitFor(t.Context(), box.WaitRequest{For: what, Match: map[string]string{"packet": "port 9"}[what]})
			waited <- err
		}()
	}
	for ended := 0; ended < 2; { // a wait may begin only after the first reset
		if err := b.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-waited:
			if ended++; !errors.Is(err, box.ErrReset) {
				t.Errorf("a wait ends with %v", err)
			}
		default:
		}
	}
	text, err := io.ReadAll(out)
	if err != nil || !strings.Contains(string(text), "The simulator was reset.") {
		t.Errorf("the session ends with %q, %v", text, err)
	}
}

// TestResetsDoNotLeak: after a hundred resets there are no more goroutines, descriptors and memory
// than after the first, except for what the appliance does in the background at the moment.
func TestResetsDoNotLeak(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	b.Cursor()
	const few = 20
	var goroutines, descriptors int
	var memory uint64
	for n := range 101 {
		if _, err := b.Faults().Add(topology.Rule{Action: "delay", Delay: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		if err := b.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			goroutines = waitForGoroutines(t, 0, time.Second)
			descriptors, memory = openDescriptors(t), heapInUse()
		}
	}
	if after := waitForGoroutines(t, goroutines+few, 30*time.Second); after > goroutines+few {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines after the first reset, %d after the last\n%s", goroutines, after,
			stacks[:runtime.Stack(stacks, true)])
	}
	if after := openDescriptors(t); after > descriptors+few {
		t.Errorf("%d descriptors after the first reset, %d after the last", descriptors, after)
	}
	if after := heapInUse(); after > memory+8<<20 {
		t.Errorf("%d KiB after the first reset, %d KiB after the last", memory>>10, after>>10)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // not Linux
	}
	return len(entries)
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkReset(b *testing.B) {
	x := run(b, box.Options{})
	for b.Loop() {
		if err := x.Reset(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
