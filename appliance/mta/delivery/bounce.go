package delivery

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/maillog"
	"github.com/esasim/esasim/appliance/mta/queue"
)

// bounce finishes a recipient that cannot be reached, and sends the sender a bounce message. If
// the message is itself a bounce, no bounce message is sent. It reports whether the recipient is
// finished.
func (s *Server) bounce(
	ctx context.Context, dcid uint64, j *job, rid int, domain string, f failure,
) bool {
	r := j.recipient(rid)
	profile := s.profile(&j.env, Destinations.Get(s.o.Committed()).Find(domain))
	event := mailevents.Bounced{
		DCID: dcid, MID: j.env.MID, RID: rid, Domain: domain, From: j.env.From, To: r.Address,
		Failure: f.Failure, Category: f.category, Double: j.env.From == "",
		LoggedHeaders: s.loggedHeaders(j.env.MID),
		Bytes:         j.env.Size, Received: j.env.Received, Source: j.env.RemoteIP,
		Remote: f.remote, Attempts: r.Attempts + 1, Message: s.beginning(j.env.MID),
	}
	if dcid == 0 { // no attempt was made now
		event.Attempts = r.Attempts
	}
	to := j.env.From
	if profile.To != "" && to != "" {
		to = profile.To
	}
	end := s.outcomes.begin(j.env.MID)
	if to == "" || !profile.Send {
		defer end()
		internal := s.aboutAll(*j, []int{rid})
		result, ok := s.record(ctx, j.env.MID, queue.Bounced(rid))
		if ok {
			seq := s.publish(&j.env, 0, event)
			s.tellGivenUp(seq, internal, givenUpReason(f))
			s.finished(seq, &j.env, result)
		}
		return ok
	}
	notice, sent := s.newNotice(j, r, to, f, profile, time.Time{}), true
	result, ok := s.persist(ctx, func() (queue.Result, error) {
		result, err := notice.commit(context.WithoutCancel(ctx), s.o.Queue, j.env.MID,
			queue.Bounced(rid))
		if errors.Is(err, queue.ErrQuota) {
			// A queue that is full must be able to become empty, even without telling senders.
			s.o.Logger.Warn("the mail queue has no room for a bounce message", "mid", j.env.MID, "rid", rid)
			sent = false
			return s.o.Queue.Update(context.WithoutCancel(ctx), j.env.MID, queue.Bounced(rid))
		}
		return result, err
	})
	if !ok {
		end()
		return false
	}
	seq := s.publish(&j.env, 0, event)
	if sent {
		s.Announce(seq, &notice.env, mailevents.GeneratedBounce)
	}
	s.finished(seq, &j.env, result)
	end() // before the delivery of the bounce message begins
	if sent {
		s.Enqueue(notice.env.MID)
	}
	return true
}

// A notice is a bounce message or a delay warning.
type notice struct {
	env  queue.Envelope
	text []byte
}

// commit queues the notice and changes the message that it is about in one atomic step.
func (n *notice) commit(
	ctx context.Context, q *queue.Queue, mid uint64, changes ...queue.Change,
) (queue.Result, error) {
	in, err := q.Create(n.env.MID)
	if err != nil {
		return queue.Result{}, err
	}
	defer in.Abort()
	if _, err := in.Write(n.text); err != nil {
		return queue.Result{}, err
	}
	return in.CommitWith(ctx, n.env, mid, changes...)
}

// Announce publishes that the appliance has made a message, which is in the queue (mail.md 1.6).
func (s *Server) Announce(cause uint64, env *queue.Envelope, generated mailevents.Generated) {
	started := s.publish(env, cause, mailevents.MessageStarted{
		MID: env.MID, From: env.From, Generated: generated, Of: env.BounceOf,
	})
	for _, r := range env.Recipients {
		s.publish(env, started,
			mailevents.RecipientAccepted{MID: env.MID, RID: r.RID, To: r.Address})
	}
	s.publish(env, started, mailevents.MessageReady{
		MID: env.MID, Bytes: env.Size, From: env.From, Recipients: len(env.Recipients),
		Generated: generated,
	})
	s.publish(env, started, mailevents.MessageQueued{MID: env.MID})
}

// newNotice returns the bounce message about a recipient or, if it is tried again until a time, the
// delay warning.
func (s *Server) newNotice(
	j *job, r queue.Recipient, to string, f failure, p Profile, until time.Time,
) *notice {
	mid, now := s.o.Queue.NextMID(), s.o.Clock.Now()
	n := &notice{env: queue.Envelope{
		MID: mid, Recipients: []queue.Recipient{{Address: to}}, Received: now,
		Stage: queue.Delivery, Outgoing: true, BounceOf: j.env.MID, Listener: j.env.Listener,
	}}
	n.text = s.noticeText(noticeFacts{
		mid: mid, to: to, recipient: r, failure: f, dsn: p.DSN, until: until,
		original: s.excerpt(j.env.MID, j.env.Size),
	})
	n.env.Size = int64(len(n.text))
	n.env.EightBit = slices.ContainsFunc(n.text, func(b byte) bool { return b > 127 })
	return n
}

// noticeFacts are what a notice tells.
type noticeFacts struct {
	mid       uint64
	to        string
	recipient queue.Recipient
	failure   failure
	dsn       bool
	until     time.Time // of a delay warning: when the last attempt is made; zero: a bounce message
	original  []byte
}

// A wording is what differs between bounce messages, which are attested, and delay warnings.
type wording struct{ subject, text, action, status string }

