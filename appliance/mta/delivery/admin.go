package delivery

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
)

func base32(mid uint64) string { return strconv.FormatUint(mid, 32) }

// A Selection chooses recipients of the queue. The zero Selection chooses all.
type Selection struct {
	Domain string // of the recipient; "": any
	Sender string // of the envelope; "": any
	Null   bool   // Sender is the null sender
	MID    uint64 // 0: any
}

// chooses reports whether a recipient of a message is chosen.
func (x Selection) chooses(env *queue.Envelope, r queue.Recipient) bool {
	switch {
	case x.MID != 0 && env.MID != x.MID,
		x.Domain != "" && destinationOf(r) != strings.ToLower(x.Domain),
		x.Null && env.From != "",
		x.Sender != "" && !strings.EqualFold(env.From, x.Sender):
		return false
	}
	return true
}

// Select calls f with each message of the queue that has chosen recipients, in the order of the
// MIDs, until f returns false. env has the chosen recipients only.
func (s *Server) Select(x Selection, f func(env queue.Envelope) bool) {
	s.o.Queue.Each(func(env *queue.Envelope) bool {
		var chosen []queue.Recipient
		for _, r := range env.Recipients {
			if x.chooses(env, r) {
				chosen = append(chosen, r)
			}
		}
		if len(chosen) == 0 {
			return true
		}
		found := *env
		found.Recipients = chosen
		return f(found)
	})
}

// Delete ends the chosen recipients without a bounce message, and returns how many messages and
// recipients there were. A recipient whose delivery is under way may get the message.
func (s *Server) Delete(ctx context.Context, x Selection) (messages, recipients int) {
	s.each(ctx, x, func(j job) {
		done := 0
		for domain, rids := range byDomain(j) {
			done += s.delete(ctx, job{j.env, rids}, domain, byAdmin)
		}
		recipients += done
		messages += min(done, 1)
	})
	return messages, recipients
}

// Who deletes recipients.
const (
	byAdmin = "administrator"
	byRoute = "route"
)

// delete ends recipients of a destination, and returns how many there were.
func (s *Server) delete(ctx context.Context, j job, domain, by string) int {
	changes := make([]queue.Change, len(j.rids))
	for i, rid := range j.rids {
		changes[i] = queue.Deleted(rid)
	}
	internal := s.aboutAll(j, j.rids)
	defer s.outcomes.begin(j.env.MID)()
	result, ok := s.record(ctx, j.env.MID, changes...)
	if !ok {
		return 0
	}
	seq := s.publish(&j.env, 0, mailevents.RecipientsDeleted{
		MID: j.env.MID, RIDs: j.rids, Domain: domain, By: by,
	})
	reason := "Deleted by an administrator"
	if by != byAdmin {
		reason = "Discarded by an SMTP route"
	}
	s.tellGivenUp(seq, internal, reason)
	s.finished(seq, &j.env, result)
	return len(j.rids)
}

// Bounce ends the chosen recipients with bounce messages, and returns how many messages and
// recipients there were.
func (s *Server) Bounce(ctx context.Context, x Selection) (messages, recipients int) {
	s.each(ctx, x, func(j job) {
		done := 0
		for domain, rids := range byDomain(j) {
			for _, rid := range rids {
				if s.bounce(ctx, 0, &j, rid, domain, byAdministrator()) {
					done++
				}
			}
		}
		recipients += done
		messages += min(done, 1)
	})
	return messages, recipients
}

// Redirect has all recipients of the queue delivered to one host, and returns how many there were.
// Their addresses stay: they are what the host is given.
func (s *Server) Redirect(ctx context.Context, host string) (recipients int) {
	s.each(ctx, Selection{}, func(j job) {
		var changes []queue.Change
		for _, rid := range j.rids {
			changes = append(changes, queue.Redirected(rid, host))
		}
		if _, ok := s.record(ctx, j.env.MID, changes...); ok {
			recipients += len(changes)
		}
	})
	return recipients
}

