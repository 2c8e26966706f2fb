package box_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
)

var (
	growth = flag.String("growth", "",
		"measure how the figures grow, and write growth-*.svg and testdata/growth.txt to this directory")
	growthTop = flag.Float64("growth-top", 1,
		"with -growth: what part of the largest sizes is reached, such as 0.1")
	growthTime = flag.Duration("growth-time", 4*time.Minute,
		"with -growth: sizes that would begin later are left out")
)

// A growthCurve is a figure that is measured for growing sizes.
type growthCurve struct {
	name   string // of the picture
	title  string
	x      string // what a size counts
	sizes  []int
	share  float64 // of the time
	series []series
	// measure returns the function that measures a size: a value for each series. ok is false if
	// a larger size cannot be measured on this machine.
	measure func(t *testing.T) func(size int) (values []float64, ok bool)
}

// growthCurves returns the curves. The shares of the time add up to 1.
func growthCurves() []growthCurve {
	return []growthCurve{
		{
			name: "sessions", title: "Idle sessions, through the door", x: "sessions",
			sizes: []int{1, 10, 100, 500, 1000, 2000, 3000, 4000, 5000}, share: 0.35,
			series: []series{
				{name: "memory of the process", unit: "MiB"},
				{name: "time of a login", unit: "ms"},
				{name: "time of a command in one of them", unit: "ms"},
			},
			measure: growSessions,
		},
		{
			name: "appliances", title: "Appliances in one process, without doors", x: "appliances",
			sizes: []int{1, 10, 100, 500, 1000, 2000, 4000, 6000, 8000, 10000}, share: 0.4,
			series: []series{
				{name: "memory of the process", unit: "MiB"},
				{name: "time to start one", unit: "ms"},
				{name: "goroutines of one"},
			},
			measure: growAppliances,
		},
		{
			name: "frames", title: "Sessions that execute commands at the same time", x: "sessions",
			sizes: []int{1, 2, 5, 10, 20, 50, 100, 200, 500}, share: 0.1,
			series: []series{
				{name: "frames", unit: "1/s"},
				{name: "commands", unit: "1/s"},
				{name: "frames of a command"},
			},
			measure: growFrames,
		},
		{
			name: "mail", title: "Mail of 10 KB, through the doors", x: "connections",
			sizes: []int{1, 2, 5, 10, 20, 50, 100}, share: 0.15,
			series: []series{
				{name: "accepted", unit: "messages/s"},
				{name: "delivered", unit: "messages/s"},
			},
			measure: growMail,
		},
	}
}

// TestGrowth measures how figures grow. Without -growth it only tries the smallest sizes. The whole
// takes at most about five minutes, 20,000 file descriptors and 8 GiB of memory:
//
//	go test ./appliance/box -run TestGrowth -growth . -timeout 15m
func TestGrowth(t *testing.T) {
	dir, text := *growth, strings.Builder{}
	for _, c := range growthCurves() {
		t.Run(c.name, func(t *testing.T) {
			budget := time.Duration(c.share * float64(*growthTime))
			largest := float64(slices.Max(c.sizes)) * *growthTop
			if dir == "" {
				budget, largest = time.Hour, 1
			}
			p := plot{title: c.title, x: c.x, series: c.series}
			measure, began := c.measure(t), time.Now()
			for _, size := range c.sizes {
				if size > 1 && (float64(size) > largest || time.Since(began) > budget) {
					t.Logf("%d %s and more are left out", size, c.x)
					break
				}
				values, ok := measure(size)
				if t.Failed() || !ok {
					break
				}
				p.add(size, values)
			}
			picture := p.svg()
			checkXML(t, picture)
			text.WriteString(p.table())
			if dir == "" || t.Failed() {
				return
			}
			file := filepath.Join(dir, "growth-"+c.name+".svg")
			if err := os.WriteFile(file, []byte(picture), 0o644); err != nil {
				t.Error(err)
			}
		})
	}
	if dir == "" || t.Failed() {
		return
	}
	file := filepath.Join(dir, "testdata", "growth.txt")
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", text.String())
}

// sessionBoxes is the number of appliances on which the sessions are spread: the SSH server of each
// takes 1,000.
const sessionBoxes = 6

