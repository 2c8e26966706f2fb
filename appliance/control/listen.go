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

// maxSocketPath is the greatest length of a Unix socket's path on this system, in bytes.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// ListenUnix listens on a Unix socket that only this user may connect to. It replaces a socket
// whose process has ended.
func ListenUnix(path string) (net.Listener, error) {
	if n := len(path); n > maxSocketPath {
		return nil, fmt.Errorf(
			"the path of a socket may have %d bytes, but %s has %d: choose a shorter directory",
			maxSocketPath, path, n)
	}
	switch fi, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("look for an old socket: %w", err)
	case fi.Mode()&(fs.ModeSocket|fs.ModeIrregular) == 0: // Windows reports a socket as irregular
		return nil, fmt.Errorf("%s exists but is not a socket: remove it, or choose another directory", path)
	default:
		if c, err := net.Dial("unix", path); err == nil { //nolint:forbidigo // the machine's own socket
			c.Close()
			return nil, fmt.Errorf("another process listens on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the socket of a process that has ended: %w", err)
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

// ListenTCP listens on a loopback address, to which no other machine can connect. Port 0 takes
// a free port. Other addresses are an error.
func ListenTCP(addr netip.AddrPort) (net.Listener, error) {
	if !addr.Addr().IsLoopback() {
		return nil, fmt.Errorf(
			"other machines can connect to %v: expected a loopback address, such as 127.0.0.1:4000",
			addr.Addr())
	}
	l, err := net.Listen("tcp", addr.String()) //nolint:forbidigo // the machine's own socket
	if err != nil {
		return nil, fmt.Errorf("open the control port: %w", err)
	}
	return l, nil
}
