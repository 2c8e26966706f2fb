package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/network"
)

// A Guard slows down and blocks addresses that fail to log in; users.Guard is one.
type Guard interface {
	// Admit reports whether addr may connect in order to log in.
	Admit(addr netip.Addr) bool
	// Begin reports whether a password from addr may be verified. It blocks while too many other
	// attempts from addr run. If it returns true, the result must be reported and then End called.
	Begin(ctx context.Context, addr netip.Addr) bool
	End(addr netip.Addr)
	// Failed records a failed login. The caller must delay the answer by delay. blocked reports
	// whether this failure has blocked the address.
	Failed(addr netip.Addr) (delay time.Duration, blocked bool)
	// Succeeded records a successful login.
	Succeeded(addr netip.Addr)
}

// FTPOptions are the options of an FTPServer. A zero limit or time means the default that its
// comment states.
type FTPOptions struct {
	// Listen opens the port of the control connections. Required.
	Listen func(ctx context.Context) (net.Listener, error)
	// Net opens the data connections, from and to the address that the control connection
	// has reached. Required.
	Net network.Transport
	// Verify checks a login and whether the account may use FTP. The client sees any error as
	// a wrong password. Required.
	Verify     func(user, passphrase string, from netip.Addr) (FTPLogin, error)
	Guard      Guard                            // nil admits every address and delays nothing
	Admit      func(addr netip.Addr) bool       // reports whether addr may connect; nil: all may
	Banner     func() string                    // precedes the greeting; may be nil or return ""
	Hostname   func() string                    // for the greeting; nil omits it
	Version    string                           // of the software, for the greeting
	StopReason func(ctx context.Context) string // what Stop(ctx) tells the clients; may be nil

	Clock  clock.Clock       // of file times and of delays; idle timeouts pass in its real time; nil means the machine's
	Log    func(text string) // writes a line to the appliance's FTP log; may be nil
	Logger *slog.Logger      // the program's log; nil discards

	SocketOwner, SocketUser string // of data connections, as tcpservices shows them; ftpd.main, root

	LoginTimeout  time.Duration // from the connection to the login; 1 min
	IdleTimeout   time.Duration // between two commands; 5 min
	DataTimeout   time.Duration // for opening a data connection, and for each read and write; 60 s
	CloseTimeout  time.Duration // for the client to close a connection that has sent it data; 1 s
	MaxSessions   int           // 100
	MaxPerAddr    int           // sessions of one client address; 50
	MaxLoginTries int           // failed logins of one session; 3

	// PassiveLow and PassiveHigh are the range of the passive ports. 0 means any port.
	PassiveLow, PassiveHigh uint16
}

// An FTPLogin is a login that Verify has permitted.
type FTPLogin struct {
	Area *files.Area
	// Begin is called when the session begins. The function end may be called at any time; it
	// ends the session at once, with text as the last reply (421), and does not block. Begin
	// returns a function that is called when the session has ended. Optional.
	Begin func(end func(text string)) (logout func())
	// Done is called after each transfer of a whole file in binary mode; nil: nobody wants it.
	Done func(Transferred)
}

// An FTPServer is the FTP daemon. It implements appliance.Service.
type FTPServer struct {
	options FTPOptions

	mu            sync.Mutex
	listener      net.Listener // nil if the server is not running
	sessions      map[*ftpConn]bool
	counted       int                // sessions that are not displaced
	countedByAddr map[netip.Addr]int // the same, by address of the client
	limitReported clock.Mark         // when a limit was logged last; 0 for never
	lastID        uint64
	lastPort      uint16
	tasks         sync.WaitGroup // the accept loop, sessions, refusals of connections
}

// NewFTPServer returns a server that is not started.
func NewFTPServer(o FTPOptions) *FTPServer {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	o.Logger = loggerOrDiscard(o.Logger)
	o.SocketOwner = cmp.Or(o.SocketOwner, "ftpd.main")
	o.SocketUser = cmp.Or(o.SocketUser, "root")
	o.LoginTimeout = cmp.Or(o.LoginTimeout, time.Minute)
	o.CloseTimeout = cmp.Or(o.CloseTimeout, time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 5*time.Minute)
	o.DataTimeout = cmp.Or(o.DataTimeout, time.Minute)
	o.MaxSessions = cmp.Or(o.MaxSessions, 100)
	o.MaxPerAddr = cmp.Or(o.MaxPerAddr, 50)
	o.MaxLoginTries = cmp.Or(o.MaxLoginTries, 3)
	o.PassiveHigh = max(o.PassiveHigh, o.PassiveLow)
	return &FTPServer{
		options: o, sessions: map[*ftpConn]bool{}, countedByAddr: map[netip.Addr]int{},
	}
}

// Name returns the daemon's name, as tcpservices prints it (B35).
func (s *FTPServer) Name() string { return "ftpd.main" }

// Start opens the port and returns.
func (s *FTPServer) Start(ctx context.Context) error {
	ln, err := s.options.Listen(ctx)
	if err != nil {
		return fmt.Errorf("listen for FTP: %w", err)
	}
	s.mu.Lock()
	s.listener = ln
	s.mu.Unlock()
	s.tasks.Go(func() { s.accept(ln) })
	return nil
}

