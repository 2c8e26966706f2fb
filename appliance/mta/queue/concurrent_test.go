package queue_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// Of several updates that wait at the same time, one finishes a recipient, and one the message.
func TestUpdatesOfOneRecipientAtOnce(t *testing.T) {
	f := newFakeFS(workloadDir)
	q := mustOpen(t, queue.Options{Dir: f.dir, FS: f})
	mid := mustCommit(t, q, envelope(2), 100)
	stopped, goOn := make(chan bool), make(chan bool)
	var once sync.Once
	f.onSync = func(string) {
		once.Do(func() {
			stopped <- true
			<-goOn
		})
	}
	var wg sync.WaitGroup
	wg.Go(func() { mustCommit(t, q, envelope(1), 100) })
	<-stopped
	var mu sync.Mutex
	done, finished := 0, 0
	for n := range 20 {
		wg.Go(func() {
			r, err := q.Update(t.Context(), mid, queue.Delivered(n%2))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				done++
			} else if !errors.Is(err, queue.ErrNoRecipient) && !errors.Is(err, queue.ErrNoMessage) {
				t.Error(err)
			}
			if r.Finished {
				finished++
			}
		})
	}
	await(t, func() bool { return q.Waiting() == 20 })
	goOn <- true
	wg.Wait()
	if done != 2 || finished != 1 {
		t.Errorf("%d updates were made, and %d finished the message", done, finished)
	}
	checkStats(t, q)
}

// Many goroutines use all methods at once, while the log is compacted, and the queue is what they
// have left, also after a restart.
func TestManyUsersAtOnce(t *testing.T) {
	dir := t.TempDir()
	opts := queue.Options{Dir: dir, SegmentSize: 100_000}
	q := mustOpen(t, opts)
	var users, readers sync.WaitGroup
	stop := make(chan bool)
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			q.Each(func(env *queue.Envelope) bool {
				err := checkBody(q, env.MID, env.Size)
				if err != nil && !errors.Is(err, queue.ErrNoMessage) {
					t.Error(err)
				}
				return true
			})
			q.Stats()
		}
	})
	var mu sync.Mutex
	left := map[uint64]int{}
	finished := 0
	for n := range 10 {
		users.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n)))
			for range 40 {
				size := random.IntN(10_000)
				if random.IntN(10) == 0 {
					size += queue.SmallBody
				}
				mid, err := commit(q, envelope(4), size)
				if err != nil {
					t.Error(err)
					return
				}
				var both sync.WaitGroup
				keep := random.IntN(8) == 0
				for part := range 2 { // of its recipients
					both.Go(func() {
						for rid := 2 * part; rid < 2*part+2; rid++ {
							if keep && rid == 3 {
								continue
							}
							_, err := q.Update(t.Context(), mid, deferred(rid))
							r, err2 := q.Update(t.Context(), mid, queue.Delivered(rid))
							if err := errors.Join(err, err2); err != nil {
								t.Error(err)
							}
							mu.Lock()
							if r.Finished {
								finished++
							}
							mu.Unlock()
						}
					})
				}
				both.Wait()
				if keep {
					mu.Lock()
					left[mid] = 1
					mu.Unlock()
				}
			}
		})
	}
	users.Wait()
	close(stop)
	readers.Wait()
	if finished != 400-len(left) {
		t.Errorf("%d messages were said to be finished, want %d", finished, 400-len(left))
	}
	for range 2 {
		n := 0
		q.Each(func(env *queue.Envelope) bool {
			if n++; left[env.MID] != len(env.Recipients) {
				t.Errorf("message %d has recipients %+v", env.MID, env.Recipients)
			}
			if err := checkBody(q, env.MID, env.Size); err != nil {
				t.Error(err)
			}
			return true
		})
		if n != len(left) {
			t.Errorf("%d messages, want %d", n, len(left))
		}
		checkStats(t, q)
		q.Close()
		q = mustOpen(t, opts)
	}
}
