package box_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/fixtures"
)

var update = flag.Bool("update", false, "record the figures of this run in testdata")

// figuresFile has the recorded figures.
const figuresFile = "testdata/figures.txt"

// figures are counts that do not depend on the machine's speed, by their names.
type figures map[string]float64

// readFigures reads the recorded figures.
func readFigures(t *testing.T) figures {
	t.Helper()
	text, err := os.ReadFile(figuresFile)
	if err != nil {
		t.Fatal(err)
	}
	f := figures{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.ParseFloat(strings.TrimSpace(value), 64); ok && line[0] != '#' {
			if err != nil {
				t.Fatalf("%s: %q: the form of a line is NAME: NUMBER", figuresFile, line)
			}
			f[name] = n
		}
	}
	return f
}

const figuresHeader = `# What a boot, a login, a command and an idle session cost; an interface's frames in both directions.
# Tests fail if a figure grows by more than a tenth. To record other figures:
#
#	go test ./appliance/box -run Figures -update
`

// record replaces some of the recorded figures.
func (f figures) record(t *testing.T) {
	t.Helper()
	all := readFigures(t)
	maps.Copy(all, f)
	var text strings.Builder
	text.WriteString(figuresHeader)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s: %s\n", name, strconv.FormatFloat(all[name], 'f', -1, 64))
	}
	if err := os.WriteFile(figuresFile, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// limit returns the largest value with which a figure passes. Files and goroutines are the same in
// every run.
func (f figures) limit(name string) float64 {
	if strings.HasSuffix(name, " files") || strings.HasSuffix(name, " goroutines") {
		return f[name]
	}
	return f[name] * 1.1
}

// figureRounds is how often figures are measured until they pass. On a busy machine a segment can
// be acknowledged that would otherwise not be, or a garbage collection empties pools.
const figureRounds = 4

// checkFigures compares figures with the recorded ones. It measures them until each has passed, at
// most figureRounds times, so that a busy machine does not matter. want is given to measure.
func checkFigures(t *testing.T, measure func(want figures) figures, names ...string) {
	t.Helper()
	want := readFigures(t)
	best := figures{}
	for range figureRounds {
		passed := true
		got := measure(want)
		for _, name := range names {
			value := math.Round(got[name]*10) / 10
			if old, ok := best[name]; !ok || value < old {
				best[name] = value
			}
			passed = passed && best[name] <= want.limit(name)
		}
		if passed || *update {
			break
		}
	}
	if *update {
		best.record(t)
		return
	}
	for _, name := range names {
		byRace := strings.HasSuffix(name, " allocations") || strings.HasSuffix(name, " bytes")
		switch {
		case raceDetector && byRace: // which needs memory
		case want[name] == 0:
			t.Errorf("%s: there is no recorded figure in %s", name, figuresFile)
		case best[name] > want.limit(name):
			t.Errorf("%s: %v, recorded are %v, and at most %.1f pass; see %s",
				name, best[name], want[name], want.limit(name), figuresFile)
		case best[name] < want[name]*0.9:
			t.Logf("%s: %v is better than the recorded %v: record it", name, best[name], want[name])
		}
	}
}

// waitUntil waits until done returns true, or a while.
func waitUntil(t testing.TB, done func() bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !done() && clock.System().Sleep(ctx, 5*time.Millisecond) == nil {
	}
}

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

// goroutinesOfStacks is the number of goroutines that the given number of gVisor's stacks has. It
// depends on the number of processors.
func goroutinesOfStacks(n int) int { return n * runtime.GOMAXPROCS(0) }

// measureBoot measures the start of a box. It waits until the number of goroutines is at most the
// recorded one, or a while.
func measureBoot(t *testing.T, want figures) figures {
	const boxes = 8
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // the stacks have a goroutine for each processor
	plan := labBlueprint(t)
	warm, warmFiles := startMany(t, plan, t.TempDir(), 1) // decodes and loads what boxes share
	var before, after runtime.MemStats
	live := liveBytes()
	goroutinesBefore := runtime.NumGoroutine()
	runtime.ReadMemStats(&before)
	dir := t.TempDir()
	started, files := startMany(t, plan, dir, boxes)
	runtime.ReadMemStats(&after)
	goroutines := func() int {
		return (runtime.NumGoroutine()-goroutinesBefore)/boxes - goroutinesOfStacks(2)
	}
	waitUntil(t, func() bool { return float64(goroutines()) <= want["boot goroutines"] })
	f := figures{
		"boot allocations": float64(after.Mallocs-before.Mallocs) / boxes,
		"boot bytes":       float64(after.TotalAlloc-before.TotalAlloc) / boxes,
		"boot goroutines":  float64(goroutines()),
		"boot files":       0,
		"idle bytes":       float64(int64(liveBytes()-live)) / boxes,
	}
	err := filepath.WalkDir(filepath.Join(dir, "0"), func(string, fs.DirEntry, error) error {
		f["boot files"]++
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

// TestBootFigures holds what an appliance costs that has been started and that nobody uses: files
// include directories. Boot bytes are all that a start allocates, idle bytes what is left of them.
func TestBootFigures(t *testing.T) {
	checkFigures(t, func(want figures) figures { return measureBoot(t, want) },
		"boot allocations", "boot bytes", "boot files", "boot goroutines", "idle bytes")
}

// TestSessionFigures holds what logins, commands and idle sessions cost that come through the door.
// A login begins with the connection of the client and ends with the prompt and the end of the
// connection. The client is another process and is not counted.
func TestSessionFigures(t *testing.T) {
	m := newSessionMeter(t)
	checkFigures(t, m.measure, "login frames", "login allocations", "command frames",
		"command allocations", "session goroutines", "session bytes")
}

// idleFigureSessions is the number of idle sessions that are measured.
const idleFigureSessions = 50

// A sessionMeter measures logins, commands and idle sessions.
type sessionMeter struct {
	t          *testing.T
	box        *box.Box
	client     *clientProcess
	goroutines int // without sessions
}

func newSessionMeter(t *testing.T) *sessionMeter {
	x := run(t, box.Options{})
	if err := x.WaitSettled(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.Faults().List() // waits for the topology's connections
	m := &sessionMeter{t, x, startClient(t, x.DoorAddrs()["ssh"].String()), 0}
	m.client.do("open", idleFigureSessions) // makes what is made once, and the tables large enough
	m.client.do("commands", 3)
	m.client.do("close", 1)
	m.waitForIdle()
	return m
}

// waitForIdle waits until the connections of all sessions have ended, and their goroutines.
func (m *sessionMeter) waitForIdle() {
	waitUntil(m.t, func() bool {
		sockets, err := m.box.Appliance().Net.Sockets()
		if err != nil {
			m.t.Fatal(err)
		}
		open := slices.ContainsFunc(sockets, func(s network.Socket) bool {
			return s.Local.Port() == 22 && s.State != "LISTEN"
		})
		return !open && len(m.box.Appliance().Logins.Sessions()) == 0 &&
			runtime.NumGoroutine() <= cmp.Or(m.goroutines, math.MaxInt)
	})
}

// frames returns the number of frames that have passed the appliance's interfaces.
func (m *sessionMeter) frames() (n uint64) {
	net := m.box.Appliance().Net
	for _, i := range net.Interfaces() {
		c, err := net.Counters(i.Name)
		if err != nil {
			m.t.Fatal(err)
		}
		n += c.RxPackets + c.TxPackets
	}
	return n
}

// measure measures once.
func (m *sessionMeter) measure(figures) figures {
	const logins, commands, sessions = 30, 100, idleFigureSessions
	f := figures{}
	if m.goroutines == 0 {
		m.goroutines = runtime.NumGoroutine()
	}
	m.count(f, "login", logins, func() { m.client.do("logins", logins); m.waitForIdle() })

	m.client.do("open", 1)
	m.client.do("commands", 1)
	m.count(f, "command", commands, func() { m.client.do("commands", commands) })
	m.client.do("close", 1)
	m.waitForIdle()

	bytes, goroutines := liveBytes(), runtime.NumGoroutine()
	m.client.do("open", sessions)
	f["session goroutines"] = float64(runtime.NumGoroutine()-goroutines) / sessions
	f["session bytes"] = float64(liveBytes()-bytes) / sessions
	m.client.do("close", 1)
	m.waitForIdle()
	return f
}

// liveBytes returns the bytes of reachable objects and of stacks.
func liveBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// count does something n times and counts frames and allocations.
func (m *sessionMeter) count(f figures, name string, n int, do func()) {
	var before, after runtime.MemStats
	frames := m.frames()
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	f[name+" frames"] = float64(m.frames()-frames) / float64(n)
	f[name+" allocations"] = float64(after.Mallocs-before.Mallocs) / float64(n)
}
