package listener

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/tlsconfig"
)

// data answers DATA and takes the message.
func (s *session) data() error {
	switch {
	case s.message == nil:
		s.reply(503, "#5.5.1 MAIL first")
		return nil
	case s.message.accepted == 0:
		s.reply(503, "#5.5.1 RCPT first")
		return nil
	}
	in, err := s.server.o.Queue.Create(s.message.mid)
	if err != nil {
		s.refused("queue full", false)
		s.replyQueueError(err)
		return nil
	}
	defer in.Abort()
	s.reply(354, "go ahead")
	w := &bodyWriter{out: in, session: s, max: s.limits.MaxMessageSize}
	if err := readBody(s.in, w, s.conf.BareLineEnds == RejectLineEnds); err != nil {
		if errors.Is(err, errTarpit) {
			return s.tarpit()
		}
		return err // the connection is lost
	}
	return s.store(in, w)
}

// store puts a message that was received into the queue, or refuses it.
func (s *session) store(in *queue.Incoming, w *bodyWriter) error {
	err := w.close()
	switch why := w.refusal; {
	case why != nil:
		s.refused(why.reason, false)
		s.reply(why.code, why.text)
		return nil
	case err != nil:
		s.refused("queue full", false)
		s.replyQueueError(err)
		return nil
	}
	t := s.message
	publish(s, mailevents.MessageRead{
		MID: t.mid, MessageID: w.header.messageID, Subject: w.header.subject,
	})
	if why := s.dropReason(); why != "" {
		s.message = nil
		s.drop(t, why)
		s.reply(250, "ok:  Message "+strconv.FormatUint(t.mid, 10)+" accepted")
		return nil
	}
	env := s.envelope()
	if err := in.Commit(s.ctx, env); err != nil {
		s.refused("queue full", false)
		s.replyQueueError(err)
		return nil
	}
	publish(s, mailevents.MessageReady{
		MID: t.mid, ICID: s.icid, Bytes: w.stored, From: t.from, Recipients: len(t.recipients),
	})
	s.message = nil
	if s.stopIdleTimer != nil {
		s.stopIdleTimer()
		s.stopIdleTimer = nil
	}
	env.Size = w.stored
	s.server.o.Accepted(env)
	s.reply(250, "ok:  Message "+strconv.FormatUint(t.mid, 10)+" accepted")
	return nil
}

// dropReason returns why the present message is accepted and dropped, "" if it is not. The texts are
// not public.
func (s *session) dropReason() string {
	switch {
	case s.conf.Type == BlackHole:
		return "Dropped by black hole listener"
	case len(s.message.recipients) == 0:
		return "Dropped by alias table"
	}
	return ""
}

// drop ends a message that was accepted and is not queued.
func (s *session) drop(t *transaction, why string) {
	for _, e := range []events.Fields{
		mailevents.MessageAborted{MID: t.mid, Reason: why, Recipients: t.accepted},
		mailevents.MessageFinished{MID: t.mid},
	} {
		events.Publish(s.server.o.Events, t.event, e)
	}
}

// refused ends a message that is not taken.
func (s *session) refused(reason string, tarpit bool) {
	publish(s, mailevents.MessageRefused{
		MID: s.message.mid, ICID: s.icid, Reason: reason, Tarpit: tarpit,
	})
	s.abort("Receiving aborted")
}

// tarpit ends the connection of a client that has sent more than twice what it may.
func (s *session) tarpit() error {
	why := tooLarge()
	s.refused(why.reason, true)
	s.reply(why.code, why.text)
	s.reply(why.code, why.text)
	return errRefused
}

// replyQueueError answers a client whose message the queue does not take.
func (s *session) replyQueueError(err error) {
	if errors.Is(err, queue.ErrQuota) || errors.Is(err, queue.ErrDiskFull) {
		s.reply(452, "#4.3.1 queue full")
		return
	}
	s.reply(452, "#4.3.1 temporary system error (12)")
}

// A bodyRefusal is why a message is not taken, and the answer that says so.
type bodyRefusal struct {
	reason string
	code   int
	text   string
}

// tooLarge is the refusal of a message that has more bytes than the policy allows.
func tooLarge() bodyRefusal {
	return bodyRefusal{"size", 552, "#5.3.4 message size exceeds limit"}
}

