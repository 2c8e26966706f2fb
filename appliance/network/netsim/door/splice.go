package door

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

const (
	idleBuffer   = 2 << 10
	busyBuffer   = 64 << 10
	frugalBuffer = 4 << 10
)

// A half is what both kinds of connections offer.
type half interface {
	net.Conn
	CloseWrite() error
	SetLinger(sec int) error
}

// abort closes c with a reset.
func abort(c half) {
	_ = c.SetLinger(0) // fails on a closed connection
	c.Close()
}

// A splicer copies between connections. Its zero value is usable.
type splicer struct {
	frugal  bool      // it keeps to frugalBuffer, so that little is on its way
	buffers sync.Pool // of *[busyBuffer]byte
}

// size is that of the buffer that each direction has for itself.
func (s *splicer) size() int {
	if s.frugal {
		return frugalBuffer
	}
	return idleBuffer
}

// A splice is a pair of connections that are one. b is the service's side.
type splice struct {
	a, b half
	cut  sync.Once

	said  atomic.Bool // b has no more to say, and a was told
	hurry atomic.Bool // the splice ends when that is so
}

// farewell ends the splice as soon as b has said all.
func (p *splice) farewell() {
	p.hurry.Store(true)
	if p.said.Load() {
		p.close()
	}
}

// allSaid takes note that b has.
func (p *splice) allSaid() {
	p.said.Store(true)
	if p.hurry.Load() {
		p.close()
	}
}

func (p *splice) close() {
	p.cut.Do(func() {
		p.a.Close()
		p.b.Close()
	})
}

// abort resets both connections.
func (p *splice) abort() {
	p.cut.Do(func() {
		abort(p.a)
		abort(p.b)
	})
}

// run copies both ways until both are done; a reset on one side resets the other.
// The filters, which may be nil, see what comes from a and from b.
func (s *splicer) run(p *splice, fromA, fromB filter) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.copy(p, p.a, p.b, fromB)
		p.allSaid()
	}()
	s.copy(p, p.b, p.a, fromA)
	<-done
	p.close()
}

// A filter changes a stream. It returns what is to be sent for chunk, which it
// may keep no part of; at the end of the stream it is called with nil.
type filter func(chunk []byte) []byte

// copy brings all of src to dst and then closes that direction.
func (s *splicer) copy(p *splice, dst, src half, change filter) {
	small := make([]byte, s.size())
	buf := small
	var big *[busyBuffer]byte
	defer func() {
		if big != nil {
			s.buffers.Put(big)
		}
	}()
	for {
		n, err := src.Read(buf)
		out := buf[:n]
		if change != nil {
			if n > 0 {
				out = change(out)
			}
			if err == io.EOF {
				out = append(out, change(nil)...)
			}
		}
		if len(out) > 0 {
			if _, err := dst.Write(out); err != nil {
				p.abort()
				return
			}
		}
		switch {
		case err == io.EOF:
			if err := dst.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) {
				p.abort()
			}
			return
		case err != nil:
			p.abort()
			return
		case n == len(small) && big == nil && !s.frugal:
			if big, _ = s.buffers.Get().(*[busyBuffer]byte); big == nil {
				big = new([busyBuffer]byte)
			}
			buf = big[:]
		case n < len(small) && big != nil:
			s.buffers.Put(big)
			big, buf = nil, small
		}
	}
}
