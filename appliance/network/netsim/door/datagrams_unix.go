//go:build unix

package door

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// receiveOutside waits for a datagram of the real host and returns it in a borrowed buffer. No
// buffer is borrowed while it waits.
func (f *flow) receiveOutside(s *flows) (buf *[maxDatagram]byte, n int, err error) {
	raw, err := f.outside.SyscallConn()
	if err != nil {
		return nil, 0, err
	}
	failed := raw.Read(func(fd uintptr) bool {
		b := s.buffer()
		if n, _, err = unix.Recvfrom(int(fd), b[:], 0); err == nil {
			buf = b
			return true
		}
		s.buffers.Put(b)
		n = 0
		return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
	})
	if failed != nil {
		return nil, 0, failed
	}
	return buf, n, err
}
