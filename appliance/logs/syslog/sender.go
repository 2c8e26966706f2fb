package syslog

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A transport carries records to the server. It is used by the sender only.
type transport interface {
	// send sends whole records and blocks until the server's TCP has acknowledged them, or
	// with UDP until they are sent. It returns how many bytes of whole records that is. If it is
	// less than the batch, an error is returned and the transport is closed.
	send(batch []byte) (sent int, err error)
	// done returns a channel that is closed when the connection has ended; err returns the
	// reason then.
	done() <-chan struct{}
	err() error
	// unread returns how many of the acknowledged bytes the server's process has not read at most;
	// ok is false if that is not known.
	unread() (n int64, ok bool)
	// stale reports whether the transport should be replaced, as the server's address may have
	// changed.
	stale() bool
	close()
}

// A sender is the part of a Pusher that keeps a connection. It runs in one goroutine.
type sender struct {
	*Pusher
	headerFormatter formatter
	transport       transport      // nil: not connected
	headerSentTo    netip.AddrPort // the address that the last header of datagrams was sent to

	// Errors that are not reported again until the connection has worked.
	reported          map[string]bool // reasons why there is no connection
	readErrorReported bool

	delay      time.Duration // before the next connection
	endedAt    clock.Mark    // when the last connection or attempt ended; valid if backingOff
	backingOff bool          // the next connection must wait for delay
	recent     recentRecords
}

// run sends the records in the queue until the Pusher is closed.
func (s *sender) run() {
	defer s.cancel() // ends the spooler
	defer func() {
		if s.transport != nil {
			s.transport.close()
		}
	}()
	for {
		batch, err := s.queue.peek()
		switch {
		case err != nil:
			if !s.handleReadError(err) {
				return
			}
		case len(batch) == 0:
			if !s.waitForWork() {
				return
			}
		case !s.ensureConnected(batch):
			if s.ctx.Err() != nil || s.isClosing() && s.backingOff {
				return
			}
		default:
			s.sendBatch(batch)
		}
	}
}

func (s *sender) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// waitForWork blocks until there is something to do. It returns false if the Pusher is closed
// and all records that were to be sent have been sent.
func (s *sender) waitForWork() bool {
	var ended <-chan struct{}
	if s.transport != nil {
		ended = s.transport.done()
	}
	select {
	case <-s.senderWake:
	case <-ended:
		s.handleBreak(s.transport.err(), 0)
	case <-s.ctx.Done():
		return false
	case <-s.closing:
		if _, records := s.queue.waiting(); records == 0 {
			return false
		}
		if s.queue.spool != nil {
			// The last records are not in the spool yet. If this fails, peek reads from memory.
			_, _ = s.queue.spoolBatch(make([]byte, batchSize))
		}
	}
	return true
}

// ensureConnected opens a connection for a batch unless there is one. It reports whether there
// is one.
func (s *sender) ensureConnected(batch []byte) bool {
	if s.transport != nil && s.transport.stale() {
		s.transport.close()
		s.transport = nil
	}
	if s.transport != nil {
		return true
	}
	if !s.waitBackoff() {
		return false
	}
	c, addr, err := s.connect(s.headerRecords(batch))
	if err != nil {
		s.reportEnd(err)
		return false
	}
	s.transport = c
	s.updateStats(func(st *Stats) { st.Connected = addr })
	return true
}

// waitBackoff blocks until the next connection may be opened. It returns false if the Pusher is
// closed before.
func (s *sender) waitBackoff() bool {
	if !s.backingOff {
		return true
	}
	d := s.delay - s.options.Clock.Since(s.endedAt)
	if d > 0 {
		due := make(chan struct{})
		stop := s.options.Clock.AfterFunc(d, func() { close(due) })
		select {
		case <-due:
		case <-s.closing:
			stop()
			return false
		case <-s.ctx.Done():
			stop()
			return false
		}
	}
	s.backingOff = false
	s.delay = min(2*s.delay, s.options.Backoff[1])
	return true
}

