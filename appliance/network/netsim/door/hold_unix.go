//go:build unix

package door

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// duplicate returns another handle of a listener.
//
// net.TCPListener.File would make the socket, which both handles share, blocking for a moment. An
// Accept that begins in that moment does not return before the next client comes, not even when the
// listener is closed.
func duplicate(l *net.TCPListener) (*net.TCPListener, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	err = raw.Control(func(own uintptr) {
		fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	other, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	return other.(*net.TCPListener), nil
}
