package capture

import (
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

const (
	// chunkSize is the length of the longest possible record.
	chunkSize = recordHeaderLen + snapLen
	// maxChunks bounds the data that waits for the writer: 16 MiB, which 500,000 frames a
	// second of the shortest length fill in 0.4 s.
	maxChunks = 64
	// flushDelay is the longest time that a frame waits to be written: short enough to
	// watch a running capture, long enough to write many frames at once.
	flushDelay = 50 * time.Millisecond
)

// A queue passes frames from the taps to the writer. It holds them as the
// records that the file will have, in chunks that each end with a whole record: a tap copies
// a frame once, and a chunk is written at once.
type queue struct {
	clock clock.Clock
	ready chan struct{} // capacity 1; receives a value when take has something to return

	mu           sync.Mutex
	chunks       [][]byte // push fills the last one
	free         [][]byte
	dropped      uint64
	closed       bool
	flushPending bool          // a timer that calls notify runs
	cancelFlush  func() bool   // stops that timer
	lastStamp    time.Time     // of the newest record
	ahead        time.Duration // added to the clock after it was set back
}

func newQueue(c clock.Clock) *queue {
	return &queue{clock: c, ready: make(chan struct{}, 1)}
}

// push adds a frame. If the writer is too far behind, push counts the frame as dropped. It
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

// stamp returns the timestamp of a new record, the appliance's wall time. If that is set back,
// timestamps continue from the last one until it has caught up. The caller holds mu, so
// timestamps increase in the order of the records, whichever tap they come from.
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
	return nil // append allocates as needed: most captures are small
}

func (q *queue) notify() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns all chunks and removes them from the queue. The caller returns them with
// recycle.
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

// droppedFrames returns the number of frames that were dropped.
func (q *queue) droppedFrames() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// close makes later calls of push do nothing. take still returns the frames that wait.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.cancelFlush != nil {
		q.cancelFlush()
	}
}
