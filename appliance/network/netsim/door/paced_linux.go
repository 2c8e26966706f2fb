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
	firstPoll = 10 * time.Microsecond
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
	if _, err := f.mayWrite(); err != nil { // some kernels, and emulations of Linux, lack it
		return c, err
	}
	return f, nil
}

// A pacedConn writes only while the peer has acknowledged all earlier data except for
// maxUnacknowledged bytes, or for as much as a longer path holds anyway.
//
// A small send buffer would be no bound: while the peer's window is closed, Linux appends
// written data to the waiting packet until that has 64 KiB. Nor is it sufficient that all data
// has been sent: a receiver whose buffer is full drops segments that fit its window. There is
// no event for "nothing unacknowledged", so Write polls, at growing intervals. As long as the
// peer keeps up, it does not wait.
type pacedConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

// maxUnacknowledged is the number of bytes that may be unacknowledged when the next are
// written. With three writes in flight the peer does not delay its acknowledgement.
const maxUnacknowledged = 2 * smallBuffer

// Write implements net.Conn.
func (f *pacedConn) Write(b []byte) (int, error) {
	for wait := firstPoll; ; wait = min(2*wait, lastPoll) {
		ok, err := f.mayWrite()
		if err != nil {
			return 0, err
		}
		if ok {
			return f.TCPConn.Write(b) // if the connection has ended, its error says why
		}
		pause(wait)
	}
}

// pause waits for d. An idle Go process rounds timers up to a millisecond, which would slow a
// fast peer, so that shorter times are left to the operating system.
func pause(d time.Duration) {
	if d >= time.Millisecond {
		_ = clock.System().Sleep(context.Background(), d) // never interrupted
		return
	}
	short := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&short, nil) // a signal may end it early
}

// mayWrite reports whether little enough data is in flight, or the connection has ended.
func (f *pacedConn) mayWrite() (ok bool, err error) {
	failed := f.raw.Control(func(fd uintptr) { ok, err = mayWrite(int(fd)) })
	return ok, errors.Join(failed, err)
}

func mayWrite(fd int) (bool, error) {
	unacknowledged, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil || unacknowledged <= maxUnacknowledged {
		return err == nil, err
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return false, err
	}
	// After a reset the kernel no longer updates the count.
	if info.State == unix.BPF_TCP_CLOSE {
		return true, nil
	}
	// A path whose round trip takes milliseconds holds more, or it would slow the connection.
	onPath := maxUnacknowledged * int(info.Min_rtt/1000)
	return info.Notsent_bytes == 0 && unacknowledged <= onPath, nil
}
