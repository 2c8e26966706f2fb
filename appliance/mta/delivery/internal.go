package delivery

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/netip"
	"net/textproto"
	"strings"
	"syscall"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/resolver"
)

// internalPrefix begins queue.Envelope.Internal of the internal SMTP system's messages.
const internalPrefix = "internal SMTP: "

// InternalSMTP returns the value of queue.Envelope.Internal for a message that the internal SMTP
// system sends. about says what the message is, for the log: see mailevents.InternalMessage.
func InternalSMTP(about string) string { return internalPrefix + about }

// internalMail reports whether the internal SMTP system sends a message, and what it is about.
func internalMail(env *queue.Envelope) (about string, ok bool) {
	return strings.CutPrefix(env.Internal, internalPrefix)
}

// internalProfile is the bounce profile of the internal SMTP system [convention]: its messages are
// tried for a day, and nobody gets a bounce message about them.
func internalProfile() Profile {
	return Profile{MaxRetries: 10_000, MaxTime: 86_400, FirstRetry: 60, MaxRetry: 1800}
}

// publish publishes an event about a message.
func (s *Server) publish(env *queue.Envelope, cause uint64, fields events.Fields) uint64 {
	if _, internal := internalMail(env); internal {
		return events.Publish(s.o.Events, cause, mailevents.Wrap(fields))
	}
	return events.Publish(s.o.Events, cause, fields)
}

// publish publishes an event about a connection of the worker.
func (w *worker) publish(cause uint64, fields events.Fields) uint64 {
	if w.d.internal {
		return events.Publish(w.server.o.Events, cause, mailevents.Wrap(fields))
	}
	return events.Publish(w.server.o.Events, cause, fields)
}

// about returns what events say of a recipient of internal mail. ok is false for other mail.
func (s *Server) about(env *queue.Envelope, rid int) (m mailevents.InternalMessage, ok bool) {
	about, ok := internalMail(env)
	if !ok {
		return m, false
	}
	j := job{env: *env}
	return mailevents.InternalMessage{
		MID: env.MID, About: about, To: j.recipient(rid).Address, Subject: s.subject(env.MID),
	}, true
}

// aboutAll returns what events say of recipients of internal mail, nothing for other mail.
func (s *Server) aboutAll(j job, rids []int) (all []mailevents.InternalMessage) {
	for _, rid := range rids {
		if m, ok := s.about(&j.env, rid); ok {
			all = append(all, m)
		}
	}
	return all
}

// tellGivenUp publishes that internal messages are given up.
func (s *Server) tellGivenUp(cause uint64, messages []mailevents.InternalMessage, reason string) {
	for _, m := range messages {
		events.Publish(s.o.Events, cause, mailevents.InternalGivenUp{Message: m, Reason: reason})
	}
}

// subject returns the subject of a message.
func (s *Server) subject(mid uint64) string {
	body, err := s.o.Queue.Body(mid)
	if err != nil {
		return ""
	}
	defer body.Close()
	// A header that is incomplete or malformed still gives the fields before the error.
	header, _ := textproto.NewReader(bufio.NewReader(io.LimitReader(body, 64<<10))).ReadMIMEHeader()
	text := header.Get("Subject")
	if decoded, err := new(mime.WordDecoder).DecodeHeader(text); err == nil {
		return decoded
	}
	return text
}

// tellAttempt publishes that an attempt for a job of internal mail begins.
func (w *worker) tellAttempt(j job) {
	if !w.d.internal {
		return
	}
	w.server.mu.Lock()
	unreachable := w.d.fails
	w.server.mu.Unlock()
	for _, rid := range j.rids {
		m, _ := w.server.about(&j.env, rid)
		events.Publish(w.server.o.Events, 0, mailevents.InternalAttempted{
			Message: m, Attempt: j.recipient(rid).Attempts + unreachable,
		})
	}
}

// tellFailure publishes why recipients of internal mail could not be reached at a host, or with the
// zero host, why none was found.
func (w *worker) tellFailure(env *queue.Envelope, host netip.AddrPort, err error, rids ...int) {
	if !w.d.internal || w.ctx.Err() != nil {
		return
	}
	reason := lookupFailureText(err)
	if host.IsValid() {
		reason = failureText(err)
	}
	for _, rid := range rids {
		m, _ := w.server.about(env, rid)
		events.Publish(w.server.o.Events, 0, mailevents.InternalFailed{
			Message: m, Domain: w.d.domain, Host: host, Reason: reason,
		})
	}
}

// Why internal mail is given up, in the words of the log.
const (
	unrecoverable   = "Unrecoverable error"
	tooManyAttempts = "Too many failed attempts"
)

func givenUpReason(f failure) string {
	if f.category == mailevents.ExpiredBounce {
		return tooManyAttempts
	}
	return unrecoverable
}

// failureText returns the reason why a server did not accept a message, as the mail log shows it
// (logs.md 4.4).
func failureText(err error) string {
	var e *mail.Error
	switch {
	case errors.As(err, &e) && e.Reply.Code != 0:
		want := "2"
		if e.Step == mail.Data {
			want = "3"
		}
		return fmt.Sprintf(`Unexpected SMTP response "%d", `+
			`expecting code starting with "%s", response was [%s]`,
			e.Reply.Code, want, quotedLines(e.Reply))
	case e != nil && e.Step != mail.Connect && e.Timeout():
		return fmt.Sprintf("Timed out waiting for the server in step %s", e.Step)
	case errors.Is(err, mail.ErrClosed), errors.Is(err, syscall.EPIPE):
		return "Connection closed by the server"
	case errors.Is(err, syscall.ECONNRESET):
		return "Connection reset by peer"
	case errors.Is(err, mail.ErrTLSOnly), errors.Is(err, mail.ErrMalformed):
		return "The server does not speak SMTP"
	}
	if text, ok := network.ErrorText(err); ok {
		return text
	}
	return "Connection failed"
}

// quotedLines returns the lines of a reply as the log quotes them.
func quotedLines(r mail.Reply) string {
	var quoted []string
	for _, line := range eventReply(r).Lines {
		quoted = append(quoted, "'"+strings.ReplaceAll(line, "'", `\'`)+"'")
	}
	return strings.Join(quoted, ", ")
}

// lookupFailureText returns the reason why no host was found.
func lookupFailureText(err error) string {
	switch {
	case errors.Is(err, resolver.ErrNotFound):
		return "No such host or domain"
	case errors.Is(err, resolver.ErrNoServer):
		return "No DNS server is configured"
	case errors.Is(err, resolver.ErrNoAnswer):
		return "No DNS server answered"
	}
	return "The DNS look-up failed"
}
