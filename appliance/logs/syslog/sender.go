package syslog

import (
	"context"
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A carrier takes records to the server. It is the sender's.
type carrier interface {
	// send sends whole records and waits until the server's side has taken them. It
	// returns how many bytes of them it has; fewer than all only with an error, after
	// which the carrier is closed.
	send(batch []byte) (taken int, err error)
	// ended is closed when the server has ended the connection; cause says why then.
	ended() <-chan struct{}
	cause() error
	// stale reports whether the way to the server is to be looked for again.
	stale() bool
	close()
}

// A sender is the part of a Pusher that keeps a connection. It is one goroutine.
type sender struct {
	*Pusher
	form    form // of headers
	carrier carrier

	// What is told once until it has worked again.
	told     map[string]bool // reasons why there is no connection
	toldDisk bool

	delay time.Duration // before the next connection
	lost  clock.Mark    // when the last one ended; valid if waits
	waits bool
	doubt doubt
}

// run sends what waits until the Pusher is closed.
func (s *sender) run() {
	defer s.end() // the keeper's
	defer func() {
		if s.carrier != nil {
			s.carrier.close()
		}
	}()
	for {
		batch, err := s.queue.take()
		switch {
		case err != nil:
			if !s.diskFailed(err) {
				return
			}
		case len(batch) == 0:
			if !s.idle() {
				return
			}
		case !s.open(batch):
			if s.life.Err() != nil || s.isClosing() && s.waits {
				return
			}
		default:
			s.deliver(batch)
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

// idle waits until there is something to do; false: the Pusher is closed, and what was
// to be sent has been.
func (s *sender) idle() bool {
	var ended <-chan struct{}
	if s.carrier != nil {
		ended = s.carrier.ended()
	}
	select {
	case <-s.more:
	case <-ended:
		s.broken(s.carrier.cause(), 0)
	case <-s.life.Done():
		return false
	case <-s.closing:
		if _, records := s.queue.waiting(); records == 0 {
			return false
		}
		if s.queue.spool != nil { // what was pushed last is still on its way to the disk
			_, _ = s.queue.store(make([]byte, batchSize)) // where it fails, take knows
		}
	}
	return true
}

// open makes a connection for a batch unless there is one.
func (s *sender) open(batch []byte) bool {
	if s.carrier != nil && s.carrier.stale() {
		s.carrier.close()
		s.carrier = nil
	}
	if s.carrier != nil {
		return true
	}
	if !s.backOff() {
		return false
	}
	c, addr, err := s.connect(s.header(batch))
	if err != nil {
		s.ended(err)
		return false
	}
	s.carrier = c
	s.count(func(st *Stats) { st.Connected = addr })
	return true
}

// backOff waits until the next connection may be made; false: the Pusher is closed.
func (s *sender) backOff() bool {
	if !s.waits {
		return true
	}
	d := s.delay - s.options.Clock.Since(s.lost)
	if d > 0 {
		due := make(chan struct{})
		stop := s.options.Clock.AfterFunc(d, func() { close(due) })
		select {
		case <-due:
		case <-s.closing:
			stop()
			return false
		case <-s.life.Done():
			stop()
			return false
		}
	}
	s.waits = false
	s.delay = min(2*s.delay, s.options.Backoff[1])
	return true
}

// header are the records at the head of a connection, with the stamp of the record
// that the connection is made for (A6, A16).
func (s *sender) header(batch []byte) [][]byte {
	if s.options.Header == nil {
		return nil
	}
	var records [][]byte
	for _, text := range s.options.Header() {
		r, _ := s.form.stamped(nil, stampOf(batch), "Info", text)
		records = append(records, r)
	}
	return records
}

// deliver sends a batch.
func (s *sender) deliver(batch []byte) {
	taken, err := s.carrier.send(batch)
	records := count(batch[:taken])
	if records > 0 {
		s.works()
		s.doubt.add(int64(taken), records, s.options.InDoubtLimit)
		s.count(func(st *Stats) { st.Sent += records })
	}
	under := count(batch[taken:])
	if err != nil && s.queue.spool == nil && s.life.Err() == nil {
		// What TCP had accepted counts as sent (A14).
		s.count(func(st *Stats) { st.Lost += under })
		taken, records = len(batch), records+under
	}
	if e := s.queue.done(taken, records); e != nil {
		// It is known here how far we are, only not after a crash.
		s.options.Logger.Warn("the buffer of a syslog push cannot be written", "subscription", s.settings.Subscription, "err", e)
	}
	signal(s.work) // the disk, or memory, may have room again
	if err != nil {
		s.broken(err, under)
	}
}

// works is called when the server has taken records: trouble may be told again.
func (s *sender) works() {
	s.toldDisk = false
	clear(s.told)
	s.delay = s.options.Backoff[0]
}

// broken deals with the end of a connection, with records under way.
func (s *sender) broken(err error, under int) {
	s.carrier.close()
	s.carrier = nil
	inDoubt := s.doubt.records
	s.doubt = doubt{}
	s.count(func(st *Stats) { st.Connected = "" })
	s.ended(err)
	if ours(err) {
		return
	}
	s.count(func(st *Stats) {
		st.InDoubt += inDoubt
		st.LastInDoubt = inDoubt
		if s.queue.spool != nil {
			st.Resent += under
		}
	})
	if s.queue.spool != nil && inDoubt+under > 0 {
		s.event(RecordsInDoubt, inDoubt, "The connection to syslog server %s ended: %d messages are sent again; of those before them the last %d may be lost",
			s.settings.Server, under, inDoubt)
	}
}

// ended tells of the end of a connection and, once for each reason until it has worked
// again, of an attempt that failed.
func (s *sender) ended(err error) {
	s.waits, s.lost = true, s.options.Clock.Mark()
	s.options.Logger.Debug("a syslog push has no connection", "subscription", s.settings.Subscription, "server", s.settings.Server, "err", err)
	switch {
	case ours(err) || s.settings.Protocol == UDP:
	case closed(err):
		s.count(func(st *Stats) { st.Breaks++ })
		s.event(ConnectionBroken, 0, "Network error while sending log data to syslog server")
	default:
		s.count(func(st *Stats) { st.Failures++ })
		why := reason(err)
		const failed = "Failed to connect to %s: %s"
		if !s.told[why] {
			s.told[why] = true
			s.event(Unreachable, 0, failed, s.settings.Server, why)
			return
		}
		s.count(func(st *Stats) { st.LastError = s.text(Unreachable, failed, s.settings.Server, why) })
	}
}

// diskFailed tells that the disk cannot be read, and waits before the next attempt;
// false: the Pusher is closed.
func (s *sender) diskFailed(err error) bool {
	if !s.toldDisk {
		s.toldDisk = true
		s.options.Logger.Error("the buffer of a syslog push cannot be read", "subscription", s.settings.Subscription, "err", err)
		s.event(DiskFailed, 0, "The disk buffer for syslog server %s cannot be read", s.settings.Server)
	}
	s.waits, s.lost = true, s.options.Clock.Mark()
	return s.backOff()
}

// addresses are the server's.
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

// connect makes a connection and sends the header.
func (s *sender) connect(header [][]byte) (carrier, string, error) {
	ctx, cancel := context.WithTimeout(s.life, s.options.ConnectTimeout)
	addrs, err := s.addresses(ctx)
	cancel()
	if err != nil {
		return nil, "", err
	}
	err = errNoAddress
	for _, a := range addrs {
		to := netip.AddrPortFrom(a, s.settings.Port)
		var c carrier
		if s.settings.Protocol == UDP {
			c, err = s.openDatagrams(to)
		} else {
			c, err = s.openStream(to, header)
		}
		if err == nil || closed(err) || s.life.Err() != nil {
			return c, to.String(), err
		}
	}
	return nil, "", err
}

// A doubt counts the records that a server may not have written although its TCP has
// acknowledged them: those of the last so many bytes.
type doubt struct {
	marks   []mark
	bytes   int64
	records int
}

// A mark is a run of records.
type mark struct {
	bytes   int64
	records int
}

// grain is how many bytes a mark stands for at least.
const grain = 64 << 10

func (d *doubt) add(bytes int64, records int, limit int64) {
	if n := len(d.marks); n > 0 && d.marks[n-1].bytes < grain {
		d.marks[n-1].bytes += bytes
		d.marks[n-1].records += records
	} else {
		d.marks = append(d.marks, mark{bytes, records})
	}
	d.bytes += bytes
	d.records += records
	for d.bytes-d.marks[0].bytes >= limit {
		d.bytes -= d.marks[0].bytes
		d.records -= d.marks[0].records
		d.marks = d.marks[1:]
	}
}
