package delivery

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/netconfig"
)

// attempt sends a message over the open connection. Recipients who got it and those who never will
// are finished; the others are returned with what went wrong.
func (w *worker) attempt(j job) (left map[int]failure) {
	c, s := w.conn, w.server
	body, err := s.o.Queue.Body(j.env.MID)
	if errors.Is(err, queue.ErrNoMessage) {
		return nil // an administrator has deleted it
	}
	if err != nil {
		s.o.Logger.Warn("a message of the queue cannot be read", "mid", j.env.MID, "err", err)
		left = map[int]failure{}
		for _, rid := range j.rids {
			left[rid] = unreadable()
		}
		return left
	}
	defer body.Close()
	c.sent++
	s.publish(&j.env, c.opened, mailevents.DeliveryStarted{
		DCID: c.dcid, MID: j.env.MID, RIDs: j.rids,
	})
	failed := map[int]failure{}
	accepted, reply, err := w.transaction(j, body, failed)
	if err != nil {
		w.tellFailure(&j.env, c.host.Addr, err, accepted...)
	}
	switch {
	case err == nil && len(accepted) > 0:
		w.delivered(j, accepted, reply)
	case err != nil && w.ctx.Err() != nil:
		return nil // the server is stopping: the recipients stay queued, unchanged
	case err != nil && !isRefusal(err):
		w.failed(c, err)
		for _, rid := range accepted {
			failed[rid] = networkFailure(err)
		}
		w.drop()
	case err != nil:
		var e *mail.Error
		errors.As(err, &e)
		for _, rid := range accepted {
			failed[rid] = replyFailure(e.Reply, e.Step == mail.Data || e.Step == mail.Body)
		}
		w.reset()
	default:
		w.reset()
	}
	left = map[int]failure{}
	for _, rid := range keys(failed) {
		f := failed[rid]
		f.dcid = c.dcid
		if f.Reply.Code != 0 {
			f.remote = c.host.Addr.Addr()
		}
		if f.soft {
			left[rid] = f
		} else {
			s.bounce(w.ctx, c.dcid, &j, rid, w.d.domain, f)
		}
	}
	return left
}

// transaction does the steps from MAIL to the end of the message. accepted are the recipients
// that the server has accepted, or all if it has refused the sender or the connection is lost; failed
// gets the others. reply is that to the whole message.
func (w *worker) transaction(
	j job, body io.Reader, failed map[int]failure,
) (accepted []int, reply mail.Reply, err error) {
	c := w.conn
	params := mail.MailParams{Size: j.env.Size, EightBit: j.env.EightBit}
	if _, err := c.Mail(w.ctx, j.env.From, params); err != nil {
		return j.rids, mail.Reply{}, err
	}
	for i, rid := range j.rids {
		_, err := c.Rcpt(w.ctx, j.recipient(rid).Address)
		switch {
		case err == nil:
			accepted = append(accepted, rid)
		case isRefusal(err):
			var e *mail.Error
			errors.As(err, &e)
			failed[rid] = replyFailure(e.Reply, false)
			w.tellFailure(&j.env, c.host.Addr, err, rid)
		default:
			return append(accepted, j.rids[i:]...), mail.Reply{}, err
		}
	}
	if len(accepted) == 0 {
		return nil, mail.Reply{}, nil
	}
	if _, err = c.Data(w.ctx); err == nil {
		reply, err = c.Body(w.ctx, body)
	}
	return accepted, reply, err
}

// reset ends a transaction that the server has refused, so that another one can begin.
func (w *worker) reset() {
	if _, err := w.conn.Reset(w.ctx); err != nil {
		w.drop()
	}
}

// delivered records that a server has taken a message.
func (w *worker) delivered(j job, rids []int, reply mail.Reply) {
	s, c := w.server, w.conn
	changes := make([]queue.Change, len(rids))
	event := mailevents.Delivered{
		DCID: c.dcid, MID: j.env.MID, RIDs: rids, Response: eventReply(reply), Domain: w.d.domain,
		From: j.env.From, Bytes: j.env.Size,
		Local: c.local, Remote: c.host.Addr.Addr(), LoggedHeaders: s.loggedHeaders(j.env.MID),
		Received: j.env.Received, Source: j.env.RemoteIP,
	}
	for i, rid := range rids {
		changes[i] = queue.Delivered(rid)
		r := j.recipient(rid)
		event.Delivered = append(event.Delivered,
			mailevents.DeliveredRecipient{RID: rid, To: r.Address, Attempts: r.Attempts + 1})
	}
	sent := s.aboutAll(j, rids)
	defer s.outcomes.begin(j.env.MID)()
	result, ok := s.record(w.ctx, j.env.MID, changes...)
	if !ok {
		return
	}
	seq := s.publish(&j.env, c.opened, event)
	for _, m := range sent {
		events.Publish(s.o.Events, seq, mailevents.InternalSent{Message: m})
	}
	s.finished(seq, &j.env, result)
}

