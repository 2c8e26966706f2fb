//go:build unix

package netsim_test

import (
	"net"

	"golang.org/x/sys/unix"
)

// sendUrgent sends b as TCP urgent data.
func sendUrgent(c *net.TCPConn, b []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		failed = unix.Sendto(int(fd), b, unix.MSG_OOB, nil)
		return true
	})
	if err != nil {
		return err
	}
	return failed
}
