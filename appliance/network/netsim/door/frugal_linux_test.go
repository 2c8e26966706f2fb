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

// Who waits for a peer's window learns that the connection was reset, also when nobody
// reads from it.
func TestAFrugalWriteEndsWithTheConnection(t *testing.T) {
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
	f, err := newFrugal(c.(*net.TCPConn))
	if err != nil {
		tooltest.SkipOrFail(t, "this kernel does not say what it has not sent: %v", err)
	}
	written := make(chan error)
	go func() {
		for {
			if _, err := f.Write(make([]byte, frugalBuffer)); err != nil {
				written <- err
				return
			}
		}
	}()
	// The window is closed once what waits does not change any more.
	for before, n := -1, 0; n == 0 || n != before; {
		before = n
		if n, err = f.(*frugal).unsent(); err != nil {
			t.Fatal(err)
		}
		clock.System().Sleep(t.Context(), 20*time.Millisecond)
	}
	abort(peer.(*net.TCPConn))
	if err := <-written; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write = %v", err)
	}
}
