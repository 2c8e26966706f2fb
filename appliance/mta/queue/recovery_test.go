package queue_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// A process is killed, the next one recovers what the first had written but not synced, and then
// the power fails: at any operation of the recovery, or after it.
func TestPowerLossAfterKill(t *testing.T) {
	reached := false
	for cut := 1; !reached; cut++ {
		for later := range 6 { // operations of the next process; 5 stands for all
			f := newFakeFS(workloadDir)
			f.cutAt = cut
			m, err := runOn(f)
			if reached = err == nil; !reached && !errors.Is(err, errPower) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			f.dead, f.cutAt = false, f.ops+later+1
			if later == 5 {
				f.cutAt = 0
			}
			q, err := queue.Open(workloadOptions(f))
			if err != nil && !errors.Is(err, errPower) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			for outcome := range numOutcomes {
				random := rand.New(rand.NewPCG(uint64(cut), uint64(outcome)))
				g := f.afterPowerLoss(outcome, random)
				if err := recoverTwice(g, m); err != nil {
					t.Fatalf("cut at %d and %d, outcome %d: %v\n%s", cut, later, outcome, err,
						listing(g))
				}
			}
			if q != nil {
				q.Close()
			}
		}
	}
}

// Finished messages do not come back, even if the removal of some old segments is not durable.
func TestFinishedMessagesStayAway(t *testing.T) {
	f := newFakeFS(workloadDir)
	opts := queue.Options{Dir: f.dir, FS: f, SegmentSize: 2000}
	q := mustOpen(t, opts)
	for range 10 {
		mids := []uint64{mustCommit(t, q, envelope(1), 500), mustCommit(t, q, envelope(1), 70_000)}
		for range 3 {
			mids = append(mids, mustCommit(t, q, envelope(1), 900))
		}
		for _, mid := range mids {
			if _, err := q.Update(t.Context(), mid, queue.Bounced(0)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 50 {
			g := f.afterPowerLoss(anything, rand.New(rand.NewPCG(1, uint64(i))))
			opts := opts
			opts.FS = g
			for restart := range 3 { // the first ones remove files, and lose power
				q := mustOpen(t, opts)
				if n := q.Stats().Messages; n != 0 {
					t.Fatalf("after restart %d: %d messages are back\n%s", restart, n, listing(g))
				}
				if restart < 2 {
					g = g.afterPowerLoss(anything, rand.New(rand.NewPCG(2, uint64(i))))
					opts.FS = g
				}
			}
		}
		q.Close()
		q = mustOpen(t, opts)
	}
}

// A killed process does not put a message back into the work queue, even if the log went on in
// another segment, and even though the change was not synced.
func TestStageSurvivesKill(t *testing.T) {
	for _, more := range []int{0, 10, 200} {
		f := newFakeFS(workloadDir)
		opts := queue.Options{Dir: f.dir, FS: f, SegmentSize: 2000}
		q := mustOpen(t, opts)
		mid := mustCommit(t, q, envelope(1), 500)
		other := mustCommit(t, q, envelope(1), 500)
		for i := range 1 + more { // more of them fill segments, and none is synced
			which := mid
			if i > 0 {
				which = other
			}
			if _, err := q.Update(t.Context(), which, queue.StageDone()); err != nil {
				t.Fatal(err)
			}
		}
		if n := q.Segments(); more == 200 && n < 3 {
			t.Fatalf("%d segments", n)
		}
		opts.FS = withFiles(f.dir, f.content())
		want := min(more, 1) + 1
		if s := mustOpen(t, opts).Stats(); s.Messages-s.InWorkQueue != want {
			t.Errorf("after %d other changes: %+v, want %d in delivery", more, s, want)
		}
	}
}

// Segments that many restarts have left are merged.
func TestRestartsDoNotLeaveFiles(t *testing.T) {
	dir := t.TempDir()
	var mids []uint64
	for range 30 {
		q := mustOpen(t, queue.Options{Dir: dir})
		mids = append(mids, mustCommit(t, q, envelope(1), 1000))
		await(t, func() bool { return q.Segments() <= 8 })
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	q := mustOpen(t, queue.Options{Dir: dir})
	for _, mid := range mids {
		if err := checkBody(q, mid, 1000); err != nil {
			t.Error(err)
		}
	}
	if n := q.Stats().Messages; n != len(mids) {
		t.Errorf("%d messages, want %d", n, len(mids))
	}
}