func (n *noticeFacts) wording() wording {
	if n.until.IsZero() {
		return wording{"Failure", "was undeliverable", "failed", "5.0.0 (permanent failure)"}
	}
	return wording{"Delay", "has been delayed", "delayed", "4.0.0 (temporary failure)"}
}

// noticeText returns a notice (mail.md 4.7). Its three parts are those of RFC 3464; without
// DSN there is one, with all of it.
func (s *Server) noticeText(n noticeFacts) []byte {
	host, words := s.o.Hostname(), n.wording()
	diagnostic := n.failure.Status + " - " + n.failure.Phrase
	if n.failure.Reply.Code != 0 || len(n.failure.Reply.Lines) > 0 {
		diagnostic += " " + maillog.Diagnostic(n.failure.Reply)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "Message-Id: <%06x$%s@%s>\r\n", s.o.Rand.Uint64()&0xffffff, base32(n.mid), host)
	fmt.Fprintf(&b, "Date: %s\r\n", s.o.Clock.Now().Format("02 Jan 2006 15:04:05 -0700"))
	fmt.Fprintf(&b, "From: \"Mail Delivery System\" <MAILER-DAEMON@%s>\r\nTo: <%s>\r\n"+
		"Subject: Delivery Status Notification (%s)\r\nMIME-Version: 1.0\r\n", host, n.to, words.subject)
	text := fmt.Sprintf("The following message to <%s> %s.\r\n"+
		"The reason for the problem:\r\n%s\r\n", n.recipient.Address, words.text, diagnostic)
	if !n.dsn {
		fmt.Fprintf(&b, "Content-Type: text/plain; charset=\"utf-8\"\r\n\r\n%s\r\n", text)
		b.Write(n.original)
		return b.Bytes()
	}
	boundary := s.boundary()
	fmt.Fprintf(&b, "Content-Type: multipart/report; report-type=delivery-status; boundary=\"%s\"\r\n\r\n",
		boundary)
	fmt.Fprintf(&b, "--%s\r\ncontent-type: text/plain;\r\n    charset=\"utf-8\"\r\n"+
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n", boundary)
	w := quotedprintable.NewWriter(&b)
	io.WriteString(w, text) //nolint:errcheck // a buffer takes everything
	w.Close()
	fmt.Fprintf(&b, "\r\n--%s\r\ncontent-type: message/delivery-status\r\n\r\nReporting-MTA: dns; %s\r\n\r\n"+
		"Final-Recipient: rfc822;%s\r\nAction: %s\r\nStatus: %s\r\n",
		boundary, host, n.recipient.Address, words.action, words.status)
	if n.failure.remote.IsValid() {
		fmt.Fprintf(&b, "Remote-MTA: dns; [%v]\r\n", n.failure.remote)
	}
	fmt.Fprintf(&b, "Diagnostic-Code: smtp; %s (delivery attempts: %d)\r\n",
		diagnostic, n.recipient.Attempts)
	if !n.until.IsZero() {
		fmt.Fprintf(&b, "Will-Retry-Until: %s\r\n", n.until.Format(time.RFC1123Z))
	}
	b.WriteString("\r\n")
	fmt.Fprintf(&b, "--%s\r\ncontent-type: message/rfc822\r\n\r\n", boundary)
	b.Write(n.original)
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes()
}

// boundary returns a boundary in the form of the attested ones.
func (s *Server) boundary() string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var b strings.Builder
	for i := range 35 {
		if i == 5 || i == 14 || i == 26 {
			b.WriteByte('.')
			continue
		}
		b.WriteByte(digits[s.o.Rand.IntN(len(digits))])
	}
	return b.String()
}

// maxCopy is how much of a message its bounce message has (mail.md 3.4): a smaller message as a
// whole, of a larger one the header, at most so much of it.
const maxCopy = 10 << 10

// excerpt returns what a bounce message has of a message.
func (s *Server) excerpt(mid uint64, size int64) []byte {
	body, err := s.o.Queue.Body(mid)
	if err != nil {
		return nil
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxCopy))
	if err != nil || size < maxCopy {
		return text
	}
	if i := bytes.Index(text, []byte("\r\n\r\n")); i >= 0 {
		return text[:i+2]
	}
	return text
}

// beginning returns as much of a message as the bounce logs want.
func (s *Server) beginning(mid uint64) []byte {
	n := s.o.BounceBytes()
	if n == 0 {
		return nil
	}
	body, err := s.o.Queue.Body(mid)
	if err != nil {
		return nil
	}
	defer body.Close()
	text, _ := io.ReadAll(io.LimitReader(body, int64(n))) // what was read before an error is good
	return text
}

// loggedHeaders returns the header fields of a message that the administrator has chosen to have
// logged, in the order of the setting.
func (s *Server) loggedHeaders(mid uint64) []mailevents.HeaderField {
	wanted := s.o.LoggedHeaders()
	if len(wanted) == 0 {
		return nil
	}
	body, err := s.o.Queue.Body(mid)
	if err != nil {
		return nil
	}
	defer body.Close()
	const most = 64 << 10 // of a header
	values := map[string]string{}
	in := bufio.NewReader(io.LimitReader(body, most))
	key := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == "\r\n" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			values[key] += line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		if key = strings.ToLower(name); values[key] != "" {
			key = "" // only the first field of a name is logged
			continue
		}
		values[key] = value
	}
	var out []mailevents.HeaderField
	for _, name := range wanted {
		if value, ok := values[strings.ToLower(name)]; ok {
			out = append(out, mailevents.HeaderField{
				Name: strings.ToLower(name), Value: strings.Trim(value, " \t\r\n"),
			})
		}
	}
	return out
}
