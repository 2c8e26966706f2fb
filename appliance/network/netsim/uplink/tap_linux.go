package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// A tap opens links over a TAP device, which exists as long as the tap unless somebody has made it
// persistent: outside it may have addresses, or be in a bridge.
type tap struct {
	name string
	file *os.File // nil: not open yet
}

func newTAP(name string) (opener, error) { return &tap{name: name}, nil }

func (t *tap) open(ctx context.Context, waiting func(string)) (link, error) {
	if _, err := net.InterfaceByName(t.name); err != nil && t.file != nil {
		t.forget() // it has been removed
	}
	if t.file == nil {
		if err := t.create(); err != nil {
			return nil, &fatalError{err}
		}
	}
	n, err := waitCarrier(ctx, t.name, waiting)
	if err != nil {
		return nil, err
	}
	_ = t.file.SetDeadline(time.Time{})
	l := &tapLink{file: t.file}
	if l.conn, err = t.file.SyscallConn(); err != nil {
		return nil, err
	}
	for range batchSize {
		l.buffers = append(l.buffers, make([]byte, maxFrame+1))
	}
	l.watch = watchCarrier(n, l.interrupt)
	return l, nil
}

// create creates the device or opens one that exists.
func (t *tap) create() error {
	const device = "/dev/net/tun"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: device, Err: err}
	}
	request, err := unix.NewIfreq(t.name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	switch {
	case err == nil:
		t.file = os.NewFile(uintptr(fd), device) // only now: the poller needs the device
		return nil
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("%w: esasim may not create the device: give it CAP_NET_ADMIN, or create"+
			" the device for its user with ip tuntap add dev %s mode tap user NAME", err, t.name)
	case errors.Is(err, unix.EBUSY):
		err = fmt.Errorf("%w: another program uses the device %s, or it is not a TAP device", err, t.name)
	}
	unix.Close(fd)
	return err
}

func (t *tap) close() {
	if t.file != nil {
		t.file.Close()
	}
}

type tapLink struct {
	file    *os.File
	conn    syscall.RawConn
	watch   *carrierWatch
	buffers [][]byte
	frames  []frame
}

// interrupt makes receive and send return. The device stays open.
func (l *tapLink) interrupt() { _ = l.file.SetDeadline(longAgo) }

func (l *tapLink) receive() ([]frame, error) {
	l.frames = l.frames[:0]
	var err error
	waitErr := l.conn.Read(func(fd uintptr) bool {
		for _, b := range l.buffers {
			var n int
			n, err = unix.Read(int(fd), b)
			if err == unix.EAGAIN { //nolint:errorlint // a system call returns it bare
				err = nil
				return len(l.frames) > 0
			}
			if err != nil {
				return true
			}
			l.frames = append(l.frames, frame{bytes: b[:n]})
		}
		return true
	})
	if err == nil {
		err = waitErr
	}
	if len(l.frames) > 0 {
		return l.frames, nil // an error comes again
	}
	return nil, l.watch.reason(err)
}

// forget closes the device, so that it is created again.
func (t *tap) forget() {
	t.file.Close()
	t.file = nil
}

// send drops what the device cannot take, for example because it is longer than its MTU.
func (l *tapLink) send(frames []frame) error {
	for _, f := range frames {
		if _, err := l.file.Write(f.bytes); errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
			return l.watch.reason(err)
		}
	}
	return nil
}

func (l *tapLink) close() {
	l.interrupt()
	l.watch.stop()
}
