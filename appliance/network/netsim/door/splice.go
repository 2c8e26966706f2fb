package door

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

const (
	idleBuffer  = 2 << 10
	busyBuffer  = 128 << 10 // the window of a simulated host: whatever can have arrived
	smallBuffer = 2 << 10
)

// A half is one of the two connections of a splice: a real or a simulated one.
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

// A splicer copies between connections. The zero value is ready to use.
type splicer struct {
	small   bool      // buffers have smallBuffer bytes, so that little data is in flight
	buffers sync.Pool // of *[busyBuffer]byte
}

// size returns the size of the buffer that each direction owns.
func (s *splicer) size() int {
	if s.small {
		return smallBuffer
	}
	return idleBuffer
}

// buffer returns a large buffer. The caller returns it to s.buffers.
func (s *splicer) buffer() *[busyBuffer]byte {
	if b, _ := s.buffers.Get().(*[busyBuffer]byte); b != nil {
		return b
	}
	return new([busyBuffer]byte)
}

// A splice is a pair of connections between which bytes are copied. b is the service's side.
type splice struct {
	a, b half
	cut  sync.Once

	serviceDone atomic.Bool // b has reached its end, and all its data has been written to a
	closing     atomic.Bool // close the splice once serviceDone is set

	onServiceDone func(*splice) // called when serviceDone has been set; may be nil
	stopTimer     func() bool   // of a splice that lingers; guarded by Front.mu
}

// closeWhenDone closes the splice once all data of b has been written to a.
func (p *splice) closeWhenDone() {
	p.closing.Store(true)
	if p.serviceDone.Load() {
		p.close()
	}
}

// setServiceDone records that all data of b has been written to a.
func (p *splice) setServiceDone() {
	p.serviceDone.Store(true)
	if p.closing.Load() {
		p.close()
	}
	if p.onServiceDone != nil {
		p.onServiceDone(p)
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

// run copies both ways until both sides are done. A reset on one side resets the other. The
// filters, which may be nil, are applied to the data from a and from b.
func (s *splicer) run(p *splice, fromA, fromB filter) {
	if x := s.newPull(p, fromB); x != nil {
		defer p.close()
		defer x.wait()
		x.start()
		s.copy(p, p.b, p.a, fromA)
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.copy(p, p.a, p.b, fromB)
		p.setServiceDone()
	}()
	s.copy(p, p.b, p.a, fromA)
	<-done
	p.close()
}

// A filter changes a stream. It returns the bytes to send in place of chunk. It must not
// retain chunk. At the end of the stream it is called with nil.
type filter func(chunk []byte) []byte

// copy copies src to dst until the end of src, and then closes that direction.
func (s *splicer) copy(p *splice, dst, src half, change filter) {
	if r := s.newReader(src); r != nil {
		for done := false; !done; r.release() {
			out, err := r.next()
			done = pass(p, dst, out, err, change)
		}
		return
	}
	s.copyOwning(p, dst, src, change)
}

// copyOwning is copy with a buffer of its own. While there is much data it borrows a larger one.
func (s *splicer) copyOwning(p *splice, dst, src half, change filter) {
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
		switch {
		case pass(p, dst, buf[:n], err, change):
			return
		case n == len(small) && big == nil && !s.small:
			big = s.buffer()
			buf = big[:]
		case n < len(small) && big != nil:
			s.buffers.Put(big)
			big, buf = nil, small
		}
	}
}

// pass writes out to dst and handles err, which came with it from the other side. It reports whether
// this direction has ended.
func pass(p *splice, dst half, out []byte, err error, change filter) (ended bool) {
	if change != nil {
		if len(out) > 0 {
			out = change(out)
		}
		if err == io.EOF {
			out = append(out, change(nil)...)
		}
	}
	if len(out) > 0 {
		if _, err := dst.Write(out); err != nil {
			p.abort()
			return true
		}
	}
	switch {
	case err == io.EOF:
		if err := dst.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) {
			p.abort()
		}
	case err != nil:
		p.abort()
	}
	return err != nil
}
