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
	maxQueuedBytes  = 4 << 20
	keptBytes       = 256 << 10 // memory that stays allocated
)

// An outQueue holds the frames that leave, until the outside takes them. put never blocks.
type outQueue struct {
	wake    chan struct{} // has a token while frames wait
	dropped atomic.Uint64 // frames that found the queue full

	mu     sync.Mutex
	isOpen bool
	bytes  []byte    // of the frames that wait, one after the other
	ends   []int     // where each ends
	loads  []offload // what is missing in each
	taken  struct {
		bytes  []byte
		ends   []int
		loads  []offload
		frames []frame
	}
	storm bucket
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
	q.isOpen, q.bytes, q.ends, q.loads = open, q.bytes[:0], q.ends[:0], q.loads[:0]
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
	q.added(offload{})
	return true
}

// putTrain appends a train as one frame, and frees it.
func (q *outQueue) putTrain(t *ether.Train) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := t.FrameCount()
	switch {
	case !q.isOpen:
		t.Release()
		return
	case q.isFull(t.Len()):
		q.dropped.Add(uint64(n))
		t.Release()
		return
	}
	o := offload{
		flags: needsChecksum, kind: gsoTCPv4, size: t.SegmentSize(), sumStart: t.TCP(), sumDistance: 16,
	}
	if t.TCP() == headerLen+ipv6Len {
		o.kind = gsoTCPv6
	}
	q.bytes = t.AppendFrame(q.bytes)
	q.added(o)
}

func (q *outQueue) isFull(n int) bool {
	return len(q.ends) == maxQueuedFrames || len(q.bytes)+n > maxQueuedBytes
}

// added says that a frame has been appended.
func (q *outQueue) added(o offload) {
	q.ends, q.loads = append(q.ends, len(q.bytes)), append(q.loads, o)
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

// take returns the frames that wait. They are valid until the next call.
func (q *outQueue) take() []frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &q.taken
	if cap(t.bytes) > keptBytes {
		t.bytes = nil
	}
	q.bytes, t.bytes = t.bytes[:0], q.bytes
	q.ends, t.ends = t.ends[:0], q.ends
	q.loads, t.loads = t.loads[:0], q.loads
	t.frames = t.frames[:0]
	from := 0
	for i, to := range t.ends {
		t.frames = append(t.frames, frame{t.bytes[from:to:to], t.loads[i]})
		from = to
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
