package door

import (
	"net"

	"golang.org/x/sys/windows"
)

// soOOBInline is Winsock's SO_OOBINLINE.
const soOOBInline = 0x0100

// inlineUrgent keeps urgent data in the stream. A client that aborts an FTP transfer sends
// part of its ABOR as urgent data, and a simulated connection has no urgent data.
func inlineUrgent(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, soOOBInline, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
