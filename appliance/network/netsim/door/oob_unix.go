//go:build unix

package door

import (
	"net"

	"golang.org/x/sys/unix"
)

// inlineUrgent keeps urgent data in the stream. A client that aborts an FTP transfer sends
// part of its ABOR as urgent data, and a simulated connection has no urgent data.
func inlineUrgent(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