// Stop closes the port, ends all sessions, tells their clients the reason (421), and waits for
// them. If ctx ends first, Stop closes the connections and returns ctx's cause.
func (s *FTPServer) Stop(ctx context.Context) error {
	reason := "Service is going down."
	if s.options.StopReason != nil {
		reason = s.options.StopReason(ctx)
	}
	s.mu.Lock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	for c := range s.sessions {
		c.endWithReply(reason)
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() { // Stop waits for it, because it ends with the sessions
		defer close(done)
		s.tasks.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.sessions {
		c.Conn.Close()
	}
	s.mu.Unlock()
	<-done
	return context.Cause(ctx)
}

func (s *FTPServer) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // one connection failed, or a resource is exhausted: pause, then retry
			s.options.Logger.Warn("ftp: accept", "cause", err)
			if s.options.Clock.Sleep(context.Background(), 50*time.Millisecond) != nil {
				return
			}
			continue
		}
		c, reason := s.admit(conn)
		if c == nil {
			s.tasks.Go(func() { // in a goroutine, because the client may be slow to receive it
				_ = conn.SetWriteDeadline(clock.System().Now().Add(time.Second))
				fmt.Fprintf(conn, "421 %s\r\n", reason)
				conn.Close()
			})
			continue
		}
		s.tasks.Go(func() {
			defer s.remove(c)
			c.serve()
		})
	}
}

// admit adds a session for a connection. If it is not admitted, c is nil and reason is the text of
// the reply.
func (s *FTPServer) admit(conn net.Conn) (c *ftpConn, reason string) {
	remote, local := addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	if s.options.Guard != nil && !s.options.Guard.Admit(remote.Addr()) {
		return nil, "Service not available, closing control connection."
	}
	if s.options.Admit != nil && !s.options.Admit(remote.Addr()) {
		s.options.Log(fmt.Sprintf("Connection from %v refused: "+
			"access is not permitted from this address", remote.Addr()))
		return nil, "Access is not permitted from your address."
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil, "Service is going down."
	}
	if reason := s.makeRoom(remote.Addr()); reason != "" {
		return nil, reason
	}
	s.lastID++
	c = newFTPConn(s, conn, s.lastID, remote, local)
	s.sessions[c] = true
	s.count(c, 1)
	return c, ""
}

// makeRoom makes room for a new session of an address. If a limit is reached, the oldest session
// that has not logged in is ended: of that address, if it has too many. If there is none, makeRoom
// returns the text of the reply that refuses the new session. s.mu is held.
func (s *FTPServer) makeRoom(addr netip.Addr) (refusal string) {
	limit := ""
	ofAddr := s.countedByAddr[addr] >= s.options.MaxPerAddr
	switch {
	case ofAddr:
		limit = fmt.Sprintf("%d connections from %v", s.options.MaxPerAddr, addr)
		refusal = "Too many connections from your address."
	case s.counted >= s.options.MaxSessions:
		limit = fmt.Sprintf("%d connections", s.options.MaxSessions)
		refusal = "Too many connections, try again later."
	default:
		return ""
	}
	var oldest *ftpConn
	for c := range s.sessions {
		match := !c.displaced && !c.loggedIn() && (!ofAddr || c.remote.Addr() == addr)
		if match && (oldest == nil || c.id < oldest.id) {
			oldest = c
		}
	}
	if oldest == nil {
		s.reportLimit("The limit of " + limit + " is reached: new ones are refused")
		return refusal
	}
	s.reportLimit("The limit of " + limit + " is reached: the oldest without a login is closed")
	s.count(oldest, -1)
	oldest.displaced = true
	oldest.endWithReply("Too many connections: closing the oldest one without a login.")
	return ""
}

// limitReportInterval is the shortest time between two log lines about limits.
const limitReportInterval = time.Minute

// reportLimit logs that a limit is reached, unless that has been logged a short time ago. s.mu is
// held.
func (s *FTPServer) reportLimit(text string) {
	now := s.options.Clock.Mark()
	if s.limitReported != 0 && s.options.Clock.Since(s.limitReported) < limitReportInterval {
		return
	}
	s.limitReported = now
	s.options.Log(text)
}

// count adds n to the number of sessions that count for the limits. s.mu is held.
func (s *FTPServer) count(c *ftpConn, n int) {
	addr := c.remote.Addr()
	s.counted += n
	if s.countedByAddr[addr] += n; s.countedByAddr[addr] <= 0 {
		delete(s.countedByAddr, addr)
	}
}

// remove removes a session that has ended.
func (s *FTPServer) remove(c *ftpConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
	if !c.displaced {
		s.count(c, -1)
	}
}

// passivePorts calls try with one port of the range after the other, until it returns nil.
func (s *FTPServer) passivePorts(try func(port uint16) error) error {
	if s.options.PassiveLow == 0 {
		return try(0)
	}
	var err error
	for range int(s.options.PassiveHigh-s.options.PassiveLow) + 1 {
		s.mu.Lock()
		if s.lastPort < s.options.PassiveLow || s.lastPort >= s.options.PassiveHigh {
			s.lastPort = s.options.PassiveLow
		} else {
			s.lastPort++
		}
		port := s.lastPort
		s.mu.Unlock()
		if err = try(port); err == nil {
			return nil
		}
	}
	return err
}

// addrPort converts a. If a is not an address with a port, it returns the zero value.
func addrPort(a net.Addr) netip.AddrPort {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
