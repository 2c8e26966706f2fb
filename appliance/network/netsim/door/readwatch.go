package door

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// When a readWatch looks at the server's socket: after so many bytes, and some time after the last
// bytes, at growing intervals.
const (
	lookBytes = 32 << 10
	firstLook = 20 * time.Millisecond
	lastLook  = time.Second
)

// A readWatch follows how much of what the door has sent the process of a real server has read. It
// can do so if the server runs on this machine, in the same network namespace.
type readWatch struct {
	conn   *net.TCPConn
	timers clock.Group

	mu       sync.Mutex
	sent     int64 // bytes written to conn
	lookedAt int64 // sent, at the last look
	read     int64 // bytes that the process has read at least
	known    bool  // the server's socket can be looked at
	ended    bool
	wait     time.Duration // of the timer
	stop     func() bool   // stops the timer; nil: none is set
}

func newReadWatch(c *net.TCPConn) *readWatch {
	w := &readWatch{conn: c}
	_, err := unreadByPeer(c)
	w.known = err == nil
	return w
}

// wrote records that n further bytes have been written.
func (w *readWatch) wrote(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent += int64(n)
	if !w.known || w.ended {
		return
	}
	if w.sent-w.lookedAt >= lookBytes {
		w.look()
	}
	if w.wait = firstLook; w.stop == nil {
		w.setTimer()
	}
}

// setTimer sets the timer of the next look. mu must be held.
func (w *readWatch) setTimer() {
	w.stop = w.timers.AfterFunc(clock.System(), w.wait, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.stop = nil
		if w.ended {
			return
		}
		w.look()
		if w.read < w.sent {
			w.wait = min(2*w.wait, lastLook)
			w.setTimer()
		}
	})
}

// look updates read. The order matters: what is acknowledged before the server's queue is read is
// either in that queue or has been read. mu must be held.
func (w *readWatch) look() {
	w.lookedAt = w.sent
	unacknowledged, err := unacknowledged(w.conn)
	if err != nil {
		return
	}
	unread, err := unreadByPeer(w.conn)
	if err != nil { // the server has closed its socket
		return
	}
	w.read = max(w.read, w.sent-int64(unacknowledged)-int64(unread))
}

// end stops the timer and waits for it. Nothing must be written any more.
func (w *readWatch) end() {
	w.mu.Lock()
	w.ended = true
	if w.stop != nil {
		w.stop()
	}
	w.mu.Unlock()
	w.timers.Wait()
}

// count returns how many bytes the server's process has read at least; ok is false if that is not
// known.
func (w *readWatch) count() (n int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.read, w.known
}

// A watchedConn is a connection to a real server that has a readWatch.
type watchedConn struct {
	half
	watch *readWatch
}

// Write implements net.Conn.
func (c *watchedConn) Write(b []byte) (int, error) {
	n, err := c.half.Write(b)
	c.watch.wrote(n)
	return n, err
}

// A connKey identifies a connection of the appliance by its simulated addresses.
type connKey struct{ from, to netip.AddrPort }

// maxEnded is how many connections a readWatches remembers that have ended.
const maxEnded = 64

// readWatches are the readWatches of the connections that are open, and of those that have ended
// last. The zero value is empty.
type readWatches struct {
	mu    sync.Mutex
	list  map[connKey]*readWatch
	ended []endedConn // of list, the oldest first
}

type endedConn struct {
	key   connKey
	watch *readWatch
}

func (l *readWatches) add(k connKey, w *readWatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list == nil {
		l.list = map[connKey]*readWatch{}
	}
	l.list[k] = w
}

// end marks a connection as ended.
func (l *readWatches) end(k connKey, w *readWatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = append(l.ended, endedConn{k, w})
	if len(l.ended) > maxEnded {
		oldest := l.ended[0]
		l.ended = l.ended[1:]
		if l.list[oldest.key] == oldest.watch { // and not a later connection of these addresses
			delete(l.list, oldest.key)
		}
	}
}

func (l *readWatches) get(k connKey) *readWatch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list[k]
}