// headerRecords returns the records at the beginning of a connection, with the stamp of the
// record that the connection is opened for (A6, A16).
func (s *sender) headerRecords(batch []byte) [][]byte {
	if s.options.Header == nil {
		return nil
	}
	var records [][]byte
	for _, text := range s.options.Header() {
		r, _ := s.headerFormatter.appendStamped(nil, stampOf(batch), "Info", text)
		records = append(records, r)
	}
	return records
}

// sendBatch sends a batch.
func (s *sender) sendBatch(batch []byte) {
	sent, err := s.transport.send(batch)
	records := countRecords(batch[:sent])
	if records > 0 {
		s.resetBackoff()
		s.recent.add(batch[:sent], s.options.InDoubtLimit)
		s.updateStats(func(st *Stats) { st.Sent += records })
	}
	inFlight := countRecords(batch[sent:])
	if err != nil && s.queue.spool == nil && s.ctx.Err() == nil {
		// Records that TCP had accepted count as sent (A14).
		s.updateStats(func(st *Stats) { st.Lost += inFlight })
		sent, records = len(batch), records+inFlight
	}
	if e := s.queue.remove(sent, records); e != nil {
		// The position is right in memory; it is wrong only after a crash.
		s.options.Logger.Warn("the buffer of a syslog push cannot be written",
			"subscription", s.settings.Subscription, "err", e)
	}
	wake(s.spoolerWake) // the disk, or memory, may have room again
	if err != nil {
		s.handleBreak(err, inFlight)
	}
}

// resetBackoff is called when the server has acknowledged records: all errors may be reported
// again, and the next delay is the shortest.
func (s *sender) resetBackoff() {
	s.readErrorReported = false
	clear(s.reported)
	s.delay = s.options.Backoff[0]
}

// handleBreak deals with the end of a connection with records in flight.
func (s *sender) handleBreak(err error, inFlight int) {
	unreadBytes, known := s.transport.unread()
	s.transport.close()
	s.transport = nil
	inDoubt, unread := s.recent.records, s.recent.records
	if known {
		unread = s.recent.last(unreadBytes)
	}
	s.recent = recentRecords{}
	s.updateStats(func(st *Stats) { st.Connected = "" })
	s.reportEnd(err)
	if isClosedLocally(err) {
		return
	}
	s.updateStats(func(st *Stats) {
		st.InDoubt += inDoubt
		st.LastInDoubt, st.LastUnread = inDoubt, unread
		if s.queue.spool != nil {
			st.Resent += inFlight
		}
	})
	s.reportInDoubt(inDoubt, inFlight, unread, known)
}

// reportInDoubt says how many records may be lost after a break. known says that the number of
// those that the server has not read is known.
func (s *sender) reportInDoubt(inDoubt, inFlight, unread int, known bool) {
	lost, format := inDoubt, ""
	switch {
	case inDoubt+inFlight == 0:
		return
	case s.queue.spool != nil:
		format = fmt.Sprintf("%d messages are sent again; of those before them the last %d may be lost",
			inFlight, inDoubt)
	case inDoubt+inFlight == 1:
		lost, unread, format = 1, min(1, unread+inFlight), "the last message may be lost"
	default:
		lost, unread = inDoubt+inFlight, unread+inFlight
		format = fmt.Sprintf("the last %d messages may be lost", lost)
	}
	if known && lost > 1 {
		format += fmt.Sprintf("; the server had not read the last %d of them", unread)
	}
	s.addEvent(RecordsInDoubt, lost, "The connection to syslog server %s ended: %s",
		s.settings.Server, format)
}

