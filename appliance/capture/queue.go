package capture

import (
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

const (
	// chunkSize holds the longest record there can be.
	chunkSize = recordHeaderLen + snapLen
	// maxChunks bounds what may wait for the writer: 16 MiB, which 500,000 of the
	// shortest frames a second fill in 0.4 s.
	maxChunks = 64
	// flushDelay is how long a frame may wait to be written: short enough to watch a
	// capture that runs, long enough to write many frames at once.
	flushDelay = 50 * time.Millisecond
)

// A queue is the ring between the taps and the writer. What it holds are records as
// the file will have them, in chunks that each end with a whole record: a tap costs
// one copy, and a chunk is one write.
type queue struct {
	clock clock.Clock
	ready chan struct{} // has room for one: there is something to take

	mu           sync.Mutex
	chunks       [][]byte // the last one is being filled
	free         [][]byte
	dropped      uint64
	closed       bool
	flushPending bool          // a flush is under way
	cancelFlush  func() bool   // keeps it from coming
	lastStamp    time.Time     // stamp of the newest record
	ahead        time.Duration // how far stamps are ahead of the clock
}

func newQueue(c clock.Clock) *queue {
	return &queue{clock: c, ready: make(chan struct{}, 1)}
}

// push adds a frame, or counts it as dropped where the writer is too far behind. It
// never waits for the writer.
func (q *queue) push(frame []byte, wireLen int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	need := recordHeaderLen + min(len(frame), snapLen)
	if n := len(q.chunks); n == 0 || len(q.chunks[n-1])+need > chunkSize {
		if n == maxChunks {
			q.dropped++
			return
		}
		if n > 0 {
			q.notify()
		}
		q.chunks = append(q.chunks, q.newChunk())
	}
	chunk := &q.chunks[len(q.chunks)-1]
	*chunk = appendRecord(*chunk, q.stamp(), frame, wireLen)
	if !q.flushPending {
		q.flushPending = true
		q.cancelFlush = clock.System().AfterFunc(flushDelay, q.notify)
	}
}

// stamp is the appliance's wall time. When that is set back, stamps go on from where
// they were until it has caught up. A stamp is taken under the lock, so that stamps
// rise in the order of records whichever tap they come from.
func (q *queue) stamp() time.Time {
	now := q.clock.Now()
	if !now.Before(q.lastStamp) {
		q.ahead = 0
	} else if now = now.Add(q.ahead); now.Before(q.lastStamp) {
		q.ahead += q.lastStamp.Sub(now)
		now = q.lastStamp
	}
	q.lastStamp = now
	return now
}

func (q *queue) newChunk() []byte {
	if n := len(q.free); n > 0 {
		c := q.free[n-1]
		q.free = q.free[:n-1]
		return c[:0]
	}
	return nil // grows as it is filled: most captures are small
}

func (q *queue) notify() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns all that waits. The caller gives the chunks back with recycle.
func (q *queue) take() [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.chunks
	q.chunks = nil
	if q.cancelFlush != nil {
		q.cancelFlush()
	}
	q.flushPending = false
	return taken
}

func (q *queue) recycle(chunks [][]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free = append(q.free, chunks...)
}

// drops is the number of frames that found no room.
func (q *queue) droppedFrames() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// close makes push do nothing from now on. What waits can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.cancelFlush != nil {
		q.cancelFlush()
	}
}
