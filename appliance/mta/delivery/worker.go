package delivery

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// idleTime is how long a connection waits for another message (mail.md 1.1).
const idleTime = 5 * time.Second

// A worker delivers the messages of one destination over one connection at a time.
type worker struct {
	server *Server
	d      *destination
	ctx    context.Context // ends with the server
	limits Destination

	hosts []Host
	next  int // index in hosts of the one to connect to next
	conn  *connection

	countedTLS bool // in Server.tlsConnections; Server.mu guards it
}

// A connection is one to a mail server.
type connection struct {
	*mail.Conn
	dcid   uint64
	opened uint64 // event
	host   Host
	local  netip.Addr
	sent   int // messages
}

// run delivers messages until none is due.
func (w *worker) run() {
	defer w.server.workerEnded(w.d)
	defer w.leaveTLS()
	defer w.hangUp()
	for w.ctx.Err() == nil {
		j, ok := w.server.take(w.d, w.limits)
		if !ok && w.conn != nil {
			j, ok = w.await()
		}
		if !ok {
			return
		}
		goOn := w.deliver(j)
		w.server.land(j, w.ctx.Err() != nil)
		if !goOn {
			return
		}
	}
}

// await waits for a message while the connection is open.
func (w *worker) await() (job, bool) {
	s := w.server
	timeUp := make(chan struct{})
	stop := s.o.Clock.AfterFunc(idleTime, func() { close(timeUp) })
	defer stop()
	s.mu.Lock()
	w.d.waiting++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.d.waiting--
	}()
	for {
		// A message may have become due after take and before the worker counted as waiting.
		if j, ok := s.take(w.d, w.limits); ok {
			return j, true
		}
		select {
		case <-w.d.wake:
			if s.Suspended() && !w.d.internal {
				w.d.wakeWorker() // others may wait too
				return job{}, false
			}
		case <-timeUp:
			return job{}, false
		case <-w.ctx.Done():
			return job{}, false
		}
	}
}

// deliver makes an attempt for a message at each host of the destination until one has taken it or
// all have refused it. It reports whether the worker may go on.
func (w *worker) deliver(j job) bool {
	if j = w.expire(j); len(j.rids) == 0 {
		return true
	}
	w.tellAttempt(j)
	if w.conn != nil && w.conn.sent >= w.limits.MaxMessages {
		w.hangUp()
		w.next = 0
	}
	left := map[int]failure{}
	for {
		if w.conn == nil {
			if goOn, connected := w.connect(j, left); !connected {
				return goOn
			}
		}
		left = w.attempt(j)
		if w.ctx.Err() != nil {
			return false
		}
		if len(left) == 0 || w.next >= len(w.hosts) {
			break
		}
		w.hangUp() // the host deferred recipients: try the next host
		j.rids = keys(left)
	}
	w.server.deferRecipients(w, j, left)
	if w.conn == nil {
		w.next = 0
	}
	return true
}

// expire bounces the recipients of a job that are too old, and returns the job with the others.
func (w *worker) expire(j job) job {
	s := w.server
	limit := time.Duration(s.profile(&j.env, w.limits).MaxTime) * time.Second
	if s.o.Clock.Now().Sub(j.env.Received) < limit {
		return j
	}
	for _, rid := range j.rids {
		s.bounce(w.ctx, 0, &j, rid, w.d.domain, expired())
	}
	return job{env: j.env}
}

func keys(left map[int]failure) (rids []int) {
	for rid := range left {
		rids = append(rids, rid)
	}
	return sortedRIDs(rids)
}

// connect opens a connection to the first host that can be reached, starting with the next one.
// If there is none, it decides what becomes of the job: with failures in left, from hosts that were
// asked before, its recipients are tried again later. goOn says whether the worker may take another
// message.
func (w *worker) connect(j job, left map[int]failure) (goOn, connected bool) {
	s := w.server
	w.limits = Destinations.Get(s.o.Committed()).Find(w.d.domain) // a commit may have changed them
	if !w.enterTLS() {
		return w.waitForTLS(j, left), false
	}
	if w.next == 0 || w.hosts == nil {
		hosts, err := s.Hosts(w.ctx, w.d.domain)
		if err != nil {
			return w.withoutHosts(j, err), false
		}
		w.hosts, w.next = hosts, 0
	}
	var refused *failure // by a greeting or EHLO
	for w.next < len(w.hosts) {
		host := w.hosts[w.next]
		w.next++
		dcid, err := w.open(host)
		if err == nil {
			return true, true
		}
		if w.ctx.Err() != nil {
			return false, false
		}
		w.tellFailure(&j.env, host.Addr, err, j.rids...)
		var e *mail.Error
		if errors.As(err, &e) && e.Reply.Code >= 400 {
			f := replyFailure(e.Reply, true)
			f.dcid, f.remote = dcid, host.Addr.Addr()
			refused = &f
		}
	}
	w.next = 0
	switch {
	case len(left) > 0:
		s.deferRecipients(w, j, left)
		return true, false
	case refused != nil:
		s.setReachable(w.d, true, Profile{})
		s.refuse(w, j, *refused)
		return true, false
	}
	s.setReachable(w.d, false, s.profile(&j.env, w.limits))
	s.putBack(w.d, j.env.MID, j.rids, time.Time{})
	return false, false
}

