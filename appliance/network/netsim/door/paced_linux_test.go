package door

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/tooltest"
)

// A write that waits for the peer's window ends when the connection is reset, even if nothing
// reads from the connection.
func TestWaitingWriteEndsWhenTheConnectionIsReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := newPaced(c.(*net.TCPConn))
	if err != nil {
		tooltest.SkipOrFail(t, "this kernel does not report unsent data: %v", err)
	}
	written := make(chan error)
	go func() {
		for {
			if _, err := f.Write(make([]byte, smallBuffer)); err != nil {
				written <- err
				return
			}
		}
	}()
	// The connection is stuck once the amount of data in flight stays the same.
	for before, n := -1, 0; n == 0 || n != before; {
		before = n
		n = unacknowledged(t, f.(*pacedConn))
		clock.System().Sleep(t.Context(), 20*time.Millisecond)
	}
	abort(peer.(*net.TCPConn))
	if err := <-written; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write = %v", err)
	}
}

// A receiver with a full buffer drops segments that fit the window which it has announced.
// Little of that waits in the machine.
func TestDataThatTheReceiverDropsIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := newPaced(c.(*net.TCPConn))
	if err != nil {
		tooltest.SkipOrFail(t, "this kernel does not report unacknowledged data: %v", err)
	}
	var writer sync.WaitGroup
	defer writer.Wait()
	defer c.Close()
	defer abort(peer.(*net.TCPConn))
	writer.Go(func() {
		for {
			if _, err := f.Write(make([]byte, smallBuffer)); err != nil {
				return
			}
		}
	})
	most := 0
	for before, n := -1, 0; n == 0 || n != before; {
		before = n
		n = unacknowledged(t, f.(*pacedConn))
		most = max(most, n)
		clock.System().Sleep(t.Context(), 20*time.Millisecond)
	}
	if most > maxUnacknowledged+smallBuffer {
		t.Errorf("%d bytes were unacknowledged, want at most %d", most, maxUnacknowledged+smallBuffer)
	}
}

// unacknowledged returns the number of bytes in the send buffer of a connection.
func unacknowledged(t *testing.T, f *pacedConn) (n int) {
	t.Helper()
	var err error
	failed := f.raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err := errors.Join(failed, err); err != nil {
		t.Fatal(err)
	}
	return n
}
