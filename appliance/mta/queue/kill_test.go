//go:build !windows

package queue_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/esasim/esasim/appliance/mta/queue"
)

const (
	killedDir  = "ESASIM_TEST_KILLED_QUEUE" // the directory of the process that is to be killed
	killRounds = "ESASIM_TEST_KILL_ROUNDS"  // how many processes are killed instead of 10
)

// TestMain runs the process that TestKill kills, or the tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killedDir); dir != "" {
		fmt.Println("failed", runUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runUntilKilled uses a queue and reports what was acknowledged, one line each:
//
//	commit MID RECIPIENTS SIZE
//	finish MID RID
//	begin MID RID       before the recipient is finished
//	ids MID ICID DCID
func runUntilKilled(dir string) error {
	q, err := queue.Open(queue.Options{Dir: dir, SegmentSize: 64 << 10})
	if err != nil {
		return err
	}
	defer q.Close()
	var mu sync.Mutex
	report := func(format string, a ...any) { // one write each
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(os.Stdout, format+"\n", a...)
	}
	failed := make(chan error)
	for worker := range 6 {
		go func() {
			for i := 0; ; i++ {
				size := []int{100, 2000, 20_000, queue.SmallBody + 3000}[(worker+i)%4]
				recipients := 1 + i%3
				mid, err := commit(q, envelope(recipients), size)
				if err != nil {
					failed <- err
					return
				}
				report("commit %d %d %d", mid, recipients, size)
				report("ids %d %d %d", mid, q.NextICID(), q.NextDCID())
				for rid := range recipients {
					if i%7 == 0 && rid == 0 {
						continue // this recipient stays
					}
					report("begin %d %d", mid, rid)
					if _, err := q.Update(context.Background(), mid, queue.Delivered(rid)); err != nil {
						failed <- err
						return
					}
					report("finish %d %d", mid, rid)
				}
			}
		}()
	}
	return <-failed
}

// A killed is the expected state of a message of the killed process.
type killed struct {
	size   int64
	unsure map[int]bool // recipients that are being finished
	left   map[int]bool
}

// A process that is killed at any moment loses nothing that it has acknowledged, and what it had
// not acknowledged is there as a whole or not at all.
func TestKill(t *testing.T) {
	rounds := 10
	if s := os.Getenv(killRounds); s != "" {
		rounds, _ = strconv.Atoi(s)
	}
	random := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	known := map[uint64]*killed{}
	var ids [3]uint64
	for round := range rounds {
		killOne(t, dir, 1+random.IntN(400), known, &ids)
		verifyKilled(t, dir, known, ids)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// killOne runs a process and kills it after it has reported so many lines.
func killOne(t *testing.T, dir string, lines int, known map[uint64]*killed, ids *[3]uint64) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killedDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := *ids
	n := 0
	for s := bufio.NewScanner(out); s.Scan(); n++ {
		if n == lines {
			cmd.Process.Kill()
		}
		var what string
		var a, b, c uint64
		if k, _ := fmt.Sscan(s.Text(), &what, &a, &b, &c); k < 3 {
			t.Errorf("the process says %q", s.Text())
			continue
		}
		switch what {
		case "commit":
			m := &killed{size: int64(c), unsure: map[int]bool{}, left: map[int]bool{}}
			for rid := range int(b) {
				m.left[rid] = true
			}
			known[a] = m
		case "begin":
			known[a].unsure[int(b)] = true
		case "finish":
			delete(known[a].unsure, int(b))
			delete(known[a].left, int(b))
		case "ids":
			for i, id := range []uint64{a, b, c} {
				if id <= first[i] {
					t.Errorf("identifier %d was used again after %d", id, first[i])
				}
				ids[i] = max(ids[i], id)
			}
		}
	}
	if cmd.Wait(); n < lines {
		t.Errorf("the process has reported %d lines only", n)
	}
}

// verifyKilled compares the queue with what is known, and forgets what is no longer there.
func verifyKilled(t *testing.T, dir string, known map[uint64]*killed, ids [3]uint64) {
	q := mustOpen(t, queue.Options{Dir: dir, SegmentSize: 64 << 10})
	defer q.Close()
	found := map[uint64]bool{}
	q.Each(func(env *queue.Envelope) bool {
		if err := checkBody(q, env.MID, env.Size); err != nil {
			t.Error(err)
		}
		m := known[env.MID]
		if m == nil { // it was not acknowledged
			m = &killed{size: env.Size, unsure: map[int]bool{}, left: map[int]bool{}}
			for _, r := range env.Recipients {
				m.left[r.RID] = true
			}
			known[env.MID] = m
		}
		found[env.MID] = true
		var rids []int
		for _, r := range env.Recipients {
			rids = append(rids, r.RID)
			if !m.left[r.RID] {
				t.Errorf("recipient %d of message %d was finished", r.RID, env.MID)
			}
		}
		for rid := range m.left {
			if !slices.Contains(rids, rid) && !m.unsure[rid] {
				t.Errorf("recipient %d of message %d is lost", rid, env.MID)
			}
		}
		m.left, m.unsure = map[int]bool{}, map[int]bool{}
		for _, rid := range rids {
			m.left[rid] = true
		}
		if env.Size != m.size {
			t.Errorf("message %d has %d bytes, want %d", env.MID, env.Size, m.size)
		}
		return true
	})
	for mid, m := range known {
		if !found[mid] {
			if len(m.left) > len(m.unsure) {
				t.Errorf("message %d is lost", mid)
			}
			delete(known, mid)
		}
	}
	if mid := q.NextMID(); mid <= ids[0] {
		t.Errorf("identifier %d is used again after %d", mid, ids[0])
	}
}
