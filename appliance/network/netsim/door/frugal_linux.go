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

// How long a frugal connection waits before it looks again.
const (
	firstNap = 100 * time.Microsecond
	lastNap  = 20 * time.Millisecond
)

// newFrugal makes the system hold little of what is written to c. If it cannot, the
// connection that is returned is good all the same.
func newFrugal(c *net.TCPConn) (half, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return c, err
	}
	f := &frugal{c, raw}
	if _, err := f.unsent(); err != nil { // not every kernel, or what plays one, knows it
		return c, err
	}
	return f, nil
}

// A frugal connection writes when nothing of what was written waits to be sent. The size
// of a socket's buffer would be no bound: Linux adds what is written while the peer's
// window is closed to the packet that waits, until that has 64 KiB. Nor is there an event
// for it, so it looks again and again, ever less often. While the peer keeps up, nothing
// waits.
type frugal struct {
	*net.TCPConn
	raw syscall.RawConn
}

// Write implements net.Conn.
func (f *frugal) Write(b []byte) (int, error) {
	for nap := firstNap; ; nap = min(2*nap, lastNap) {
		unsent, err := f.unsent()
		if err != nil {
			return 0, err
		}
		if unsent == 0 {
			return f.TCPConn.Write(b) // which says why, if the connection is over
		}
		_ = clock.System().Sleep(context.Background(), nap) // which never ends
	}
}

// unsent is how much the system has not sent yet and will send.
func (f *frugal) unsent() (n int, err error) {
	failed := f.raw.Control(func(fd uintptr) {
		if n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQNSD); err != nil || n == 0 {
			return
		}
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil && info.State == unix.BPF_TCP_CLOSE {
			n = 0 // it was reset: the count stays as it was
		}
	})
	return n, errors.Join(failed, err)
}
