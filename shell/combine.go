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
type combiner struct {
	conn   net.Conn
	timers *clock.Group
	clock  clock.Clock // of timers

	handshake atomic.Bool // set until endHandshake is called

	mu       sync.Mutex // held while data is written to conn
	reading  bool       // the library reads; only used during the handshake
	holdNext bool
	held     []byte      // packets that have not been sent
	stop     func() bool // stops the timer that sends held; nil if there is none
	closed   bool
}

// libraryBuffer is the size of the buffer in which the library collects a packet. A Write of a full
// buffer is the beginning of a packet whose rest follows, unless the packet ends there.
const libraryBuffer = 4096

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
	case (c.holdNext || len(p) == libraryBuffer && len(c.held) == 0) && !c.closed:
		c.holdNext = false
		c.held = append(c.held, p...)
		c.stop = c.timers.AfterFunc(c.clock, flushDelay, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.flush() //nolint:errcheck // the next Write fails as well
		})
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
	c.held = nil
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
		return // a Write is in progress, and nothing is held meanwhile
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
