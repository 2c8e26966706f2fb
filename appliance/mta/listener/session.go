package listener

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/mta/queue"
)

// Bounds of a session (mail.md 4.5).
const (
	maxLine        = 2048 // bytes of a command
	maxBadCommands = 4
	bufferSize     = 4096
	// writeTimeout bounds how long a client may take to accept an answer.
	writeTimeout = time.Minute
)

// An ending says why the appliance ends a session.
type ending int

const (
	endNot ending = iota
	endStopped
	endSuspended
	endIdle // no message was accepted within the time
	endTime // the connection has been open for too long
)

// A session is one connection of a client.
type session struct {
	server *Server
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	done   chan struct{} // closed when the session has ended
	opened clock.Mark

	conf      Listener
	ifName    string
	hostname  string // of the IP interface
	local     netip.AddrPort
	remote    netip.AddrPort
	icid      uint64
	openEvent uint64
	host      string // by reverse look-up; "": none
	verified  bool
	lookups   time.Duration // spent on DNS before the greeting
	verdict   verdict
	limits    Effective
	settings  Limits

	counted, countedTLS bool // Server.mu guards them

	tls      *tls.Conn
	recorded bool   // commands and replies are published, for a debug log
	user     string // authenticated
	helo     string
	extended bool // EHLO, not HELO
	commands int
	bad      int
	messages int // MAIL commands that were accepted
	message  *transaction

	mu            sync.Mutex
	ending        ending
	timers        clock.Group
	stopTimers    []func() bool // stop the timers
	stopIdleTimer func() bool   // stops the timer of unsuccessful clients
}

// A transaction is a message between MAIL and its end.
type transaction struct {
	mid        uint64
	from       string
	eightBit   bool            // BODY=8BITMIME
	accepted   int             // RCPT commands that were accepted
	recipients []string        // what these stand for by the alias table
	known      map[string]bool // recipients in lower case; nil: not needed so far
	event      uint64
}

func newSession(s *Server, c net.Conn) *session {
	ctx, cancel := context.WithCancel(context.Background())
	return &session{
		server: s, conn: c, ctx: ctx, cancel: cancel, done: make(chan struct{}),
		in: bufio.NewReaderSize(c, bufferSize), out: bufio.NewWriterSize(c, 512),
		opened: s.o.Clock.Mark(), local: addrPort(c.LocalAddr()), remote: addrPort(c.RemoteAddr()),
	}
}

// A recordedConn publishes what is read and written.
type recordedConn struct{ s *session }

func (c recordedConn) Read(p []byte) (int, error) {
	n, err := c.s.conn.Read(p)
	c.tell(false, p[:n])
	return n, err
}

func (c recordedConn) Write(p []byte) (int, error) {
	n, err := c.s.conn.Write(p)
	c.tell(true, p[:n])
	return n, err
}

func (c recordedConn) tell(sent bool, data []byte) {
	if len(data) > 0 {
		events.Publish(c.s.server.o.Events, c.s.openEvent, mailevents.InjectionData{
			ICID: c.s.icid, Remote: c.s.remote.Addr(), Sent: sent, Data: slices.Clone(data),
		})
	}
}

