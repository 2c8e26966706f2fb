package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
)

// warningDue reports whether the sender of a message is told that a recipient, for which an attempt
// has just failed, is late: from the second attempt on, and only if the server refused it for now
// (the vendor's note 212837). The nth warning is due n intervals after the message's arrival.
func (p Profile) warningDue(env *queue.Envelope, r queue.Recipient, f failure, now time.Time) bool {
	interval := time.Duration(p.WarnInterval) * time.Second
	return p.Warn && env.From != "" && r.Attempts > 0 && f.Reply.Code/100 == 4 &&
		r.Warnings < p.MaxWarnings &&
		now.Sub(env.Received) >= time.Duration(r.Warnings+1)*interval
}

// postpone records that a recipient is tried again at next. If a warning is due, it is queued in the
// same step, so that a process that is killed neither loses nor repeats it. warning is nil if none
// was sent.
func (s *Server) postpone(
	ctx context.Context, j *job, rid int, next time.Time, f failure, p Profile,
) (warning *notice, ok bool) {
	r, now := j.recipient(rid), s.o.Clock.Now()
	change := queue.Deferred(rid, next, queue.LastError{
		Code: f.Reply.Code, Status: f.Status, Phrase: f.Phrase, Text: firstLine(f.Reply),
	})
	if !p.warningDue(&j.env, r, f, now) {
		_, ok = s.record(ctx, j.env.MID, change)
		return nil, ok
	}
	to := j.env.From
	if p.To != "" {
		to = p.To
	}
	until := j.env.Received.Add(time.Duration(p.MaxTime) * time.Second)
	warning = s.newNotice(j, r, to, f, p, until)
	_, ok = s.persist(ctx, func() (queue.Result, error) {
		result, err := warning.commit(context.WithoutCancel(ctx), s.o.Queue, j.env.MID, change,
			queue.Warned(rid))
		if errors.Is(err, queue.ErrQuota) { // it is due at the next attempt, too
			s.o.Logger.Warn("the mail queue has no room for a delay warning", "mid", j.env.MID, "rid", rid)
			warning = nil
			return s.o.Queue.Update(context.WithoutCancel(ctx), j.env.MID, change)
		}
		return result, err
	})
	if !ok {
		return nil, false
	}
	return warning, true
}

// tellWarnings publishes that warnings were queued, and has them delivered.
func (s *Server) tellWarnings(warnings []*notice) {
	for _, n := range warnings {
		s.Announce(0, &n.env, mailevents.GeneratedWarning)
		s.Enqueue(n.env.MID)
	}
}
