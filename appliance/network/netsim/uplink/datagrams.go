package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/esasim/esasim/appliance/clock"
)

// datagrams opens links over two datagram sockets. Each frame is a datagram, as in QEMU's -netdev
// dgram.
type datagrams struct{ local, remote string }

// open keeps its socket while it waits for the other end, which waits for this one.
func (d *datagrams) open(ctx context.Context, waiting func(string)) (link, error) {
	removeStale("unixgram", d.local)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: d.local, Net: "unixgram"})
	if err != nil {
		return nil, &fatalError{err}
	}
	l := &datagramLink{
		conn: conn, local: d.local, remote: &net.UnixAddr{Name: d.remote, Net: "unixgram"},
		buffer: make([]byte, maxStreamFrame),
	}
	for {
		err := l.check()
		if err == nil {
			return l, nil
		}
		if fatal := (*fatalError)(nil); !errors.As(err, &fatal) {
			waiting(err.Error())
			err = clock.System().Sleep(ctx, retryTime)
		}
		if err != nil {
			l.close()
			return nil, err
		}
	}
}

func (d *datagrams) close() {}

type datagramLink struct {
	conn   *net.UnixConn
	local  string
	remote *net.UnixAddr
	buffer []byte
}

// check returns an error if the other end is not there.
func (l *datagramLink) check() error {
	c, err := net.DialUnix("unixgram", nil, l.remote)
	if isAbsent(err) {
		return fmt.Errorf("nobody has the socket %s", l.remote)
	}
	if err != nil {
		return &fatalError{err}
	}
	return c.Close()
}

func (l *datagramLink) receive() ([]frame, error) {
	for {
		_ = l.conn.SetReadDeadline(clock.System().Now().Add(pollTime))
		n, _, err := l.conn.ReadFromUnix(l.buffer)
		switch {
		case err == nil:
			return []frame{{bytes: l.buffer[:n]}}, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		}
		if err := l.check(); err != nil {
			return nil, err
		}
	}
}

func (l *datagramLink) send(frames []frame) error {
	for _, f := range frames {
		if _, err := l.conn.WriteToUnix(f.bytes, l.remote); err != nil {
			return err
		}
	}
	return nil
}

func (l *datagramLink) close() {
	if l.conn.Close() == nil {
		_ = os.Remove(l.local)
	}
}