// headerTooLarge is the refusal of a message whose header has too many lines, or bytes.
func headerTooLarge() bodyRefusal {
	return bodyRefusal{"header size", 552, "#5.3.4 message header size exceeds limit"}
}

// tooManyHops is the refusal of a message that goes in circles.
func tooManyHops() bodyRefusal { return bodyRefusal{"hops", 554, "Too many hops"} }

// bareLineEnds is the refusal of a message with CR or LF outside CRLF.
func bareLineEnds() bodyRefusal {
	return bodyRefusal{"bare line ends", 554, "message body contains illegal bare CR/LF characters."}
}

// errTarpit means that a client has sent more than twice what it may.
var errTarpit = errors.New("the message is more than twice as large as allowed")

// maxHops is how many Received fields a message may have (mail.md 4.5).
const maxHops = 100

// A bodyWriter puts a message into the queue, with the fields that the appliance adds in front of
// it. After a refusal it only counts.
type bodyWriter struct {
	out     *queue.Incoming
	session *session
	max     int64
	header  header
	ended   bool // the header has ended
	seen    int64
	stored  int64
	refusal *bodyRefusal
	err     error // of the queue
}

// writeLine takes a line, or a part of a long one, with CRLF line ends only.
func (w *bodyWriter) write(part []byte, lineStart bool) error {
	w.seen += int64(len(part))
	if w.seen > 2*w.max {
		return errTarpit
	}
	if w.seen > w.max {
		w.refuse(tooLarge())
	}
	if w.refusal != nil || w.err != nil {
		return nil
	}
	if !w.ended {
		switch w.header.add(part, lineStart) {
		case headerGoesOn:
			w.checkHeader()
			return nil
		case headerEnded:
			w.endHeader()
			return nil
		case noHeader: // the part belongs to the body
			w.endHeader()
		}
	}
	w.put(part)
	return nil
}

func (w *bodyWriter) refuse(why bodyRefusal) {
	if w.refusal == nil {
		w.refusal = &why
	}
}

// checkHeader refuses a message whose header is too large.
func (w *bodyWriter) checkHeader() {
	limit := w.session.settings.HeaderLines
	if limit > 0 && w.header.lines > limit || len(w.header.text) > maxHeader {
		w.refuse(headerTooLarge())
	}
}

// endHeader writes the header with the fields that the appliance adds.
func (w *bodyWriter) endHeader() {
	w.ended = true
	w.checkHeader()
	w.header.parse()
	if w.header.received > maxHops {
		w.refuse(tooManyHops())
	}
	if w.refusal != nil {
		return
	}
	if w.header.messageID == "" {
		w.header.messageID = w.session.newMessageID()
		w.put([]byte("Message-Id: " + w.header.messageID + "\r\n"))
	}
	if !w.session.conf.OmitReceived {
		w.put([]byte(w.session.receivedField()))
	}
	w.put(w.header.text)
	w.put([]byte("\r\n"))
	w.header.text = nil
}

func (w *bodyWriter) put(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.out.Write(b)
	w.stored += int64(n)
	w.err = err
}

// close ends the message. It returns the queue's error.
func (w *bodyWriter) close() error {
	if !w.ended && w.refusal == nil && w.err == nil {
		w.endHeader() // a message without a body
	}
	return w.err
}

// newMessageID returns the Message-ID for a message that has none: six digits, and the MID in base
// 32 (mail.md 4.4).
func (s *session) newMessageID() string {
	return fmt.Sprintf("<%s$%s@%s>", s.server.o.HexDigits(),
		strconv.FormatUint(s.message.mid, 32), s.hostname)
}

// receivedField returns the field that the appliance adds (mail.md 4.3).
func (s *session) receivedField() string {
	name := "unknown"
	if s.verified {
		name = s.host
	}
	helo := ""
	if !strings.EqualFold(s.helo, name) && s.helo != "" {
		helo = " (HELO " + printable(s.helo) + ")"
	}
	with := "SMTP"
	if s.extended {
		with = "ESMTP"
	}
	if s.tls != nil {
		with += "/TLS/" + tlsconfig.CipherName(s.tls.ConnectionState().CipherSuite)
	}
	now := s.server.o.Clock.Now().In(s.server.o.Zone())
	return fmt.Sprintf("Received: from %s%s ([%v])\r\n  by %s with %s; %s\r\n", name, helo,
		s.remote.Addr(), s.hostname, with, now.Format("02 Jan 2006 15:04:05 -0700"))
}
