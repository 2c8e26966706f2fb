package door

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// canReserve reports whether a listener can stop listening and keep its address.
const canReserve = true

// errPortLost is the error of stopListening if the kernel has freed the port.
var errPortLost = errors.New("the kernel has freed the port")

// listen listens at a.
//
// If the kernel chose the port for the listener itself, it would free the port as soon as the
// listener stops listening. It keeps a port that the socket has asked for. Therefore another socket
// takes a free port first.
func listen(ctx context.Context, a netip.AddrPort) (*net.TCPListener, error) {
	if a.Port() != 0 || a.Addr().Zone() != "" {
		return listenTCP(ctx, a)
	}
	fd, port, err := bindFreePort(a.Addr())
	if err != nil {
		return nil, fmt.Errorf("take a free port of %v: %w", a.Addr(), err)
	}
	defer unix.Close(fd)
	return listenTCP(ctx, netip.AddrPortFrom(a.Addr(), port))
}

// bindFreePort returns a socket that has a free port of an address and does not listen. A listener
// can take the port too.
func bindFreePort(a netip.Addr) (fd int, port uint16, err error) {
	domain, at := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: a.As16()})
	switch {
	case a.IsUnspecified(): // package net listens on both families then
		at = &unix.SockaddrInet6{}
	case a.Is4():
		domain, at = unix.AF_INET, &unix.SockaddrInet4{Addr: a.As4()}
	}
	fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) && a.IsUnspecified() {
		domain, at = unix.AF_INET, &unix.SockaddrInet4{}
		fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return -1, 0, os.NewSyscallError("socket", err)
	}
	if domain == unix.AF_INET6 && a.IsUnspecified() {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, at))
	}
	if err == nil {
		port, err = boundPort(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	return fd, port, nil
}

// boundPort returns the port that a socket has; 0 if it has none.
func boundPort(fd int) (uint16, error) {
	at, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return uint16(at.Port), nil
	case *unix.SockaddrInet6:
		return uint16(at.Port), nil
	}
	return 0, fmt.Errorf("the address of the socket is a %T", at)
}

// stopListening makes the socket of l refuse clients: those that connect, and those that have
// connected and were not accepted. The socket keeps its address. No other program can take that, not
// even one that sets SO_REUSEADDR. All handles of the socket stop to listen.
func stopListening(l *net.TCPListener) error {
	return control(l, func(fd int) error {
		if err := unix.Shutdown(fd, unix.SHUT_RD); err != nil {
			return os.NewSyscallError("shutdown", err)
		}
		if port, err := boundPort(fd); err != nil || port == 0 {
			return errors.Join(err, errPortLost)
		}
		return os.NewSyscallError("setsockopt",
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0))
	})
}

// listenAgain undoes stopListening. If the socket listens, listenAgain does nothing.
func listenAgain(l *net.TCPListener) error {
	return control(l, func(fd int) error {
		// Established connections of the door have the same address.
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		// The kernel reduces the number to the limit of the machine, as package net does.
		return os.NewSyscallError("listen", unix.Listen(fd, math.MaxUint16))
	})
}

// control calls f with the descriptor of a listener.
func control(l *net.TCPListener, f func(fd int) error) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}
