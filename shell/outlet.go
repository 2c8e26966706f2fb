package shell

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// An outlet gathers what a session says and sends it in one go: when an answer is
// awaited, when much has gathered, and at the latest after a moment, so that what a
// ping prints is seen at once and a table of fifty lines is still one packet.
type outlet struct {
	w    io.Writer
	crlf bool // lines end in "\r\n": there is a terminal

	mu    sync.Mutex
	buf   []byte
	armed bool // the moment is running
	err   error
}

const (
	outletSize = 16 << 10
	moment     = 2 * time.Millisecond
)

// Write takes text whose lines end in "\n".
func (o *outlet) Write(b []byte) (int, error) {
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

// raw takes bytes as they are to be sent.
func (o *outlet) raw(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.add(b)
}

// Flush sends what has gathered.
func (o *outlet) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flush()
}

func (o *outlet) add(b []byte) error {
	if o.err != nil {
		return o.err
	}
	o.buf = append(o.buf, b...)
	if len(o.buf) >= outletSize {
		return o.flush()
	}
	if !o.armed && len(o.buf) > 0 {
		o.armed = true
		clock.System().AfterFunc(moment, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.armed = false
			o.flush()
		})
	}
	return nil
}

func (o *outlet) flush() error {
	if len(o.buf) > 0 && o.err == nil {
		_, o.err = o.w.Write(o.buf)
	}
	if o.buf = o.buf[:0]; cap(o.buf) > 2048 {
		o.buf = nil // an idle session keeps little
	}
	return o.err
}
