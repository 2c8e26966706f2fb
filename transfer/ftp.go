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
	// Admit reports whether addr may try to log in now.
	Admit(addr netip.Addr) bool
	// Failed notes a failed try; delay is how long to hold back the answer, and
	// blocked says that this try blocked the address.
	Failed(addr netip.Addr) (delay time.Duration, blocked bool)
	// Succeeded notes a login.
	Succeeded(addr netip.Addr)
}

// FTPOptions are what an FTPServer needs and may be told. Zero limits and times
// mean the default that stands beside them.
type FTPOptions struct {
	// Listen opens the port of the control connections. Required.
	Listen func(ctx context.Context) (net.Listener, error)
	// Net opens the data connections, from and to the address that the control
	// connection reached. Required.
	Net network.Transport
	// Verify checks a login and whether the account may use FTP. Any error is told
	// as a wrong password. Required.
	Verify func(user, passphrase string, from netip.Addr) (*files.Area, error)
	// LoggedIn is called after a login; what it returns is called when the session
	// ends. Optional.
	OnLogin    func(user string, from netip.Addr) (logout func())
	Guard      Guard                            // nil admits everybody at once
	Admit      func(addr netip.Addr) bool       // from where clients may come; nil: from everywhere
	Banner     func() string                    // stands before the greeting; nil or "": nothing does
	Hostname   func() string                    // for the greeting; nil leaves it out
	StopReason func(ctx context.Context) string // why Stop's ctx stops the server, for users; may be nil

	Clock  clock.Clock       // nil means the machine's; for idle time and delays
	Log    func(text string) // lines of the appliance's FTP log; may be nil
	Logger *slog.Logger      // for whoever runs the program; nil discards

	SocketOwner, SocketUser string // of data sockets in tcpservices; ftpd.main, root

	IdleTimeout   time.Duration // without a command; 5 min
	DataTimeout   time.Duration // of a data connection that does not open or move; 60 s
	MaxSessions   int           // 100
	MaxPerAddr    int           // sessions of one client address; 50
	MaxLoginTries int           // failed logins of one session; 3

	// PassiveLow and PassiveHigh bound the passive ports. 0 means any.
	PassiveLow, PassiveHigh uint16
}

// An FTPServer is the FTP daemon. It is a Service of the appliance.
type FTPServer struct {
	o FTPOptions

	mu       sync.Mutex
	listener net.Listener // nil: not started, or stopped
	sessions map[*ftpConn]bool
	perAddr  map[netip.Addr]int
	lastID   uint64
	lastPort uint16
	wg       sync.WaitGroup // the accept loop and the sessions
}

// NewFTPServer makes a server that listens once it is started.
func NewFTPServer(o FTPOptions) *FTPServer {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	o.Logger = logger(o.Logger)
	o.SocketOwner = cmp.Or(o.SocketOwner, "ftpd.main")
	o.SocketUser = cmp.Or(o.SocketUser, "root")
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 5*time.Minute)
	o.DataTimeout = cmp.Or(o.DataTimeout, time.Minute)
	o.MaxSessions = cmp.Or(o.MaxSessions, 100)
	o.MaxPerAddr = cmp.Or(o.MaxPerAddr, 50)
	o.MaxLoginTries = cmp.Or(o.MaxLoginTries, 3)
	o.PassiveHigh = max(o.PassiveHigh, o.PassiveLow)
	return &FTPServer{o: o, sessions: map[*ftpConn]bool{}, perAddr: map[netip.Addr]int{}}
}

// Name is the daemon's, as tcpservices prints it (B35).
func (s *FTPServer) Name() string { return "ftpd.main" }

// Start listens and returns.
func (s *FTPServer) Start(ctx context.Context) error {
	ln, err := s.o.Listen(ctx)
	if err != nil {
		return fmt.Errorf("listen for FTP: %w", err)
	}
	s.mu.Lock()
	s.listener = ln
	s.mu.Unlock()
	s.wg.Go(func() { s.accept(ln) })
	return nil
}

// Stop closes the port, tells every session why it ends (421) and waits for them
// until ctx ends; then it cuts what is left and returns ctx's cause.
func (s *FTPServer) Stop(ctx context.Context) error {
	reason := "Service is going down."
	if s.o.StopReason != nil {
		reason = s.o.StopReason(ctx)
	}
	s.mu.Lock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	for c := range s.sessions {
		c.end(reason)
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() { // ends with the sessions, which Stop waits for or cuts
		defer close(done)
		s.wg.Wait()
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
		case err != nil: // one connection that failed, or no resources: wait, not spin
			s.o.Logger.Warn("ftp: accept", "cause", err)
			if s.o.Clock.Sleep(context.Background(), 50*time.Millisecond) != nil {
				return
			}
			continue
		}
		c, refusal := s.admit(conn)
		if refusal != "" {
			s.wg.Go(func() { // the client may be slow to take it
				_ = conn.SetWriteDeadline(clock.System().Now().Add(time.Second))
				fmt.Fprintf(conn, "421 %s\r\n", refusal)
				conn.Close()
			})
			continue
		}
		s.wg.Go(func() {
			defer s.forget(c)
			c.serve()
		})
	}
}

// admit makes a session of a connection, or says why not.
func (s *FTPServer) admit(conn net.Conn) (c *ftpConn, refusal string) {
	remote, local := addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	if s.o.Guard != nil && !s.o.Guard.Admit(remote.Addr()) {
		return nil, "Service not available, closing control connection."
	}
	if s.o.Admit != nil && !s.o.Admit(remote.Addr()) {
		s.o.Log(fmt.Sprintf("Connection from %v refused: access is not permitted from this address", remote.Addr()))
		return nil, "Access is not permitted from your address."
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.listener == nil:
		return nil, "Service is going down."
	case len(s.sessions) >= s.o.MaxSessions:
		return nil, "Too many connections, try again later."
	case s.perAddr[remote.Addr()] >= s.o.MaxPerAddr:
		return nil, "Too many connections from your address."
	}
	s.lastID++
	c = newFTPConn(s, conn, s.lastID, remote, local)
	s.sessions[c] = true
	s.perAddr[remote.Addr()]++
	return c, ""
}

func (s *FTPServer) forget(c *ftpConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
	if s.perAddr[c.remote.Addr()]--; s.perAddr[c.remote.Addr()] <= 0 {
		delete(s.perAddr, c.remote.Addr())
	}
}

// passivePorts calls try with port after port until one can be had.
func (s *FTPServer) passivePorts(try func(port uint16) error) error {
	if s.o.PassiveLow == 0 {
		return try(0)
	}
	var err error
	for range int(s.o.PassiveHigh-s.o.PassiveLow) + 1 {
		s.mu.Lock()
		if s.lastPort < s.o.PassiveLow || s.lastPort >= s.o.PassiveHigh {
			s.lastPort = s.o.PassiveLow
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

// addrPort is a as netip has it; the zero value if it is not an address of ours.
func addrPort(a net.Addr) netip.AddrPort {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
