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

// finalAckTimeout is how long the server may take to acknowledge records in flight after it has
// closed the connection.
const finalAckTimeout = time.Second

// maxTLSWrite bounds how many bytes are encrypted at once. After a break, a write counts as sent
// if its encrypted form was acknowledged.
const maxTLSWrite = 16 << 10

// maxTLSRecord is how long a record of TLS can be, with its overhead (RFC 8446, section 5.2).
const maxTLSRecord = 16<<10 + 256 + 5

var errNoAddress = &lookupError{errors.New("the name has no address")}

// A stream is the transport over a TCP connection, or over TLS on one.
type stream struct {
	tcp        *countingConn
	conn       net.Conn // tcp, or TLS over it
	net        network.Transport
	ctx        context.Context // the Pusher's
	connCtx    context.Context // ends with the connection; its cause says why
	endConn    context.CancelCauseFunc
	reader     sync.WaitGroup
	accepted   chan struct{} // closed when the server has shown that it accepts the session
	acceptOnce sync.Once
	headerRest []byte     // header records that are sent together with the first batch
	tlsWrites  []tlsWrite // of the last batch
	buffer     []byte
}

// A countingConn is a network.Conn that counts the bytes written.
type countingConn struct {
	network.Conn
	written atomic.Int64 // atomic, because TLS also writes while it reads
}

// Write implements io.Writer.
func (w *countingConn) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.written.Add(int64(n))
	return n, err
}

// A tlsWrite says where one write ends: in the batch, and in the bytes written to the TCP
// connection.
type tlsWrite struct {
	plainEnd int
	wireEnd  int64
}

// openStream connects and sends the first record of the header alone (A19, A30). The other
// records of the header are sent together with the first batch.
func (s *sender) openStream(to netip.AddrPort, header [][]byte) (transport, error) {
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.options.ConnectTimeout, syscall.ETIMEDOUT)
	defer cancel()
	c, err := s.options.Net.Dial(ctx, network.DialConfig{
		Remote: to, Delay: true, Owner: s.options.Owner, User: s.options.User,
	})
	if err != nil {
		return nil, err
	}
	l := &stream{tcp: &countingConn{Conn: c}, net: s.options.Net, ctx: s.ctx, accepted: make(chan struct{})}
	l.conn = l.tcp
	if s.settings.Protocol == TLS {
		if err := s.startTLS(ctx, l); err != nil {
			c.Abort()
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return nil, err
		}
	} else {
		l.accept()
	}
	l.connCtx, l.endConn = context.WithCancelCause(s.ctx)
	l.reader.Go(l.read)
	if len(header) > 0 {
		l.headerRest = slices.Concat(header[1:]...)
		err = l.write(header[0])
	}
	if err == nil {
		err = l.awaitAccepted(s.options.RefusalTimeout)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// accept records that the server accepts the session.
func (l *stream) accept() { l.acceptOnce.Do(func() { close(l.accepted) }) }

// awaitAccepted blocks until the server has shown that it accepts the session, or has been silent
// for limit. If it refuses the session, or closes the connection, awaitAccepted returns the reason.
func (l *stream) awaitAccepted(limit time.Duration) error {
	select {
	case <-l.accepted: // without TLS always
		return nil
	default:
	}
	silent := make(chan struct{})
	stop := clock.System().AfterFunc(limit, func() { close(silent) })
	defer stop()
	select {
	case <-l.accepted:
	case <-silent:
		l.accept()
	case <-l.connCtx.Done():
		return context.Cause(l.connCtx)
	}
	return nil
}

// A ticketWatcher is a cache of TLS sessions that stores none. The function is called when the
// server sends a ticket, because the server has then accepted the session.
type ticketWatcher func()

// Get implements tls.ClientSessionCache.
func (ticketWatcher) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

// Put implements tls.ClientSessionCache.
func (f ticketWatcher) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		f()
	}
}

// startTLS performs the TLS handshake.
func (s *sender) startTLS(ctx context.Context, l *stream) error {
	config := &tls.Config{
		ServerName:                  s.settings.Server,
		MinVersion:                  tls.VersionTLS12,
		Rand:                        s.options.Rand,
		Time:                        s.options.Clock.Now,
		DynamicRecordSizingDisabled: true,
		ClientSessionCache:          ticketWatcher(l.accept),
		InsecureSkipVerify:          !s.settings.Verify, //nolint:gosec // the administrator's choice
	}
	if s.settings.Verify && s.options.Roots != nil {
		var err error
		if config.RootCAs, err = s.options.Roots(); err != nil {
			return err
		}
	}
	t := tls.Client(l.tcp, config)
	l.conn = t
	if err := t.HandshakeContext(ctx); err != nil {
		return refusalOf(err)
	}
	if t.ConnectionState().Version < tls.VersionTLS13 {
		l.accept() // the server's Finished follows the client's
	}
	return nil
}

