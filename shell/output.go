package shell

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// An outlet collects a session's output and sends it in one piece: when the session waits for
// an answer, when outletSize bytes have been collected, and flushDelay after the first of them
// at the latest. So each line of a ping is seen at once, and a table of fifty lines is still one
// packet.
type outputBuffer struct {
	w    io.Writer
	crlf bool // the client has a terminal: lines end in "\r\n"

	awaitLog   func()      // blocks until the log's file has the lines that the user has entered
	logPending atomic.Bool // awaitLog must be called before anything is sent

	timers sync.WaitGroup // set and not yet stopped or run; close waits for them

	mu      sync.Mutex
	buf     []byte
	pending bool        // a timer is set that will flush buf
	stop    func() bool // stops that timer; nil if none is set
	err     error       // of w
}

const (
	minBuffer   = 512 // room for the output of most commands
	maxBuffered = 16 << 10
	flushDelay  = 2 * time.Millisecond
)

// Write takes text whose lines end in "\n".
func (o *outputBuffer) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.crlf {
		return len(b), o.add(b)
	}
	for rest := b; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return len(b), o.add(rest)
		}
		if err := o.add(rest[:i]); err != nil {
			return 0, err
		}
		if err := o.add([]byte("\r\n")); err != nil {
			return 0, err
		}
		rest = rest[i+1:]
	}
}

// raw takes bytes that are sent unchanged.
func (o *outputBuffer) raw(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.add(b)
}

// Flush sends what has been collected.
func (o *outputBuffer) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flush()
}

// close flushes, stops the timer and waits for it if it has fired. Nothing must be written any
// more.
func (o *outputBuffer) close() {
	o.mu.Lock()
	o.flush() //nolint:errcheck // the session is over; err keeps it
	if o.pending && o.stop() {
		o.timers.Done()
	}
	o.mu.Unlock()
	o.timers.Wait()
}

// add collects b, and flushes if there is enough. o.mu is held.
func (o *outputBuffer) add(b []byte) error {
	if o.err != nil {
		return o.err
	}
	if o.buf == nil {
		o.buf = make([]byte, 0, minBuffer)
	}
	o.buf = append(o.buf, b...)
	if len(o.buf) >= maxBuffered {
		return o.flush()
	}
	if !o.pending && len(o.buf) > 0 {
		o.pending = true
		o.timers.Add(1)
		o.stop = clock.System().AfterFunc(flushDelay, func() {
			defer o.timers.Done()
			o.mu.Lock()
			defer o.mu.Unlock()
			o.flush()                                  //nolint:errcheck // err keeps it
			o.pending, o.stop, o.buf = false, nil, nil // an idle session keeps nothing
		})
	}
	return nil
}

// flush sends what has been collected. o.mu is held.
func (o *outputBuffer) flush() error {
	if len(o.buf) > 0 && o.err == nil {
		if o.logPending.Swap(false) {
			o.awaitLog()
		}
		_, o.err = o.w.Write(o.buf)
	}
	if o.buf = o.buf[:0]; cap(o.buf) > 2048 {
		o.buf = nil // until the timer runs, a session keeps little
	}
	return o.err
}
