package uplink

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/clock"
)

// A linkWatch tells when network interfaces of the machine change.
type linkWatch struct{ socket *os.File } // nil: the system does not tell

func newLinkWatch() *linkWatch {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return &linkWatch{}
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		unix.Close(fd)
		return &linkWatch{}
	}
	return &linkWatch{os.NewFile(uintptr(fd), "netlink")}
}

// wait blocks until an interface may have changed, at most for pollTime.
func (w *linkWatch) wait(ctx context.Context) {
	if w.socket == nil {
		_ = clock.System().Sleep(ctx, pollTime)
		return
	}
	defer context.AfterFunc(ctx, func() { _ = w.socket.SetReadDeadline(longAgo) })()
	_ = w.socket.SetReadDeadline(clock.System().Now().Add(pollTime))
	if ctx.Err() == nil {
		var message [4096]byte
		_, _ = w.socket.Read(message[:]) // the content does not matter
	}
}

func (w *linkWatch) close() {
	if w.socket != nil {
		w.socket.Close()
	}
}

// carrier returns an interface of the machine, or an error if it does not exist, is down, or has no
// carrier itself.
func carrier(name string) (*net.Interface, error) {
	n, err := net.InterfaceByName(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("there is no network interface %s", name)
	case n.Flags&net.FlagUp == 0:
		return nil, fmt.Errorf("the network interface %s is down", name)
	case n.Flags&net.FlagRunning == 0:
		return nil, fmt.Errorf("the network interface %s has no carrier", name)
	}
	return n, nil
}

// waitCarrier blocks until an interface has a carrier.
func waitCarrier(ctx context.Context, name string, waiting func(string)) (*net.Interface, error) {
	w := newLinkWatch()
	defer w.close()
	for ctx.Err() == nil {
		n, err := carrier(name)
		if err == nil {
			return n, nil
		}
		waiting(err.Error())
		w.wait(ctx)
	}
	return nil, ctx.Err()
}

// A carrierWatch calls a function when an interface loses its carrier.
type carrierWatch struct {
	running sync.WaitGroup
	cancel  context.CancelFunc
	splits  atomic.Int32 // the MTU, if the interface splits TCP data into segments itself; else 0
	mu      sync.Mutex
	err     error // why the carrier is lost
}

// watchCarrier calls lost, once, when n has no carrier any more, or is another interface.
func watchCarrier(n *net.Interface, lost func()) *carrierWatch {
	ctx, cancel := context.WithCancel(context.Background())
	c := &carrierWatch{cancel: cancel}
	w := newLinkWatch()
	c.look(n)
	c.running.Go(func() {
		defer w.close()
		for ctx.Err() == nil {
			now, err := carrier(n.Name)
			if err == nil && now.Index != n.Index {
				err = fmt.Errorf("the network interface %s is another one", n.Name)
			}
			if err != nil {
				c.mu.Lock()
				c.err = err
				c.mu.Unlock()
				lost()
				return
			}
			c.look(now)
			w.wait(ctx)
		}
	})
	return c
}

// look notes what the interface n does itself.
func (c *carrierWatch) look(n *net.Interface) {
	mtu := 0
	if segments(n.Name) {
		mtu = n.MTU
	}
	c.splits.Store(int32(mtu))
}

// segments reports whether a network interface splits TCP data into segments itself, as ethtool
// says.
func segments(name string) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	value := struct{ command, data uint32 }{command: unix.ETHTOOL_GTSO}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [24 - unsafe.Sizeof(uintptr(0))]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	return errno == 0 && value.data != 0
}

// reason returns why the carrier is lost, or else err.
func (c *carrierWatch) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return err
}

// stop waits for the watch. lost may be running.
func (c *carrierWatch) stop() {
	c.cancel()
	c.running.Wait()
}
