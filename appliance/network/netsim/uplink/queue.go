package uplink

import (
	"sync"
	"sync/atomic"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// Bounds of the frames that wait for the outside.
const (
	maxQueuedFrames = 4096
	maxQueuedBytes  = 8 << 20
	keptBytes       = 256 << 10 // memory that stays allocated
	// maxPieces is the number of parts of a train up to which its data is not copied.
	maxPieces = 64
)

// An outQueue holds the frames that leave, until the outside takes them. put never blocks.
type outQueue struct {
	wake    chan struct{} // has a token while frames wait
	dropped atomic.Uint64 // frames that found the queue full

	mu     sync.Mutex
	isOpen bool
	bytes  []byte // of the frames that wait, one after the other; those of trains are not in it
	size   int    // bytes that wait, with those of trains
	queued []queuedFrame
	taken  struct {
		bytes  []byte
		queued []queuedFrame
		frames []frame
	}
	pieces [][]byte // memory
	storm  bucket
}

// A queuedFrame is a frame that waits.
type queuedFrame struct {
	end     int // of its bytes
	offload offload
	train   *ether.Train // nil: the frame is in the queue's bytes
}

// noStormLimit lets any number of frames to groups pass.
const noStormLimit = 0

func (q *outQueue) init(stormLimit int) {
	q.wake = make(chan struct{}, 1)
	q.storm = bucket{rate: stormLimit, tokens: float64(stormLimit)}
}

// open and shut say whether there is somebody to take frames. Without that, put drops them without
// counting, as a card without a carrier.
func (q *outQueue) open() { q.set(true) }
func (q *outQueue) shut() { q.set(false) }

func (q *outQueue) set(open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.queued {
		if f.train != nil {
			f.train.Release()
		}
	}
	clear(q.queued)
	q.isOpen, q.bytes, q.size, q.queued = open, q.bytes[:0], 0, q.queued[:0]
}

// put appends a copy of frame. It returns false if the frame is one too many to a group.
func (q *outQueue) put(frame []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !q.isOpen:
		return true
	case q.storm.rate != noStormLimit && ether.MAC(frame[:6]).IsMulticast() && !q.storm.take(clock.System().Mark()):
		return false
	case q.isFull(len(frame)):
		q.dropped.Add(1)
		return true
	}
	q.bytes = append(q.bytes, frame...)
	q.added(queuedFrame{}, len(frame))
	return true
}

// putTrain appends a train as one frame. It owns the train, whose data is not copied.
func (q *outQueue) putTrain(t *ether.Train) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := t.Len()
	switch {
	case !q.isOpen:
		t.Release()
		return
	case q.isFull(n):
		q.dropped.Add(uint64(t.FrameCount()))
		t.Release()
		return
	}
	f := queuedFrame{train: t, offload: offload{
		flags: needsChecksum, kind: gsoTCPv4, size: t.SegmentSize(), sumStart: t.TCP(), sumDistance: 16,
	}}
	if t.TCP() == headerLen+ipv6Len {
		f.offload.kind = gsoTCPv6
	}
	if q.pieces = t.Pieces(q.pieces[:0]); len(q.pieces) > maxPieces {
		for _, p := range q.pieces {
			q.bytes = append(q.bytes, p...)
		}
		t.Release()
		f.train = nil
	}
	clear(q.pieces)
	q.added(f, n)
}

func (q *outQueue) isFull(n int) bool {
	return len(q.queued) == maxQueuedFrames || q.size+n > maxQueuedBytes
}

// added says that the bytes of a frame have been appended, and appends f.
func (q *outQueue) added(f queuedFrame, n int) {
	f.end = len(q.bytes)
	q.queued, q.size = append(q.queued, f), q.size+n
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// takeWake takes the token of wake, if frames wait.
func (q *outQueue) takeWake() bool {
	select {
	case <-q.wake:
		return true
	default:
		return false
	}
}

// take returns the frames that wait. They are valid until the next call. The caller releases them.
func (q *outQueue) take() []frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &q.taken
	if cap(t.bytes) > keptBytes {
		t.bytes = nil
	}
	clear(t.queued)
	q.bytes, t.bytes = t.bytes[:0], q.bytes
	q.queued, t.queued = t.queued[:0], q.queued
	q.size = 0
	t.frames = t.frames[:0]
	from := 0
	for _, f := range t.queued {
		t.frames = append(t.frames, frame{t.bytes[from:f.end:f.end], f.offload, f.train})
		from = f.end
	}
	return t.frames
}

// A bucket limits a rate: in each second rate tokens can be taken, and up to rate at once.
type bucket struct {
	rate   int
	tokens float64
	at     clock.Mark // when tokens was right
}

func (b *bucket) take(now clock.Mark) bool {
	b.tokens = min(float64(b.rate), b.tokens+float64(now-b.at)*float64(b.rate)/1e9)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
