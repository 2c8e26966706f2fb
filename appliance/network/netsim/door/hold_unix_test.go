//go:build unix

package door

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// While a listener is duplicated, its socket never blocks: an Accept that begins meanwhile could
// otherwise not be ended by Close.
func TestDuplicatingAListenerDoesNotMakeItBlock(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	done, blocked := make(chan struct{}), make(chan bool)
	go func() {
		seen := false
		for {
			select {
			case <-done:
				blocked <- seen
				return
			default:
			}
			raw.Control(func(fd uintptr) { //nolint:errcheck // the listener is open
				flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
				seen = seen || err != nil || flags&unix.O_NONBLOCK == 0
			})
		}
	}()
	for range 2000 {
		other, err := duplicate(l)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	if <-blocked {
		t.Error("the socket was blocking for a moment")
	}
}
