package listener

import (
	"errors"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
)

// errQuit ends a session whose client has said QUIT.
var errQuit = errors.New("the client has said QUIT")

// commandLoop answers commands until the connection ends. It returns errQuit after QUIT, errRefused
// if the client was told why, and else the error of reading.
func (s *session) commandLoop() error {
	for {
		line, ok, err := s.readLine()
		if err != nil {
			return err
		}
		s.commands++
		if err := s.command(line, ok); err != nil {
			return err
		}
	}
}

// command answers one command.
func (s *session) command(line string, ok bool) error {
	verb, rest, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	switch {
	case verb == "QUIT":
		return s.quit()
	case s.verdict.policy.Action == Reject:
		s.refuse()
		return nil
	case !ok:
		s.reply(500, "Line too long")
		return s.badCommand()
	}
	rest = strings.TrimSpace(rest)
	switch verb {
	case "HELO", "EHLO":
		return s.hello(verb, rest)
	case "NOOP":
		s.reply(250, "ok")
	case "RSET":
		if s.message != nil {
			s.abort("Receiving aborted by sender")
		}
		s.reply(250, "reset")
	case "VRFY":
		s.reply(252, "Cannot VRFY user, but will accept message and attempt delivery")
	case "STARTTLS":
		return s.startTLS()
	case "AUTH":
		return s.auth(rest)
	case "MAIL":
		return s.mail(rest)
	case "RCPT":
		return s.rcpt(rest)
	case "DATA":
		return s.data()
	default:
		s.reply(500, "#5.5.1 command not recognized")
		return s.badCommand()
	}
	return nil
}

// badCommand counts an unknown command, and ends the session after too many.
func (s *session) badCommand() error {
	if s.bad++; s.bad <= maxBadCommands {
		return nil
	}
	s.dropped(mailevents.DroppedBadCommands)
	s.reply(421, "Exceeded bad SMTP command limit, disconnecting")
	return errRefused
}

func (s *session) quit() error {
	if s.message != nil {
		s.abort("Receiving aborted by sender")
	}
	s.reply(221, s.hostname)
	return errQuit
}

func (s *session) hello(verb, name string) error {
	if name == "" {
		s.reply(501, "#5.0.0 "+verb+" requires domain address")
		return nil
	}
	if s.message != nil { // EHLO has the effect of RSET (RFC 5321 4.1.4)
		s.abort("Receiving aborted by sender")
	}
	s.helo, s.extended = name, verb == "EHLO"
	if !s.extended {
		s.reply(250, s.hostname)
		return nil
	}
	lines := []string{s.hostname, "8BITMIME", "SIZE " + strconv.FormatInt(s.limits.MaxMessageSize, 10)}
	if s.offersAuth() {
		lines = append(lines, "AUTH PLAIN LOGIN")
	}
	if s.limits.TLS != Off && s.tls == nil {
		lines = append(lines, "STARTTLS")
	}
	s.reply(250, lines...)
	return nil
}

// mail answers MAIL FROM.
func (s *session) mail(rest string) error {
	switch {
	case s.message != nil:
		s.reply(503, "#5.5.0 MAIL transaction already in progress")
		return nil
	case s.limits.TLS == Required && s.tls == nil:
		publish(s, mailevents.TLSRequired{ICID: s.icid})
		s.reply(530, "#5.7.0 Must issue a STARTTLS command first")
		return nil
	case s.limits.Auth == Required && s.user == "":
		s.reply(530, "Authentication required")
		return nil
	case s.messages >= s.limits.MaxMessages:
		s.dropped(mailevents.DroppedTooManyMessages)
		s.reply(421, "#4.x.2 Too many messages for this session")
		return errRefused
	}
	from, params, ok := parsePath(rest, "FROM:")
	if !ok {
		s.reply(501, "#5.5.2 syntax error "+printable(rest))
		return nil
	}
	eightBit, ok := s.mailParams(params)
	if !ok {
		return nil
	}
	if from, ok = s.withDomain(from); !ok {
		s.reply(501, "#5.5.2 syntax error "+printable(rest))
		return nil
	}
	if s.limits.VerifySender {
		if reason, answer := s.verifySender(from); reason != "" {
			publish(s, mailevents.SenderRejected{ICID: s.icid, From: from, Reason: reason})
			s.reply(answer.Code, s.fillFor(answer.Text, from))
			return nil
		}
	}
	if s.server.o.ResourcesLow() {
		s.reply(452, "#4.3.1 server resources low - try again later")
		return nil
	}
	s.begin(from, eightBit)
	return nil
}