// withoutHosts decides what becomes of a message whose destination has no hosts. It reports whether
// the worker may take another one.
func (w *worker) withoutHosts(j job, err error) (goOn bool) {
	s := w.server
	if w.ctx.Err() != nil {
		return false
	}
	if errors.Is(err, errDiscardRoute) {
		s.delete(w.ctx, j, w.d.domain, byRoute)
		return true
	}
	w.tellFailure(&j.env, netip.AddrPort{}, err, j.rids...)
	var e *lookupError
	if errors.As(err, &e) && e.failure != nil {
		for _, rid := range j.rids {
			s.bounce(w.ctx, 0, &j, rid, w.d.domain, *e.failure)
		}
		return true
	}
	event := mailevents.DNSFailed{Domain: w.d.domain, Detail: "MX - unable to reach nameserver"}
	if e != nil && e.route != "" {
		event.Domain, event.Route = e.route, true
	}
	w.publish(0, event)
	s.setReachable(w.d, false, s.profile(&j.env, w.limits))
	s.putBack(w.d, j.env.MID, j.rids, time.Time{})
	return false
}

// open connects to a host and says EHLO, with TLS if the destination asks for it. What goes wrong
// is published.
func (w *worker) open(host Host) (dcid uint64, err error) {
	s := w.server
	dcid = s.o.Queue.NextDCID()
	local := localAddr(s.o.Committed(), host.Addr.Addr())
	route := mail.Route{Remote: host.Addr, Local: local}
	if s.o.Record(dcid, w.d.domain) {
		route.Record = func(sent bool, line string) {
			w.publish(0, mailevents.DeliveryLine{DCID: dcid, Sent: sent, Line: line})
		}
	}
	c, err := s.o.Client.Dial(w.ctx, route)
	if err == nil {
		local = addrOf(c.LocalAddr())
	}
	conn := &connection{Conn: c, dcid: dcid, host: host, local: local}
	if err != nil {
		w.failed(conn, err)
		if route.Record != nil {
			s.o.NotRecorded(dcid)
		}
		return dcid, err
	}
	conn.opened = w.publish(0, mailevents.DeliveryConnectionOpened{
		DCID: dcid, Domain: w.d.domain, Local: local, Remote: host.Addr,
	})
	if _, err = c.Greeting(w.ctx); err == nil {
		_, err = c.Hello(w.ctx)
	}
	if err == nil && w.limits.TLS != TLSOff {
		err = w.secure(conn)
	}
	if err != nil {
		if !isRefusal(err) && !errors.Is(err, errTLS) {
			w.failed(conn, err)
		}
		c.Close()
		w.publish(conn.opened, mailevents.DeliveryConnectionClosed{DCID: dcid})
		return dcid, err
	}
	w.conn = conn
	s.setReachable(w.d, true, Profile{})
	return dcid, nil
}

// failed publishes that a connection could not be opened, or was lost.
func (w *worker) failed(c *connection, err error) {
	local := c.local
	if !local.IsValid() {
		local = w.server.sourceAddr(c.host.Addr.Addr())
	}
	if w.ctx.Err() == nil {
		w.publish(c.opened, mailevents.DeliveryConnectionFailed{
			DCID: c.dcid, Domain: w.d.domain, Local: local, Remote: c.host.Addr,
			Details: errnoText(err), Reason: reasonText(err),
		})
	}
}

// hangUp ends the connection, if there is one, with QUIT.
func (w *worker) hangUp() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, quitTimeout)
	defer cancel()
	w.conn.Quit(ctx) //nolint:errcheck // the server has answered everything that matters
	w.drop()
}

// quitTimeout bounds the wait for the answer to QUIT.
const quitTimeout = 10 * time.Second

// drop closes the connection.
func (w *worker) drop() {
	w.conn.Close()
	w.publish(w.conn.opened, mailevents.DeliveryConnectionClosed{DCID: w.conn.dcid})
	w.conn = nil
}

// isRefusal reports whether an error is a server's negative reply.
func isRefusal(err error) bool {
	var e *mail.Error
	return errors.As(err, &e) && e.Reply.Code >= 400
}
