//go:build unix

package door

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// A pull copies from the service's side of a splice to the real client without a goroutine that
// waits for the service. The goroutine that delivers the service's data in the simulated network
// also writes it to the real socket. Only while that is full or there is much data, the pull has
// a goroutine of its own.
type pull struct {
	splicer *splicer
	splice  *splice
	src     watchable
	dst     *net.TCPConn
	raw     syscall.RawConn
	state   atomic.Int32 // one of the pull... constants
	done    chan struct{}
	writers sync.WaitGroup

	// Used by the goroutine that has set pullBusy.
	out      []byte // what attempt has to write
	outLen   int    // what it has written
	outErr   error
	tryWrite func(fd uintptr) bool
}

// A watchable is a simulated connection that needs no goroutine that waits for data.
type watchable interface {
	half
	vnet.Watchable
}

// maxPull is the number of bytes from which on data is left to a goroutine. On the goroutine that
// has delivered it, it would keep other frames waiting.
const maxPull = 8 << 10

// States of a pull.
const (
	pullIdle  = iota
	pullBusy  // a goroutine copies
	pullAgain // likewise; more data may have arrived since it looked
	pullEnded
)

// newPull returns a pull for the data from p.b to p.a. It returns nil if that data must be
// changed or paced, or the service's side is not vnet.Watchable.
func (s *splicer) newPull(p *splice, change filter) *pull {
	src, ok := p.b.(watchable)
	dst, real := p.a.(*net.TCPConn)
	if !ok || !real || change != nil || s.small {
		return nil
	}
	raw, err := dst.SyscallConn()
	if err != nil {
		return nil
	}
	x := &pull{
		splicer: s, splice: p, src: src, dst: dst, raw: raw, done: make(chan struct{}),
	}
	x.tryWrite = x.attempt
	return x
}

func (x *pull) start() { x.src.Watch(x.wake) }

// wait blocks until the service's side has ended and all its data has been written.
func (x *pull) wait() {
	<-x.done
	x.writers.Wait()
}

// wake copies what has arrived, unless another goroutine does.
func (x *pull) wake() {
	for {
		switch state := x.state.Load(); state {
		case pullIdle:
			if x.state.CompareAndSwap(pullIdle, pullBusy) {
				x.copy(x.splicer.buffer())
				return
			}
		case pullBusy:
			if x.state.CompareAndSwap(pullBusy, pullAgain) {
				return
			}
		default:
			return
		}
	}
}

// copy copies until there is no more data. The caller has set pullBusy. If there is much data or
// the real socket is full, copy continues on a goroutine.
func (x *pull) copy(buf *[busyBuffer]byte) {
	for {
		n, err := x.src.TryRead(buf[:])
		if n > maxPull {
			x.writers.Go(func() { x.stream(buf, buf[:n]) })
			return
		}
		if err == nil {
			var k int
			if k, err = x.write(buf[:n]); err == nil && k < n {
				x.writers.Go(func() { x.stream(buf, buf[k:n]) })
				return
			}
		}
		if err != nil && !x.again(err) {
			x.splicer.buffers.Put(buf)
			return
		}
	}
}

// stream writes out, which is in buf, and continues like copy, but waits for the real socket,
// and for more data until little arrives at a time.
func (x *pull) stream(buf *[busyBuffer]byte, out []byte) {
	for {
		n := len(out)
		_, err := x.dst.Write(out)
		switch {
		case err != nil:
		case n > maxPull:
			n, err = x.src.Read(buf[:])
		default:
			n, err = x.src.TryRead(buf[:])
		}
		out = buf[:n]
		if err != nil {
			if !x.again(err) {
				x.splicer.buffers.Put(buf)
				return
			}
			out = nil
		}
	}
}

// again handles the error of reading or writing. It reports whether the caller must try again.
func (x *pull) again(err error) bool {
	if errors.Is(err, vnet.ErrWouldBlock) {
		if x.state.CompareAndSwap(pullBusy, pullIdle) {
			return false
		}
		x.state.Store(pullBusy)
		return true
	}
	x.finish(err)
	x.state.Store(pullEnded)
	x.splice.setServiceDone()
	close(x.done)
	return false
}

// finish passes the end of the service's side on.
func (x *pull) finish(err error) {
	if err == io.EOF {
		if err = x.dst.CloseWrite(); err == nil || errors.Is(err, net.ErrClosed) {
			return
		}
	}
	x.splice.abort()
}

// write writes what the real socket takes of b.
func (x *pull) write(b []byte) (int, error) {
	x.out, x.outLen, x.outErr = b, 0, nil
	err := x.raw.Write(x.tryWrite)
	x.out = nil
	if err == nil {
		err = x.outErr
	}
	return x.outLen, err
}

// attempt writes to the socket once.
func (x *pull) attempt(fd uintptr) bool {
	for {
		n, err := unix.Write(int(fd), x.out)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
		case err != nil:
			x.outErr = err
		default:
			x.outLen = n
		}
		return true
	}
}