// begin starts a message: it gets its MID here (mail.md 1.1).
func (s *session) begin(from string, eightBit bool) {
	s.messages++
	t := &transaction{mid: s.server.o.Queue.NextMID(), from: from, eightBit: eightBit}
	t.event = events.Publish(s.server.o.Events, s.openEvent,
		mailevents.MessageStarted{MID: t.mid, ICID: s.icid, From: from})
	s.message = t
	s.reply(250, "sender <"+from+"> ok")
}

// mailParams reports whether the client declares 8-bit text (RFC 6152). If a parameter of MAIL is
// wrong, it answers the command, and ok is false.
func (s *session) mailParams(params []string) (eightBit, ok bool) {
	for _, p := range params {
		key, value, _ := strings.Cut(p, "=")
		good := true
		switch strings.ToUpper(key) {
		case "SIZE":
			n, err := strconv.ParseUint(value, 10, 64)
			if good = err == nil || errors.Is(err, strconv.ErrRange); !good {
				break
			}
			if n > uint64(s.limits.MaxMessageSize) { // ErrRange comes with the largest number
				s.reply(552, "size limit exceeded")
				return false, false
			}
		case "BODY":
			eightBit = strings.EqualFold(value, "8BITMIME")
			good = eightBit || strings.EqualFold(value, "7BIT")
		case "AUTH": // RFC 4954 section 5: accepted, the sender's claim is not used
		default:
			good = false
		}
		if !good {
			s.reply(501, "#5.5.2 syntax error "+printable(p))
			return false, false
		}
	}
	return eightBit, true
}

// rcpt answers RCPT TO.
func (s *session) rcpt(rest string) error {
	if s.message == nil {
		s.reply(503, "#5.5.1 MAIL first")
		return nil
	}
	to, params, ok := parsePath(rest, "TO:")
	if ok {
		to, ok = s.withDomain(to)
	}
	if !ok || to == "" || len(params) > 0 {
		s.reply(501, "#5.5.2 syntax error "+printable(rest))
		return nil
	}
	entry, accepted := s.judgeRecipient(to)
	if !accepted {
		return s.rejectRecipient(to, entry)
	}
	recipients, expanded := s.server.tables(s.server.o.Committed()).aliases.expand(to)
	if s.message.accepted >= s.limits.MaxRecipients ||
		len(s.message.recipients)+len(recipients) > queue.MaxRecipients {
		s.reply(452, "#4.5.3 Too many recipients")
		return nil
	}
	if !entry.Bypass {
		if refusal := s.countRecipient(); refusal != nil {
			s.publishRejected(to, "Receiving Control")
			s.reply(refusal.Code, s.fillFor(refusal.Text, s.message.from))
			return nil
		}
	}
	s.addRecipients(to, recipients, expanded)
	if entry.Code != 0 && entry.Code/100 == 2 {
		s.reply(entry.Code, entry.Reply)
		return nil
	}
	s.reply(250, "recipient <"+to+"> ok")
	return nil
}

// addRecipients adds what a recipient stands for to the message. expanded says that the alias table
// has changed it: what is a recipient of the message already is not added again.
func (s *session) addRecipients(to string, recipients []string, expanded bool) {
	t := s.message
	t.accepted++
	if expanded {
		publish(s, mailevents.RecipientExpanded{MID: t.mid, ICID: s.icid, To: to, Into: recipients})
	}
	for _, r := range recipients {
		if known := t.know(r, expanded); known && expanded {
			continue
		}
		rid := len(t.recipients)
		t.recipients = append(t.recipients, r)
		publish(s, mailevents.RecipientAccepted{MID: t.mid, ICID: s.icid, RID: rid, To: r})
	}
}

