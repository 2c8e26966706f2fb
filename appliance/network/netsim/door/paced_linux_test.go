package door

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

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
	// The window is closed once the amount of unsent data stays the same.
	for before, n := -1, 0; n == 0 || n != before; {
		before = n
		if n, err = f.(*pacedConn).unsent(); err != nil {
			t.Fatal(err)
		}
		clock.System().Sleep(t.Context(), 20*time.Millisecond)
	}
	abort(peer.(*net.TCPConn))
	if err := <-written; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write = %v", err)
	}
}