// read waits for the end of the connection. It discards what the server sends.
func (l *stream) read() {
	_, err := io.Copy(discarder{l}, struct{ io.Reader }{l.conn})
	select {
	case <-l.accepted:
	default:
		err = refusalOf(err)
	}
	var errno syscall.Errno
	var refused sessionRefusedError
	if err == nil || l.conn != l.tcp && !errors.As(err, &errno) && !isClosedLocally(err) &&
		!errors.As(err, &refused) {
		err = io.EOF // TLS has other errors for it
	}
	l.endConn(err)
}

// A discarder takes the data that the server sends on a stream.
type discarder struct{ stream *stream }

// Write implements io.Writer.
func (d discarder) Write(b []byte) (int, error) {
	d.stream.accept()
	return len(b), nil
}

func (l *stream) done() <-chan struct{} { return l.connCtx.Done() }
func (l *stream) err() error            { return context.Cause(l.connCtx) }
func (l *stream) stale() bool           { return false }

// write writes a record or a batch and blocks until it has been acknowledged.
func (l *stream) write(b []byte) error {
	stop := context.AfterFunc(l.connCtx,
		func() { _ = l.tcp.SetWriteDeadline(clock.System().Now()) })
	defer stop()
	l.tlsWrites = l.tlsWrites[:0]
	for at := 0; at < len(b); {
		n := len(b) - at
		if l.conn != l.tcp && n > maxTLSWrite {
			n = max(wholeRecords(b[at:at+maxTLSWrite]), maxTLSWrite)
		}
		_, err := l.conn.Write(b[at : at+n])
		at += n
		l.tlsWrites = append(l.tlsWrites, tlsWrite{at, l.tcp.written.Load()})
		if err != nil {
			return l.breakCause(err)
		}
	}
	if err := l.tcp.AwaitAcknowledged(l.connCtx, l.tcp.written.Load()); err != nil {
		return l.breakCause(err)
	}
	return nil
}

// breakCause returns the reason for the end of the connection, given the error of a write. The
// reader knows it best, and notices the end whenever a writer does.
func (l *stream) breakCause(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.ETIMEDOUT) {
		<-l.connCtx.Done()
	}
	if cause := context.Cause(l.connCtx); cause != nil {
		return cause
	}
	return err
}

// send implements transport. After an error it has closed the connection in such a way that no
// more of the batch can arrive.
func (l *stream) send(batch []byte) (sent int, err error) {
	data, skip := batch, 0
	if len(l.headerRest) > 0 {
		skip = len(l.headerRest)
		l.buffer = append(append(l.buffer[:0], l.headerRest...), batch...)
		data, l.headerRest = l.buffer, nil
	}
	start := l.tcp.written.Load()
	err = l.write(data)
	if err == nil {
		return len(batch), nil
	}
	if errors.Is(err, io.EOF) {
		ctx, cancel := context.WithTimeout(l.ctx, finalAckTimeout)
		_ = l.tcp.AwaitAcknowledged(ctx, l.tcp.written.Load()) // later ones do not count
		cancel()
	}
	l.tcp.Abort()
	acked := l.acknowledgedBytes(data, start)
	return max(wholeRecords(data[:acked])-skip, 0), err
}

// acknowledgedBytes returns how many bytes of data, which was written last and from start on,
// have been acknowledged.
func (l *stream) acknowledgedBytes(data []byte, start int64) int {
	acked := l.tcp.Acknowledged()
	if l.conn == l.tcp {
		return int(min(max(acked-start, 0), int64(len(data))))
	}
	n := 0
	for _, p := range l.tlsWrites {
		if p.wireEnd <= acked {
			n = p.plainEnd
		}
	}
	return n
}

// unread implements transport. It asks the network, because TCP does not tell.
func (l *stream) unread() (int64, bool) {
	reporter, ok := l.net.(network.ReadReporter)
	local, isTCP := l.tcp.LocalAddr().(*net.TCPAddr)
	remote, isTCPToo := l.tcp.RemoteAddr().(*net.TCPAddr)
	if !ok || !isTCP || !isTCPToo {
		return 0, false
	}
	read, ok := reporter.ReadByPeer(local.AddrPort(), remote.AddrPort())
	if !ok {
		return 0, false
	}
	acked := l.tcp.Acknowledged()
	n := max(acked-read, 0)
	if l.conn != l.tcp && (n > 0 || acked < l.tcp.written.Load()) {
		n += maxTLSRecord // of the record that it has read in part, it has nothing
	}
	return n, true
}

// close closes the connection. It may be closed already.
func (l *stream) close() {
	_ = l.tcp.SetWriteDeadline(clock.System().Now().Add(finalAckTimeout)) // for TLS's close_notify
	_ = l.conn.Close()
	_ = l.tcp.Close()
	l.reader.Wait()
	l.endConn(net.ErrClosed)
}