// each calls f with each message of the queue that has chosen recipients, except for those whose
// delivery is under way. Until f returns, the message is claimed and the recipients are taken out of
// their lines. Those that the queue still has afterwards are put back.
func (s *Server) each(ctx context.Context, x Selection, f func(job)) {
	s.Select(x, func(env queue.Envelope) bool {
		release, ok := s.Claim(ctx, env.MID)
		if !ok {
			return false
		}
		defer release()
		j, waited := s.takeOut(env.MID, x)
		if len(j.rids) > 0 {
			f(j)
		}
		if waited {
			s.Enqueue(env.MID)
		}
		return true
	})
}

// takeOut returns the chosen recipients of a message, as the queue has them now, without those that
// are being tried. If they waited for delivery, they are taken out of their lines and waited is
// true; otherwise the message is in the work queue.
func (s *Server) takeOut(mid uint64, x Selection) (j job, waited bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	env, _ := s.o.Queue.Message(mid)
	j.env = env
	j.env.Recipients = nil
	for _, r := range env.Recipients {
		d := s.destinations[key(&env, r)]
		waits := d != nil && d.line.has(mid, r.RID)
		flying := s.flights[recipientKey{mid, r.RID}] > 0
		waited = waited || waits || flying
		if flying || !x.chooses(&env, r) {
			continue
		}
		if waits {
			d.line.takeRecipient(mid, r.RID)
		}
		j.env.Recipients = append(j.env.Recipients, r)
		j.rids = append(j.rids, r.RID)
	}
	return j, waited
}

// byDomain divides the recipients of a job by destination.
func byDomain(j job) map[string][]int {
	out := map[string][]int{}
	for _, rid := range j.rids {
		domain := destinationOf(j.recipient(rid))
		out[domain] = append(out[domain], rid)
	}
	return out
}

// DeliverNow has the recipients of a domain tried at once, all for "".
func (s *Server) DeliverNow(domain string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.destinations {
		if domain != "" && d.domain != strings.ToLower(domain) {
			continue
		}
		d.line.makeAllDue()
		d.hold, d.window, d.inWindow = time.Time{}, time.Time{}, 0
		s.schedule(d)
	}
}

// Suspend stops deliveries, except for those of the internal SMTP system. It returns when those that are under way have ended, which are cut off
// when ctx ends, or when deliveries are resumed. It reports whether deliveries were not suspended
// before.
func (s *Server) Suspend(ctx context.Context) bool {
	s.mu.Lock()
	changed := !s.suspended
	s.suspended = true
	s.suspensions++
	this := s.suspensions
	for _, d := range s.destinations {
		if !d.internal {
			s.unschedule(d)
			d.wakeWorker()
		}
	}
	stop := context.AfterFunc(ctx, func() { s.cutOff(this) })
	for s.connections > s.internal && s.suspensions == this {
		s.idle.Wait()
	}
	s.mu.Unlock()
	stop()
	if changed {
		events.Publish(s.o.Events, 0, mailevents.Suspension{What: mailevents.Delivery, Suspended: true})
	}
	return changed
}

// cutOff ends all connections, unless deliveries were resumed or suspended again since the given
// suspension.
func (s *Server) cutOff(suspension uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx != nil && s.suspensions == suspension {
		s.cancel()
		s.ctx, s.cancel = context.WithCancel(context.Background())
	}
}

// Resume takes deliveries up again. It reports whether they were suspended.
func (s *Server) Resume() bool {
	s.mu.Lock()
	changed := s.suspended
	s.suspended = false
	s.suspensions++
	s.idle.Broadcast() // a Suspend that waits is over
	if changed {       // with mu held, so that no delivery is told before
		events.Publish(s.o.Events, 0, mailevents.Suspension{What: mailevents.Delivery})
	}
	s.scheduleAll()
	s.mu.Unlock()
	return changed
}

// Suspended reports whether deliveries are suspended.
func (s *Server) Suspended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.suspended
}

// Domains returns the destinations for which something waits or is under way, in no order.
func (s *Server) Domains() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	domains := map[string]bool{}
	for _, d := range s.destinations {
		domains[d.domain] = true
	}
	return slices.Collect(maps.Keys(domains))
}

// Connections returns how many connections to a destination are open or about to be opened.
func (s *Server) Connections(domain string) (open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	domain = strings.ToLower(domain)
	for _, k := range []string{domain, internalKey(domain)} {
		if d := s.destinations[k]; d != nil {
			open += d.workers
		}
	}
	return open
}