// know reports whether the message has a recipient, and remembers it. Until remember is set, which
// few messages need, it does neither.
func (t *transaction) know(recipient string, remember bool) (known bool) {
	if t.known == nil && remember {
		t.known = map[string]bool{}
		for _, r := range t.recipients {
			t.known[strings.ToLower(r)] = true
		}
	}
	if t.known == nil {
		return false
	}
	key := strings.ToLower(recipient)
	known = t.known[key]
	t.known[key] = true
	return known
}

// judgeRecipient returns what the recipient access table says about a recipient. Mail that is
// relayed, and that of private listeners, may go to anybody.
func (s *session) judgeRecipient(to string) (e RecipientEntry, accepted bool) {
	if s.conf.Type == Private || s.verdict.policy.Action == Relay || s.user != "" {
		return RecipientEntry{}, true
	}
	return s.conf.Recipients.accepts(to, s.server.tables(s.server.o.Committed()).known[lower(s.conf.Name)])
}

// rejectRecipient answers RCPT for a recipient that the table refuses, and ends the session of a
// client that seems to guess.
func (s *session) rejectRecipient(to string, e RecipientEntry) error {
	s.publishRejected(to, "RAT")
	limit := s.limits.MaxInvalidPerHour
	if s.conf.Type == Public && limit > 0 && s.countRefused() > limit {
		publish(s, mailevents.HarvestSuspected{
			ICID: s.icid, Listener: s.conf.Name, Remote: s.remote.Addr(), Host: s.host,
			Verified: s.verified, Limit: limit, Group: s.verdict.group, From: s.message.from, To: to,
		})
		s.server.o.OnHarvest("Potential Directory Harvest Attack detected.  " +
			"See the system mail logs for more information about this attack.")
		s.reply(s.limits.Invalid.Code, s.fillFor(s.limits.Invalid.Text, s.message.from))
		return errRefused
	}
	code, text := 550, "#5.1.0 Address rejected."
	if e.Reject && e.Code != 0 {
		code, text = e.Code, e.Reply
	}
	s.reply(code, text)
	return nil
}

func (s *session) publishRejected(to, by string) {
	publish(s, mailevents.RecipientRejected{MID: s.message.mid, ICID: s.icid, To: to, By: by})
}

// countRecipient counts a recipient of the client and of the envelope sender. If a limit does not
// allow it, it returns the answer. When a sender reaches its limit, the administrator is told once.
func (s *session) countRecipient() *Reply {
	from := s.message.from
	s.server.mu.Lock()
	p := s.period()
	host, sender := s.limits.MaxRecipientsPerHour, s.limits.MaxRecipientsPerSender
	if host >= 0 && p.accepted >= host {
		s.server.mu.Unlock()
		return &s.limits.PerHour
	}
	if sender >= 0 && from != "" {
		q := s.senderPeriod(from)
		if q.accepted >= sender {
			told := q.refused > 0
			q.refused++
			s.server.mu.Unlock()
			if !told {
				s.server.o.OnRateLimited("System is rate limiting Envelope Sender <" + printable(from) +
					"> due to high volume of messages")
			}
			return &s.limits.PerSender
		}
		q.accepted++
	}
	p.accepted++
	s.server.mu.Unlock()
	return nil
}

// countRefused counts a refused recipient, and returns how many there were in the present hour.
func (s *session) countRefused() int {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	p := s.period()
	p.refused++
	return p.refused
}

// abort ends the present message before it was received.
func (s *session) abort(reason string) {
	publish(s, mailevents.MessageAborted{
		MID: s.message.mid, Reason: reason, Recipients: len(s.message.recipients), Receiving: true,
	})
	publish(s, mailevents.MessageFinished{MID: s.message.mid, Aborted: true})
	s.message = nil
}
