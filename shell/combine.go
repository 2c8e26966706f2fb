package shell

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A combiner sends several packets in one piece where the library, which flushes after each packet,
// would send as many segments. OpenSSH's server sends them in one piece, too.
//
//   - During the handshake, packets are collected until the library reads. It does so when it has
//     sent everything that the client waits for. While a read is in progress, packets are sent
//     immediately.
//   - Later, packets are sent immediately, except after holdNext.
//   - The library writes a long packet in two pieces. They are sent in one.
//   - Between beginBulk and endBulk, packets are collected to pieces of bulkSize bytes: each piece
//     costs the simulated network a train of frames, an acknowledgement and a few wake-ups.
type combiner struct {
	conn    net.Conn
	timers  *clock.Group
	clock   clock.Clock // of timers
	buffers *sync.Pool  // of *[bulkBuffer]byte, for bulk

	handshake atomic.Bool // set until endHandshake is called

	mu       sync.Mutex // held while data is written to conn
	reading  bool       // the library reads; only used during the handshake
	holdNext bool
	held     []byte            // packets that have not been sent
	bulks    int               // calls of beginBulk without their endBulk
	bulk     *[bulkBuffer]byte // memory for held; nil if bulks is 0
	stop     func() bool       // stops the timer that sends held; nil if there is none
	closed   bool
}

// libraryBuffer is the size of the buffer in which the library collects a packet. A Write of a full
// buffer is the beginning of a packet whose rest follows, unless the packet ends there.
const libraryBuffer = 4096

// bulkSize is the size of the pieces in which bulk data is sent, and bulkBuffer has room for a
// piece and the packet that does not fit into it.
const (
	bulkSize   = 128 << 10
	bulkBuffer = bulkSize + 36<<10
)

// maxHeld is the largest number of bytes that are collected during a handshake.
const maxHeld = 8 << 10

// Write takes a packet.
func (c *combiner) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.handshake.Load() && !c.reading && len(c.held)+len(p) <= maxHeld:
		c.held = append(c.held, p...)
		return len(p), nil
	case c.bulks > 0 && !c.closed:
		if err := c.collect(p); err != nil {
			return 0, err
		}
		return len(p), nil
	case (c.holdNext || len(p) == libraryBuffer && len(c.held) == 0) && !c.closed:
		c.holdNext = false
		c.held = append(c.held, p...)
		c.flushLater()
		return len(p), nil
	case len(c.held) == 0:
		return c.conn.Write(p)
	}
	c.held = append(c.held, p...)
	if err := c.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flushLater sends what is held after flushDelay, at the latest. c.mu is held.
func (c *combiner) flushLater() {
	if c.stop != nil {
		return
	}
	c.stop = c.timers.AfterFunc(c.clock, flushDelay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.flush() //nolint:errcheck // the next Write fails as well
	})
}

// collect holds p and sends what is a whole piece. The rest does not wait for long: the client may
// have to receive it before it lets the library send more. c.mu is held.
func (c *combiner) collect(p []byte) error {
	c.held = append(c.held, p...)
	for len(c.held) >= bulkSize {
		if _, err := c.conn.Write(c.held[:bulkSize]); err != nil {
			return err
		}
		c.held = c.held[:copy(c.held, c.held[bulkSize:])]
	}
	if len(c.held) > 0 {
		c.flushLater()
	}
	return nil
}

// beginBulk announces that much data follows, which endBulk ends. Both may be called more often.
func (c *combiner) beginBulk() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bulks++; c.bulks > 1 {
		return
	}
	if c.bulk, _ = c.buffers.Get().(*[bulkBuffer]byte); c.bulk == nil {
		c.bulk = new([bulkBuffer]byte)
	}
	c.held = append(c.bulk[:0], c.held...)
}

// endBulk sends what is held, unless another beginBulk has not been ended.
func (c *combiner) endBulk() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bulks--; c.bulks > 0 {
		return nil
	}
	err := c.flush()
	c.buffers.Put(c.bulk)
	c.bulk, c.held = nil, nil
	return err
}

// HoldNext makes the next packet wait for the packet after it, but not longer than flushDelay.
func (c *combiner) HoldNext() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holdNext = true
}

// flush sends what is held. c.mu is held.
func (c *combiner) flush() error {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.conn.Write(c.held)
	if c.held = nil; c.bulk != nil {
		c.held = c.bulk[:0]
	}
	return err
}

// beginRead is called before each read during the handshake. It sends what is held.
func (c *combiner) beginRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = true
	c.flush() //nolint:errcheck // the read fails as well
}

// endRead is called after each read during the handshake.
func (c *combiner) endRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
}

// endHandshake is called before the first packet after the handshake.
func (c *combiner) endHandshake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handshake.Store(false)
	c.flush() //nolint:errcheck // the next Write fails as well
}

// finish sends what is held, unless the client does not take it within a second.
func (c *combiner) finish() {
	if !c.mu.TryLock() {
		return // a Write is in progress, and the client might never take its data
	}
	defer c.mu.Unlock()
	if len(c.held) > 0 {
		c.conn.SetWriteDeadline(clock.System().Now().Add(time.Second))
		c.flush() //nolint:errcheck // the connection is being closed
	}
}

// close is called when conn is closed. It stops the timer, and no other will be set.
func (c *combiner) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.flush() //nolint:errcheck // fails: the connection is closed
}