// resetBuffers has commands read from the present connection, and answers written to it.
func (s *session) resetBuffers() {
	if s.recorded {
		s.in.Reset(recordedConn{s})
		s.out.Reset(recordedConn{s})
		return
	}
	s.in.Reset(s.conn)
	s.out.Reset(s.conn)
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

func (s *session) key() hostKey { return hostKey{lower(s.conf.Name), s.remote.Addr()} }

// end has the session end soon: its read returns, and the client is told why.
func (s *session) end(why ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending == endNot {
		s.ending = why
	}
	s.cancel()
	// A deadline in the past ends a read that waits. The answer has a deadline of its own.
	s.conn.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // a closed connection needs none
}

func (s *session) endingNow() ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// serve handles the connection until it is closed.
func (s *session) serve() {
	defer close(s.done)
	defer s.conn.Close()
	defer s.disarm()
	defer s.cancel()
	committed := s.server.o.Committed()
	conf, ifc, ok := at(committed, s.local)
	if !ok {
		return // the listener was removed a moment ago
	}
	s.server.mu.Lock() // Suspend looks at conf
	s.conf = conf
	s.server.mu.Unlock()
	s.ifName, s.settings = ifc.Name, Section.Get(committed).Limits
	s.hostname = ifc.Hostname
	if s.hostname == "" {
		s.hostname = s.server.o.Hostname()
	}
	if s.conf.Type == Quarantine || s.server.Suspended(s.conf.Name) {
		s.reply(421, s.hostname+" Service not available, closing transaction channel")
		s.hangUp()
		return
	}
	if s.admit() {
		s.converse()
	}
}

// publish publishes an event whose cause is the session's current message, else its connection.
func publish[F events.Fields](s *session, fields F) uint64 {
	cause := s.openEvent
	if s.message != nil {
		cause = s.message.event
	}
	return events.Publish(s.server.o.Events, cause, fields)
}

// converse answers commands until the connection ends, and publishes how it ended.
func (s *session) converse() {
	err := s.commandLoop()
	switch why := s.endingNow(); {
	case errors.Is(err, errRefused), errors.Is(err, errQuit):
	case why != endNot:
		s.tellEnding(why)
	case s.verdict.policy.Action == Reject:
		// Most such clients leave without QUIT. No line is attested about that (mail.md 1.2).
	default:
		s.lost()
	}
	if s.message != nil {
		s.abort("Receiving aborted")
	}
	s.leave() // before the event: a client that waits for it must find its place free
	events.Publish(s.server.o.Events, s.openEvent, mailevents.ConnectionClosed{ICID: s.icid})
	s.hangUp()
}

// leave takes the session off the connection counts that limits use.
func (s *session) leave() {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.clients.leave(s)
}

// tellEnding answers a client whose session the appliance ends.
func (s *session) tellEnding(why ending) {
	switch why {
	case endIdle:
		s.dropped(mailevents.DroppedIdle)
		s.reply(421, "Timed out waiting for successful message injection, disconnecting.")
	case endTime:
		s.dropped(mailevents.DroppedTime)
		s.reply(421, "Exceeded allowable connection time, disconnecting.")
	default:
		reason := mailevents.DroppedSuspended
		if why == endStopped {
			reason = mailevents.DroppedStopped
		}
		s.dropped(reason)
		s.reply(421, s.hostname+" Service not available, closing transaction channel")
	}
}

func (s *session) dropped(why mailevents.DropReason) {
	publish(s, mailevents.ConnectionDropped{ICID: s.icid, Remote: s.remote.Addr(), Reason: why})
}

// lost publishes that the client closed the connection without QUIT.
func (s *session) lost() {
	events.Publish(s.server.o.Events, s.openEvent, mailevents.ConnectionLost{
		ICID: s.icid, Interface: s.ifName, Local: s.local.Addr(), Remote: s.remote.Addr(),
		Commands: s.commands, Open: s.server.o.Clock.Since(s.opened), Lookups: s.lookups,
	})
}

// arm has the session end when its time is over. On a public listener a client has to deliver a
// message within a time of its own.
func (s *session) arm() {
	after := func(seconds int, why ending) func() bool {
		return s.timers.AfterFunc(clock.RealTime(s.server.o.Clock), time.Duration(seconds)*time.Second,
			func() { s.end(why) })
	}
	// The client is told when four fifths of the time are over (mail.md 4.5).
	s.stopTimers = append(s.stopTimers, after(s.settings.Total*4/5, endTime))
	if s.conf.Type == Public {
		s.stopIdleTimer = after(s.settings.UnsuccessfulTimeout, endIdle)
		s.stopTimers = append(s.stopTimers, s.stopIdleTimer)
	}
}

// disarm stops the timers and waits for those that are running.
func (s *session) disarm() {
	for _, stop := range s.stopTimers {
		stop()
	}
	s.timers.Wait()
}

// reply sends an answer of one or more lines. An error shows at the next read.
func (s *session) reply(code int, lines ...string) {
	deadline := clock.System().Now().Add(writeTimeout)
	s.conn.SetWriteDeadline(deadline) //nolint:errcheck // a closed connection needs none
	for i, line := range lines {
		mark := byte('-')
		if i == len(lines)-1 {
			mark = ' '
		}
		fmt.Fprintf(s.out, "%03d%c%s\r\n", code, mark, line)
	}
	s.out.Flush() //nolint:errcheck // the next read fails too
}

// hangUp closes the connection so that the client can still read the last answer: to close it with
// unread data would reset it.
func (s *session) hangUp() {
	half, ok := s.conn.(interface{ CloseWrite() error })
	if s.tls != nil || !ok || half.CloseWrite() != nil {
		return
	}
	s.conn.SetReadDeadline(clock.System().Now().Add(hangUpTimeout)) //nolint:errcheck // see reply
	io.Copy(io.Discard, io.LimitReader(s.conn, 1<<20))              //nolint:errcheck // data of a client that was refused
}

// hangUpTimeout bounds how long a client may take to close its side.
const hangUpTimeout = 2 * time.Second

// readLine returns the next command without its line end, CRLF or a bare LF. A line that is too
// long is read to its end; ok is then false.
func (s *session) readLine() (line string, ok bool, err error) {
	ok = true
	var long bool
	for {
		part, err := s.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return "", false, err
		}
		if err == nil {
			text := strings.TrimSuffix(strings.TrimSuffix(string(part), "\n"), "\r")
			return text, ok && !long && len(text) <= maxLine, nil
		}
		long = true
	}
}

// envelope returns the envelope of the present message for the queue.
func (s *session) envelope() queue.Envelope {
	env := queue.Envelope{
		MID: s.message.mid, From: s.message.from, Received: s.server.o.Clock.Now(),
		ICID: s.icid, Listener: s.conf.Name, RemoteIP: s.remote.Addr(), HELO: s.helo,
		Outgoing: s.verdict.policy.Action == Relay, Group: s.verdict.group, User: s.user,
		EightBit: s.message.eightBit,
	}
	if s.verified {
		env.RemoteHost = s.host
	}
	for rid, to := range s.message.recipients {
		env.Recipients = append(env.Recipients, queue.Recipient{RID: rid, Address: to})
	}
	return env
}
