package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// longestSocket is how long the path of a Unix socket may be on this system.
const longestSocket = len(syscall.RawSockaddrUnix{}.Path) - 1

// ListenUnix listens on a Unix socket that only this user may connect to. One that a dead
// process has left behind is replaced.
func ListenUnix(path string) (net.Listener, error) {
	if n := len(path); n > longestSocket {
		return nil, fmt.Errorf("the path of a socket may have %d bytes, but %s has %d: choose a shorter directory", longestSocket, path, n)
	}
	switch fi, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("look for an old socket: %w", err)
	case fi.Mode()&(fs.ModeSocket|fs.ModeIrregular) == 0: // irregular is what Windows says
		return nil, fmt.Errorf("%s is in the way: expected a socket, or nothing", path)
	default:
		if c, err := net.Dial("unix", path); err == nil { //nolint:forbidigo // the machine's own socket
			c.Close()
			return nil, fmt.Errorf("another process listens on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the socket of a dead process: %w", err)
		}
	}
	l, err := net.Listen("unix", path) //nolint:forbidigo // the machine's own socket
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("protect the control socket: %w", err)
	}
	return l, nil
}

// ListenTCP listens on a port of the loopback interface; 0 is any. Other addresses are
// refused.
func ListenTCP(addr netip.AddrPort) (net.Listener, error) {
	if !addr.Addr().IsLoopback() {
		return nil, fmt.Errorf("%v can be reached by others: control listens on loopback addresses only, such as 127.0.0.1:4000", addr.Addr())
	}
	l, err := net.Listen("tcp", addr.String()) //nolint:forbidigo // the machine's own socket
	if err != nil {
		return nil, fmt.Errorf("open the control port: %w", err)
	}
	return l, nil
}
