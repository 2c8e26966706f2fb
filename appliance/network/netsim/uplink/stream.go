package uplink

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A stream opens links over a stream socket. Each frame follows its length, four bytes in network
// order, as in QEMU's -netdev stream.
type stream struct {
	path, server string
	listener     *net.UnixListener // nil: this end has not been the one that listens
	file         os.FileInfo       // of the listener's socket
}

const (
	lengthLen = 4
	// streamBuffer is more than any frame, and so than one read.
	streamBuffer = 256 << 10
	// maxStreamFrame is the longest frame that QEMU sends. A greater length is not one.
	maxStreamFrame = 4096 + 65536
	// batchSize is the number of frames that are read at once.
	batchSize = 64
	// pollTime is the time after which an end that waits looks at its socket again.
	pollTime = time.Second
)

func (s *stream) open(ctx context.Context, waiting func(string)) (link, error) {
	for {
		if s.listener == nil && s.server != "on" {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", s.path)
			switch {
			case err == nil:
				return newStreamLink(conn.(*net.UnixConn), nil), nil
			case !isAbsent(err):
				return nil, &fatalError{err}
			case s.server == "off":
				return nil, fmt.Errorf("nobody listens at %s", s.path)
			}
		}
		if err := s.listen(); err != nil {
			return nil, err
		}
		waiting("nobody has connected to " + s.path)
		conn, err := s.accept(ctx)
		if err != nil {
			return nil, err
		}
		if conn != nil {
			return newStreamLink(conn, s.listener), nil
		}
	}
}

// isAbsent reports whether an error means that nobody listens at a path.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// listen makes this end the one that listens. What a process has left there that was killed is
// removed.
func (s *stream) listen() error {
	if s.listener != nil {
		return nil
	}
	removeStale("unix", s.path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		if s.server == "" && errors.Is(err, syscall.EADDRINUSE) {
			return err // the other end was faster: try again
		}
		return &fatalError{err}
	}
	s.listener = l
	s.file, _ = os.Lstat(s.path)
	return nil
}

// removeStale removes a socket at which nobody listens.
func removeStale(network, path string) {
	if fi, err := os.Lstat(path); err != nil || fi.Mode()&fs.ModeSocket == 0 {
		return
	}
	conn, err := net.Dial(network, path)
	if err == nil {
		conn.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
}

// accept returns a connection. It returns nil without an error if another process has taken the
// path: both found the same stale socket there.
func (s *stream) accept(ctx context.Context) (*net.UnixConn, error) {
	defer context.AfterFunc(ctx, func() { _ = s.listener.SetDeadline(time.Unix(1, 0)) })()
	for ctx.Err() == nil {
		_ = s.listener.SetDeadline(clock.System().Now().Add(pollTime))
		conn, err := s.listener.AcceptUnix()
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
		if now, err := os.Lstat(s.path); err != nil || !os.SameFile(now, s.file) {
			s.listener.SetUnlinkOnClose(false)
			s.listener.Close()
			s.listener = nil
			return nil, nil
		}
	}
	return nil, ctx.Err()
}

func (s *stream) close() {
	if s.listener != nil {
		s.listener.Close()
	}
}

// A streamLink is a connection over a stream.
type streamLink struct {
	conn   *net.UnixConn
	reader *bufio.Reader
	read   int // bytes of the frames that were returned last
	frames []frame
	out    []byte

	guarding sync.WaitGroup
	end      func() // ends guarding
}

// newStreamLink returns a link. If l is not nil, further clients of l are turned away, since a
// cable has two ends.
func newStreamLink(conn *net.UnixConn, l *net.UnixListener) *streamLink {
	s := &streamLink{conn: conn, reader: bufio.NewReaderSize(conn, streamBuffer), end: func() {}}
	if l == nil {
		return s
	}
	done := make(chan struct{})
	_ = l.SetDeadline(time.Time{})
	s.guarding.Go(func() {
		for {
			c, err := l.AcceptUnix()
			select {
			case <-done:
			default:
				if err == nil {
					c.Close()
					continue
				}
				return
			}
			if err == nil {
				c.Close()
			}
			return
		}
	})
	s.end = sync.OnceFunc(func() {
		close(done)
		_ = l.SetDeadline(time.Unix(1, 0))
	})
	return s
}

func (s *streamLink) receive() ([]frame, error) {
	_, _ = s.reader.Discard(s.read) // does not fail: they are in the buffer
	s.read, s.frames = 0, s.frames[:0]
	for len(s.frames) < batchSize {
		if len(s.frames) > 0 && s.reader.Buffered() < s.read+lengthLen {
			break
		}
		b, err := s.reader.Peek(s.read + lengthLen)
		if err != nil {
			return nil, fmt.Errorf("the other end has closed the connection: %w", err)
		}
		n := int(binary.BigEndian.Uint32(b[s.read:]))
		if n == 0 || n > maxStreamFrame {
			return nil, fmt.Errorf("a frame of %d bytes: the other end does not send frames", n)
		}
		end := s.read + lengthLen + n
		if len(s.frames) > 0 && s.reader.Buffered() < end {
			break
		}
		if b, err = s.reader.Peek(end); err != nil {
			return nil, fmt.Errorf("the other end has closed the connection: %w", err)
		}
		s.frames = append(s.frames, frame{bytes: b[s.read+lengthLen : end]})
		s.read = end
	}
	return s.frames, nil
}

func (s *streamLink) send(frames []frame) error {
	s.out = s.out[:0]
	for _, f := range frames {
		s.out = binary.BigEndian.AppendUint32(s.out, uint32(len(f.bytes)))
		s.out = append(s.out, f.bytes...)
	}
	_, err := s.conn.Write(s.out)
	if cap(s.out) > keptBytes {
		s.out = nil
	}
	return err
}

func (s *streamLink) close() {
	s.conn.Close()
	s.end()
	s.guarding.Wait()
}
