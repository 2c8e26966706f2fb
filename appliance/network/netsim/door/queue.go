package door

import (
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

const (
	// queueLength is less than the backlog of any service of the appliance's.
	queueLength = 8
	// patience is how long a place is kept for a connection that nobody accepts:
	// what is wrong with one client's path must not hold up the others.
	patience = time.Second
)

// A queue is the connections of a door that the service has not accepted yet. Of a
// burst from outside, as many go in as the service's backlog takes; the others
// wait in the real listener's queue, which is long, and no SYN is dropped inside
// and sent again a second later.
type queue struct {
	places chan struct{} // holds one for each place that is taken

	mu    sync.Mutex
	taken []*place // by connections, oldest first
}

// A place is one connection's.
type place struct {
	queue *queue
	once  sync.Once
	stop  func() bool // the timer's
}

// enter waits for a place.
func (q *queue) enter() *place {
	q.places <- struct{}{}
	return &place{queue: q, stop: func() bool { return true }}
}

// hold gives the place to a connection that goes in now.
func (p *place) hold() {
	q := p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken = append(q.taken, p)
	p.stop = clock.System().AfterFunc(patience, p.leave)
}

// leave gives the place up, once.
func (p *place) leave() {
	p.once.Do(func() {
		q := p.queue
		q.mu.Lock()
		defer q.mu.Unlock()
		p.stop()
		if i := slices.Index(q.taken, p); i >= 0 {
			q.taken = slices.Delete(q.taken, i, i+1)
		}
		<-q.places
	})
}

// shift gives the oldest connection's place up.
func (q *queue) shift() {
	q.mu.Lock()
	var oldest *place
	if len(q.taken) > 0 {
		oldest = q.taken[0]
	}
	q.mu.Unlock()
	if oldest != nil {
		oldest.leave()
	}
}
