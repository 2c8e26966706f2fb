package door

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/clock"
)

// How long a paced connection waits between two looks at the socket.
const (
	firstPoll = 100 * time.Microsecond
	lastPoll  = 20 * time.Millisecond
)

// newPaced returns c as a connection whose data does not accumulate in the machine. If an
// error is returned, the returned connection works, but without that bound.
func newPaced(c *net.TCPConn) (half, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return c, err
	}
	f := &pacedConn{c, raw}
	if _, err := f.unsent(); err != nil { // some kernels, and emulations of Linux, lack it
		return c, err
	}
	return f, nil
}

// A pacedConn writes only while no earlier data waits to be sent. A small send buffer would
// be no bound: while the peer's window is closed, Linux appends written data to the waiting
// packet until that has 64 KiB. There is no event for "nothing unsent", so Write polls, at
// growing intervals. As long as the peer keeps up, it does not wait.
//
// Data that has been sent is not counted, even before it is acknowledged: waiting for
// acknowledgements, which a receiver may delay, made a connection thirty times slower.
type pacedConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

// Write implements net.Conn.
func (f *pacedConn) Write(b []byte) (int, error) {
	for wait := firstPoll; ; wait = min(2*wait, lastPoll) {
		unsent, err := f.unsent()
		if err != nil {
			return 0, err
		}
		if unsent == 0 {
			return f.TCPConn.Write(b) // if the connection has ended, its error says why
		}
		_ = clock.System().Sleep(context.Background(), wait) // never interrupted
	}
}

// unsent returns the number of bytes that the kernel has not sent yet but will send.
func (f *pacedConn) unsent() (n int, err error) {
	failed := f.raw.Control(func(fd uintptr) {
		if n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQNSD); err != nil || n == 0 {
			return
		}
		var info *unix.TCPInfo
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.State == unix.BPF_TCP_CLOSE {
			n = 0 // after a reset the kernel no longer updates the count
		}
	})
	return n, errors.Join(failed, err)
}