// growSessions opens sessions until there are as many as the size says.
func growSessions(t *testing.T) func(int) ([]float64, bool) {
	boxes := sessionBoxes
	if *growth == "" {
		boxes = 1
	}
	clients := make([]*clientProcess, boxes)
	for i := range clients {
		clients[i] = startClient(t, run(t, box.Options{}).DoorAddrs()["ssh"].String())
		clients[i].do("logins", 1)
	}
	before, open := liveBytes(), 0
	return func(size int) ([]float64, bool) {
		began, added := time.Now(), size-open
		for i, c := range clients {
			if n := share(size, i, boxes) - share(open, i, boxes); n > 0 {
				c.do("open", n)
			}
		}
		open = size
		login := time.Since(began)
		memory := max(0, float64(liveBytes())-float64(before)) / (1 << 20) // other memory may be freed
		const commands = 50
		began = time.Now()
		clients[0].do("commands", commands)
		return []float64{
			memory, milliseconds(login) / float64(added), milliseconds(time.Since(began)) / commands,
		}, true
	}
}

// share returns how many of n things the ith of a number of places has.
func share(n, i, places int) int { return (n + places - 1 - i) / places }

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// growthMemory is the memory at which no further appliances are started.
const growthMemory = 12 << 30

// growAppliances starts appliances until there are as many as the size says.
func growAppliances(t *testing.T) func(int) ([]float64, bool) {
	plan, dir := labBlueprint(t), t.TempDir()
	many := startedBoxes{t: t}
	t.Cleanup(many.stop)
	before, goroutines, started := liveBytes(), runtime.NumGoroutine(), 0
	return func(size int) ([]float64, bool) {
		began, added := time.Now(), size-started
		list, files := startMany(t, plan, filepath.Join(dir, fmt.Sprint(size)), added)
		for _, x := range list {
			x.Faults().List() // waits for the connections of its topology
		}
		took := time.Since(began)
		many.add(list, files)
		started = size
		memory := max(0, float64(liveBytes())-float64(before))
		return []float64{
			memory / (1 << 20), milliseconds(took) / float64(added),
			float64(runtime.NumGoroutine()-goroutines) / float64(size),
		}, memory < growthMemory
	}
}

// startedBoxes are boxes with the log files that they share.
type startedBoxes struct {
	t     *testing.T
	boxes []*box.Box
	files []interface{ Close() }
}

func (s *startedBoxes) add(boxes []*box.Box, files interface{ Close() }) {
	s.boxes, s.files = append(s.boxes, boxes...), append(s.files, files)
}

// stop stops the boxes, several at a time.
func (s *startedBoxes) stop() {
	next := make(chan *box.Box)
	var stopping sync.WaitGroup
	for range 16 {
		stopping.Go(func() {
			for x := range next {
				if err := x.Stop(context.Background()); err != nil {
					s.t.Error(err)
				}
			}
		})
	}
	for _, x := range s.boxes {
		next <- x
	}
	close(next)
	stopping.Wait()
	for _, f := range s.files {
		f.Close()
	}
}

// growFrames lets sessions execute commands at the same time.
func growFrames(t *testing.T) func(int) ([]float64, bool) {
	x := run(t, box.Options{})
	client := startClient(t, x.DoorAddrs()["ssh"].String())
	m := &sessionMeter{t: t, box: x, client: client}
	open := 0
	return func(size int) ([]float64, bool) {
		client.do("open", size-open)
		open = size
		client.do("each", 1)
		rounds := max(10, 2000/size)
		began, frames := clock.System().Now(), m.frames()
		client.do("each", rounds)
		took := clock.System().Now().Sub(began).Seconds()
		frames = m.frames() - frames
		commands := float64(rounds * size)
		return []float64{float64(frames) / took, commands / took, float64(frames) / commands}, true
	}
}

// growMail sends mail over as many connections as the size says.
func growMail(t *testing.T) func(int) ([]float64, bool) {
	return func(size int) ([]float64, bool) {
		r := testing.Benchmark(func(b *testing.B) {
			sink := newSink(b)
			measureMail(b, mailBox(b, sink).DoorAddrs()["smtp"].String(), sink, size)
		})
		if r.N == 0 {
			t.Errorf("mail over %d connections has failed", size)
		}
		return []float64{r.Extra["accepted/s"], r.Extra["delivered/s"]}, true
	}
}