// reportEnd reports the end of a connection and, once for each reason until a connection has
// worked again, a failed attempt to open one.
func (s *sender) reportEnd(err error) {
	s.backingOff, s.endedAt = true, s.options.Clock.Mark()
	s.options.Logger.Debug("a syslog push has no connection",
		"subscription", s.settings.Subscription, "server", s.settings.Server, "err", err)
	switch {
	case isClosedLocally(err):
	case isClosedByServer(err):
		s.updateStats(func(st *Stats) { st.Breaks++ })
		s.addEvent(ConnectionBroken, 0, "Network error while sending log data to syslog server")
	default:
		s.updateStats(func(st *Stats) { st.Failures++ })
		why := reasonText(err)
		const failed = "Failed to connect to %s: %s"
		if !s.reported[why] {
			s.reported[why] = true
			s.addEvent(Unreachable, 0, failed, s.settings.Server, why)
			return
		}
		s.updateStats(func(st *Stats) {
			st.LastError = s.eventText(Unreachable, failed, s.settings.Server, why)
		})
	}
}

// handleReadError reports that the spool cannot be read, and waits before the next attempt. It
// returns false if the Pusher is closed before.
func (s *sender) handleReadError(err error) bool {
	if !s.readErrorReported {
		s.readErrorReported = true
		s.options.Logger.Error("the buffer of a syslog push cannot be read",
			"subscription", s.settings.Subscription, "err", err)
		s.addEvent(DiskFailed, 0, "The disk buffer for syslog server %s cannot be read",
			s.settings.Server)
	}
	s.backingOff, s.endedAt = true, s.options.Clock.Mark()
	return s.waitBackoff()
}

// addresses returns the server's addresses.
func (s *sender) addresses(ctx context.Context) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(s.settings.Server); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := s.options.Lookup(ctx, s.settings.Server)
	if err != nil {
		return nil, &lookupError{err}
	}
	return addrs, nil
}

// connect opens a connection and sends the header. It also returns the server's address.
func (s *sender) connect(header [][]byte) (transport, string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.options.ConnectTimeout)
	addrs, err := s.addresses(ctx)
	cancel()
	if err != nil {
		return nil, "", err
	}
	err = errNoAddress
	for _, a := range addrs {
		to := netip.AddrPortFrom(a, s.settings.Port)
		var c transport
		if s.settings.Protocol == UDP {
			c, err = s.openDatagrams(to, header)
		} else {
			c, err = s.openStream(to, header)
		}
		if err == nil || isClosedByServer(err) || s.ctx.Err() != nil {
			return c, to.String(), err
		}
	}
	return nil, "", err
}

// recentRecords counts the records that a server may not have written although its TCP has
// acknowledged them: those in a number of bytes that were acknowledged last.
type recentRecords struct {
	runs    []recordRun
	bytes   int64
	records int
}

// A recordRun is a number of successive records.
type recordRun struct {
	bytes   int64
	records int
}

// minRunBytes is how many bytes a recordRun contains at least, which bounds the number of runs. It is
// also the precision of last.
const minRunBytes = 4 << 10

// add adds whole records, and forgets those that are more than limit bytes before the end.
func (d *recentRecords) add(b []byte, limit int64) {
	for len(b) > 0 {
		n := min(len(b), 2*minRunBytes)
		if n = wholeRecords(b[:n]); n == 0 { // a long record
			n = bytes.IndexByte(b, '\n') + 1
		}
		d.addRun(recordRun{int64(n), countRecords(b[:n])})
		b = b[n:]
	}
	for d.bytes-d.runs[0].bytes >= limit {
		d.bytes -= d.runs[0].bytes
		d.records -= d.runs[0].records
		d.runs = d.runs[1:]
	}
}

func (d *recentRecords) addRun(r recordRun) {
	if n := len(d.runs); n > 0 && d.runs[n-1].bytes < minRunBytes {
		d.runs[n-1].bytes += r.bytes
		d.runs[n-1].records += r.records
	} else {
		d.runs = append(d.runs, r)
	}
	d.bytes += r.bytes
	d.records += r.records
}

// last returns the number of records at most in the last n bytes, the one that begins before them
// included.
func (d *recentRecords) last(n int64) (records int) {
	for i := len(d.runs) - 1; i >= 0 && n > 0; i-- {
		records += d.runs[i].records
		n -= d.runs[i].bytes
	}
	return records
}
