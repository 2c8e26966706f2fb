package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// lastAcks is how long a connection that the server has closed is given to acknowledge
// what is still on its way.
const lastAcks = time.Second

// tlsPiece is how much is encrypted at once: after a break, pieces whose encrypted form
// was acknowledged count as sent.
const tlsPiece = 16 << 10

var errNoAddress = &lookupError{errors.New("the name has no address")}

// A stream is a TCP connection, or TLS over one.
type stream struct {
	wire   *wire
	conn   net.Conn // wire, or TLS over it
	life   context.Context
	open   context.Context // ends with its cause when the connection does
	end    context.CancelCauseFunc
	reads  sync.WaitGroup
	prefix []byte // records of the header that go with the first batch
	pieces []piece
	buffer []byte
}

// A wire is a network.Conn that counts what was written.
type wire struct {
	network.Conn
	written atomic.Int64 // TLS writes on its own account too
}

// Write implements io.Writer.
func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.written.Add(int64(n))
	return n, err
}

// A piece ends at a place of the batch, and at one of the wire.
type piece struct {
	plain int
	wire  int64
}

// openStream connects and sends the first record of the header alone (A19, A30); the
// others go with the first batch.
func (s *sender) openStream(to netip.AddrPort, header [][]byte) (carrier, error) {
	ctx, cancel := context.WithTimeoutCause(s.life, s.options.ConnectTimeout, syscall.ETIMEDOUT)
	defer cancel()
	c, err := s.options.Net.Dial(ctx, network.DialConfig{Remote: to, Delay: true, Owner: s.options.Owner, User: s.options.User})
	if err != nil {
		return nil, err
	}
	l := &stream{wire: &wire{Conn: c}, life: s.life}
	l.conn = l.wire
	if s.settings.Protocol == TLS {
		if err := s.secure(ctx, l); err != nil {
			c.Abort()
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return nil, err
		}
	}
	l.open, l.end = context.WithCancelCause(s.life)
	l.reads.Go(l.read)
	if len(header) == 0 {
		return l, nil
	}
	l.prefix = slices.Concat(header[1:]...)
	if err := l.write(header[0]); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// secure speaks TLS from here on.
func (s *sender) secure(ctx context.Context, l *stream) error {
	config := &tls.Config{
		ServerName:                  s.settings.Server,
		MinVersion:                  tls.VersionTLS12,
		Rand:                        s.options.Rand,
		Time:                        s.options.Clock.Now,
		DynamicRecordSizingDisabled: true,
		InsecureSkipVerify:          !s.settings.Verify, //nolint:gosec // the administrator's choice
	}
	if s.settings.Verify && s.options.Roots != nil {
		var err error
		if config.RootCAs, err = s.options.Roots(); err != nil {
			return err
		}
	}
	t := tls.Client(l.wire, config)
	l.conn = t
	return t.HandshakeContext(ctx)
}

// read waits for the end of the connection. What the server says is of no interest.
func (l *stream) read() {
	_, err := io.Copy(io.Discard, struct{ io.Reader }{l.conn})
	var no syscall.Errno
	if err == nil || l.conn != l.wire && !errors.As(err, &no) && !ours(err) {
		err = io.EOF // TLS has other words for it
	}
	l.end(err)
}

func (l *stream) ended() <-chan struct{} { return l.open.Done() }
func (l *stream) cause() error           { return context.Cause(l.open) }
func (l *stream) stale() bool            { return false }

// write writes a record or a batch and waits until it has been acknowledged.
func (l *stream) write(b []byte) error {
	stop := context.AfterFunc(l.open, func() { _ = l.wire.SetWriteDeadline(clock.System().Now()) })
	defer stop()
	l.pieces = l.pieces[:0]
	for at := 0; at < len(b); {
		n := len(b) - at
		if l.conn != l.wire && n > tlsPiece {
			n = max(whole(b[at:at+tlsPiece]), tlsPiece)
		}
		_, err := l.conn.Write(b[at : at+n])
		at += n
		l.pieces = append(l.pieces, piece{at, l.wire.written.Load()})
		if err != nil {
			return l.why(err)
		}
	}
	if err := l.wire.AwaitAcknowledged(l.open, l.wire.written.Load()); err != nil {
		return l.why(err)
	}
	return nil
}

// why is the reason for the end of the connection: the reader knows best, and hears of
// it too when the writer does.
func (l *stream) why(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ETIMEDOUT) {
		<-l.open.Done()
	}
	if cause := context.Cause(l.open); cause != nil {
		return cause
	}
	return err
}

// send implements carrier. After an error it has closed the connection in such a way
// that nothing more of the batch can arrive.
func (l *stream) send(batch []byte) (int, error) {
	data, skip := batch, 0
	if len(l.prefix) > 0 {
		skip = len(l.prefix)
		l.buffer = append(append(l.buffer[:0], l.prefix...), batch...)
		data, l.prefix = l.buffer, nil
	}
	start := l.wire.written.Load()
	err := l.write(data)
	if err == nil {
		return len(batch), nil
	}
	if errors.Is(err, io.EOF) {
		ctx, cancel := context.WithTimeout(l.life, lastAcks)
		_ = l.wire.AwaitAcknowledged(ctx, l.wire.written.Load()) // what has not come then does not count
		cancel()
	}
	l.wire.Abort()
	taken := l.taken(data, start)
	return max(whole(data[:taken])-skip, 0), err
}

// taken is how much of what was written last has been acknowledged.
func (l *stream) taken(data []byte, start int64) int {
	acked := l.wire.Acknowledged()
	if l.conn == l.wire {
		return int(min(max(acked-start, 0), int64(len(data))))
	}
	n := 0
	for _, p := range l.pieces {
		if p.wire <= acked {
			n = p.plain
		}
	}
	return n
}

// close ends the connection; a closed one stays so.
func (l *stream) close() {
	_ = l.wire.SetWriteDeadline(clock.System().Now().Add(lastAcks)) // of TLS's farewell
	_ = l.conn.Close()
	_ = l.wire.Close()
	l.reads.Wait()
	l.end(net.ErrClosed)
}
