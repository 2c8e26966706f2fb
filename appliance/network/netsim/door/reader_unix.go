//go:build unix

package door

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// A borrowingReader reads from a real connection and holds a buffer only while there is data.
type borrowingReader struct {
	splicer *splicer
	raw     syscall.RawConn
	buf     *[busyBuffer]byte // borrowed from splicer, or nil
	n       int               // what the last attempt has read
	err     error
	tryRead func(fd uintptr) bool
}

// newReader returns a reader for src, or nil if src is not a real connection or the splicer's
// buffers are small.
func (s *splicer) newReader(src half) *borrowingReader {
	c, ok := src.(*net.TCPConn)
	if !ok || s.small {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	r := &borrowingReader{splicer: s, raw: raw}
	r.tryRead = r.attempt
	return r
}

// next waits for data and returns it. It is valid until release or next is called.
func (r *borrowingReader) next() ([]byte, error) {
	r.n, r.err = 0, nil
	if err := r.raw.Read(r.tryRead); err != nil {
		return nil, err
	}
	return r.buf[:r.n], r.err
}

// release returns the buffer.
func (r *borrowingReader) release() {
	if r.buf != nil {
		r.splicer.buffers.Put(r.buf)
		r.buf = nil
	}
}

// attempt reads from the socket once. It returns false, and holds no buffer, if there is nothing to
// read yet.
func (r *borrowingReader) attempt(fd uintptr) bool {
	if r.buf == nil {
		r.buf = r.splicer.buffer()
	}
	for {
		n, err := unix.Read(int(fd), r.buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			r.release()
			return false
		case err != nil:
			r.err = err
		case n == 0:
			r.err = io.EOF
		default:
			r.n = n
		}
		return true
	}
}
