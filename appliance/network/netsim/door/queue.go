package door

import (
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

const (
	// queueLength is less than the backlog of every service of the appliance.
	queueLength = 8
	// acceptTimeout is how long a connection keeps its slot if the service does not accept
	// it. A fault on one client's path must not block the other clients.
	acceptTimeout = time.Second
)

// A queue holds the connections of a front door that the service has not accepted yet. It
// lets in only as many connections of a burst as the service's backlog takes. The others
// wait in the real listener's queue, which is long. Without it SYNs would be dropped inside
// and retransmitted a second later.
type queue struct {
	slots chan struct{} // has one element for each slot in use

	mu       sync.Mutex
	occupied []*slot // oldest first
}

// A slot is the right of one connection to go in.
type slot struct {
	queue *queue
	once  sync.Once
	stop  func() bool // the timer's
}

// acquire blocks until a slot is free, and takes it.
func (q *queue) acquire() *slot {
	q.slots <- struct{}{}
	return &slot{queue: q, stop: func() bool { return true }}
}

// occupy marks the slot as used by a connection that goes in now.
func (s *slot) occupy() {
	q := s.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	q.occupied = append(q.occupied, s)
	s.stop = clock.System().AfterFunc(acceptTimeout, s.release)
}

// release frees the slot. Later calls do nothing.
func (s *slot) release() {
	s.once.Do(func() {
		q := s.queue
		q.mu.Lock()
		defer q.mu.Unlock()
		s.stop()
		if i := slices.Index(q.occupied, s); i >= 0 {
			q.occupied = slices.Delete(q.occupied, i, i+1)
		}
		<-q.slots
	})
}

// releaseOldest frees the slot of the oldest connection.
func (q *queue) releaseOldest() {
	q.mu.Lock()
	var oldest *slot
	if len(q.occupied) > 0 {
		oldest = q.occupied[0]
	}
	q.mu.Unlock()
	if oldest != nil {
		oldest.release()
	}
}