// finished has MessageFinished published if result says that the message has no recipients left.
func (s *Server) finished(cause uint64, env *queue.Envelope, result queue.Result) {
	if result.Finished {
		s.outcomes.finish(env.MID, func() {
			s.publish(env, cause, mailevents.MessageFinished{MID: env.MID})
		})
	}
}

// saveInterval is the time between attempts to write a change to a queue whose disk fails.
const saveInterval = time.Second

// record updates a message in the queue. If the disk is full or fails, record retries until it
// succeeds: an unrecorded delivery would be repeated. ok is false if the message is gone or ctx has
// ended.
func (s *Server) record(ctx context.Context, mid uint64, changes ...queue.Change) (r queue.Result, ok bool) {
	return s.persist(ctx, func() (queue.Result, error) {
		// What a server has accepted is recorded even while the appliance stops.
		return s.o.Queue.Update(context.WithoutCancel(ctx), mid, changes...)
	})
}

func (s *Server) persist(ctx context.Context, write func() (queue.Result, error)) (r queue.Result, ok bool) {
	told := false
	for {
		r, err := write()
		switch {
		case err == nil:
			return r, true
		case errors.Is(err, queue.ErrNoMessage), errors.Is(err, queue.ErrNoRecipient),
			errors.Is(err, queue.ErrClosed):
			return queue.Result{}, false // deleted meanwhile, or the appliance stops
		}
		if !told {
			told = true
			s.o.Logger.Warn("the mail queue cannot be written; the write is retried", "err", err)
		}
		if clock.RealTime(s.o.Clock).Sleep(ctx, saveInterval) != nil {
			return queue.Result{}, false
		}
	}
}

// deferRecipients has recipients tried again later, by their bounce profile; those with too many
// tries bounce.
func (s *Server) deferRecipients(w *worker, j job, left map[int]failure) {
	if len(left) == 0 {
		return
	}
	profile := s.profile(&j.env, w.limits)
	now := s.o.Clock.Now()
	again := map[time.Time][]int{}
	var warnings []*notice
	for _, rid := range keys(left) {
		f, r := left[rid], j.recipient(rid)
		if r.Attempts+1 > profile.MaxRetries {
			s.bounce(w.ctx, f.dcid, &j, rid, w.d.domain, expired())
			continue
		}
		next := now.Add(profile.retryAfter(r.Attempts + 1))
		warning, ok := s.postpone(w.ctx, &j, rid, next, f, profile)
		if !ok {
			continue
		}
		if warning != nil {
			warnings = append(warnings, warning)
		}
		again[next] = append(again[next], rid)
		s.publish(&j.env, 0, mailevents.Delayed{
			DCID: f.dcid, MID: j.env.MID, RID: rid, Domain: w.d.domain, From: j.env.From,
			To: r.Address, Failure: f.Failure, LoggedHeaders: s.loggedHeaders(j.env.MID),
		})
	}
	for next, rids := range again {
		s.publish(&j.env, 0, mailevents.Pending{MID: j.env.MID, RIDs: sortedRIDs(rids), Until: next})
		s.putBack(w.d, j.env.MID, rids, next)
	}
	s.tellWarnings(warnings)
}

// refuse ends or defers all recipients of a job for the same reason.
func (s *Server) refuse(w *worker, j job, f failure) {
	left := map[int]failure{}
	for _, rid := range j.rids {
		if f.soft {
			left[rid] = f
		} else {
			s.bounce(w.ctx, f.dcid, &j, rid, w.d.domain, f)
		}
	}
	s.deferRecipients(w, j, left)
}

// sourceAddr returns the address of the first IP interface of an address's family. The log names it
// if a connection could not be opened.
func (s *Server) sourceAddr(remote netip.Addr) netip.Addr {
	for _, i := range netconfig.Interfaces.Get(s.o.Committed()).List {
		if a := i.IPv4; remote.Is4() && a.IsValid() {
			return a
		}
		if a := i.IPv6.Addr(); remote.Is6() && a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}

func addrOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return t.AddrPort().Addr().Unmap()
}
