//go:build unix

package door

import (
	"net"

	"golang.org/x/sys/unix"
)

// inlineUrgent leaves urgent data where it was sent: a client that aborts an FTP
// transfer sends part of its ABOR urgently, and a simulated connection has no
// urgent data.
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
