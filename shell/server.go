package shell

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
)

// A Server is the appliance's SSH daemon. Its exported fields must be set before Start.
type Server struct {
	Appliance *appliance.Appliance
	Commands  []*Command
	// HostKey is the first host key, Ed25519, ECDSA or RSA. It is offered to every client.
	HostKey crypto.Signer
	// MoreHostKeys are offered to clients besides HostKey. Nil means that an ECDSA key and an
	// RSA key are created when clients need them, and not kept.
	MoreHostKeys []LazyHostKey
	// Listen opens the port. The caller decides on which network.
	Listen func(context.Context) (net.Listener, error)
	// Subsystems holds the functions that serve subsystems such as "sftp", by name. They are
	// called for administrators and operators only, and return when their conversation is over.
	// ctx ends with the channel.
	Subsystems map[string]func(ctx context.Context, ch Channel)
	// Exec returns the function that serves a command line that is not a command of the
	// appliance, such as scp's, or nil if it does not know the line. The function is like those
	// of Subsystems. Exec is called for administrators and operators only, before the line is
	// looked up as a command. It may be nil.
	Exec func(line string) (serve func(ctx context.Context, ch Channel))
	// Version is the software version that the server sends to clients; "" means DefaultVersion.
	Version string
	Limits  Limits

	connClock clock.Clock // of timeouts and keepalives of connections; tests set it before Start

	mu          sync.Mutex // guards the following four fields
	runCtx      context.Context
	cancelRun   context.CancelCauseFunc
	listener    net.Listener // nil if the server is not running
	connections map[*connection]bool

	// Stop waits for all tasks.
	sessionTasks    taskGroup // shells, commands, subsystems
	channelTasks    taskGroup // each ends when the client has closed the channel
	connectionTasks taskGroup // one for each connection, and one for the accept loop
}

// Limits are the limits of a Server. A zero field means its default.
type Limits struct {
	IdleTimeout       time.Duration // of a session at a prompt; default: as configured
	HandshakeTimeout  time.Duration // from the connection to the login; default: 2 minutes
	Connections       int           // at a time; default: 1000
	Sessions          int           // channels of a connection at a time; default: 10
	AuthTries         int           // login attempts of a connection; default: 6
	KeepaliveInterval time.Duration // of silence, before a keepalive request; default: 1 minute
}

func (l Limits) withDefaults() Limits {
	l.HandshakeTimeout = cmp.Or(l.HandshakeTimeout, 2*time.Minute)
	l.KeepaliveInterval = cmp.Or(l.KeepaliveInterval, time.Minute)
	l.Connections = cmp.Or(l.Connections, 1000)
	l.Sessions = cmp.Or(l.Sessions, 10)
	l.AuthTries = cmp.Or(l.AuthTries, 6)
	return l
}

// DefaultVersion is the software version that a Server sends to clients by default.
const DefaultVersion = "OpenSSH_7.5 FreeBSD-20170903"

// Name returns the daemon's name, as tcpservices prints it.
func (s *Server) Name() string { return "sshd" }

// Start opens the port and returns. The server accepts connections until Stop is called.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runCtx != nil {
		return errors.New("shell: the server is already running")
	}
	key, err := gossh.NewSignerFromSigner(s.HostKey)
	if err != nil {
		return fmt.Errorf("host key: %w", err)
	}
	listener, err := s.Listen(ctx)
	if err != nil {
		return err
	}
	s.listener = listener
	s.runCtx, s.cancelRun = context.WithCancelCause(context.WithoutCancel(ctx))
	s.connections = map[*connection]bool{}
	if s.connClock == nil {
		s.connClock = clock.System()
	}
	r := &runningServer{
		Server: s,
		runCtx: s.runCtx,
		limits: s.Limits.withDefaults(),
		catalog: sync.OnceValue(func() *catalog {
			return newCatalog(s.Commands, s.Appliance.Product.Version)
		}),
	}
	r.addHostKeys(key)
	r.ssh = r.newSSHServer()
	s.connectionTasks.Go(func() { r.accept(listener) })
	return nil
}

// Addr returns the address on which the server listens, or nil if it is not running.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// closeTimeout is the time that clients have to close their channels after their sessions have
// ended.
const closeTimeout = time.Second

// Stop closes the port, ends all sessions, tells their users the reason (the value of
// appliance.StopReason), and waits for all tasks. If ctx ends first, Stop closes the connections
// and returns ctx's error. Stop may be called more than once, and without Start; it then waits for
// the tasks that still run, if any.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	listener, cancelRun := s.listener, s.cancelRun
	s.listener, s.cancelRun = nil, nil
	s.mu.Unlock()
	if listener == nil {
		return s.wait(ctx)
	}
	listener.Close()
	cancelRun(StoppedError(appliance.StopReason(ctx)))
	s.closeConnections(func(c *connection) bool { return c.channelCount() == 0 })
	err := s.sessionTasks.wait(ctx)
	if err == nil {
		closeCtx, cancel := context.WithCancel(ctx)
		defer clock.System().AfterFunc(closeTimeout, cancel)()
		s.channelTasks.wait(closeCtx) //nolint:errcheck // the next line closes what is left
		cancel()
	}
	s.closeConnections(func(*connection) bool { return true })
	err = cmp.Or(err, s.wait(ctx))
	s.mu.Lock()
	s.runCtx = nil
	s.mu.Unlock()
	return err
}

// wait waits for all tasks.
func (s *Server) wait(ctx context.Context) (err error) {
	for _, g := range []*taskGroup{&s.sessionTasks, &s.channelTasks, &s.connectionTasks} {
		err = cmp.Or(err, g.wait(ctx))
	}
	return err
}

// closeConnections closes the connections for which match returns true.
func (s *Server) closeConnections(match func(*connection) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.connections {
		if match(c) {
			c.Conn.Close()
		}
	}
}

// A runningServer is a Server between Start and Stop.
type runningServer struct {
	*Server
	bulkBuffers sync.Pool       // see combiner
	runCtx      context.Context // Stop cancels it; its cause is a StoppedError
	limits      Limits
	catalog     func() *catalog // made at the first session
	ssh         *ssh.Server

	firstKey gossh.Signer
	lazyKeys []*lazySigner
	offered  atomic.Pointer[offeredAlgorithms] // of the last connection

	limitReported clock.Mark // when reportLimit has logged last; 0 for never; guarded by mu
}

// addHostKeys sets the host keys. There is one of each type.
func (r *runningServer) addHostKeys(first gossh.Signer) {
	r.firstKey = first
	more := r.MoreHostKeys
	if more == nil {
		more = newLazyHostKeys()
	}
	for _, lazy := range more {
		if lazy.Type == first.PublicKey().Type() {
			continue
		}
		r.lazyKeys = append(r.lazyKeys, &lazySigner{LazyHostKey: lazy, onError: func(err error) {
			r.Appliance.Logger.Error("load a host key", "type", lazy.Type, "error", err)
		}})
	}
}

// newSSHServer configures the library, which speaks the protocol and authenticates. Channels are
// handled by channel.go; forwarding has no handler and is therefore refused.
func (r *runningServer) newSSHServer() *ssh.Server {
	return &ssh.Server{
		Version:              cmp.Or(r.Version, DefaultVersion),
		ServerConfigCallback: r.serverConfig,

		ConnectionFailedCallback: r.logFailedHandshake,
		ChannelHandlers:          map[string]ssh.ChannelHandler{"session": r.serveChannel},
		RequestHandlers:          map[string]ssh.RequestHandler{},
		ConnCallback: func(ctx ssh.Context, c net.Conn) net.Conn {
			ctx.SetValue(connectionKey{}, c)
			return c
		},
	}
}

// accept accepts connections until the listener is closed. It replaces the library's own loop,
// which can neither count the connections nor wait for them.
func (r *runningServer) accept(listener net.Listener) {
	var pause time.Duration
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) || r.runCtx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil { // for example, the process has no file descriptor left
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			r.Appliance.Logger.Warn("accept a connection", "service", r.Name(), "error", err)
			if clock.System().Sleep(r.runCtx, pause) != nil {
				return
			}
			continue
		}
		pause = 0
		c := r.admit(conn)
		if c == nil {
			conn.Close()
			continue
		}
		r.connectionTasks.Go(func() {
			defer r.forget(c)
			defer r.recoverPanic("connection")
			r.ssh.HandleConn(c)
		})
	}
}

// recoverPanic is deferred by goroutines. It logs a panic, which then does not end the process.
func (r *runningServer) recoverPanic(where string) {
	if p := recover(); p != nil {
		r.Appliance.Logger.Error("panic in the SSH server",
			"where", where, "error", p, "stack", string(debug.Stack()))
	}
}

// admit adds a new connection. It returns nil if the client's address is blocked, if access from it
// is not permitted, or if there are too many connections. If the limit is reached, a new connection
// displaces the oldest one that has not logged in.
func (r *runningServer) admit(conn net.Conn) *connection {
	addr := addrOf(conn.RemoteAddr())
	if !r.Appliance.Guard.Admit(addr) {
		return nil
	}
	if !r.Appliance.AdminAccess().Admits(addr) {
		r.logAuthf(appliance.Information,
			"An SSH connection from %v was refused: access is not permitted from this address.", addr)
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.connections) >= r.limits.Connections {
		var oldest *connection
		for c := range r.connections {
			if !c.loggedIn() && (oldest == nil || c.accepted < oldest.accepted) {
				oldest = c
			}
		}
		if oldest == nil {
			r.reportLimit("new ones are refused")
			return nil
		}
		r.reportLimit("the oldest without a login is closed")
		oldest.Conn.Close()
		delete(r.connections, oldest)
	}
	c := &connection{
		Conn: conn, addr: addr, accepted: clock.System().Mark(),
		hello: newClientHello(r.firstKey.PublicKey().Type()),
	}
	c.out.conn, c.out.timers, c.out.clock = conn, &c.timers, r.connClock
	c.out.buffers = &r.bulkBuffers
	c.out.handshake.Store(true)
	c.stopHandshakeTimer = c.timers.AfterFunc(r.connClock, r.limits.HandshakeTimeout,
		func() { c.end(fmt.Sprintf("nobody has logged in within %v", r.limits.HandshakeTimeout)) })
	r.connections[c] = true
	return c
}

// limitReportInterval is the shortest time between two log lines about the limit of connections.
const limitReportInterval = time.Minute

// reportLimit logs that the limit of connections is reached, unless that has been logged a short
// time ago. r.mu is held.
func (r *runningServer) reportLimit(effect string) {
	now := clock.System().Mark()
	if r.limitReported != 0 && now-r.limitReported < clock.Mark(limitReportInterval) {
		return
	}
	r.limitReported = now
	r.logAuthf(appliance.Warning,
		"The limit of %d SSH connections is reached: %s.", r.limits.Connections, effect)
}

// forget removes a connection that has ended, and waits for its timers.
func (r *runningServer) forget(c *connection) {
	user, reason := c.stopTimers()
	c.timers.Wait()
	if c.authority != nil {
		c.authority.Close()
	}
	if reason == "" && c.sshConn != nil {
		reason = failureText(c.sshConn.Wait(), c.sshConn.ClientVersion())
	}
	switch {
	case reason != "" && user != "":
		r.logAuthf(appliance.Warning, "The SSH connection of user %s from %v has ended: %s",
			user, c.addr, reason)
	case reason != "":
		r.logAuthf(appliance.Information, "The SSH connection from %v has ended: %s", c.addr, reason)
	}
	if user != "" {
		r.Appliance.LogEvent(c.loginEvent, appliance.AuthenticationLog, appliance.Information,
			fmt.Sprintf("User %s logged out of SSH session %v", user, c.addr))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.connections, c)
}

// logAuthf writes a line to the appliance's authentication log.
func (r *runningServer) logAuthf(level appliance.Level, format string, a ...any) {
	r.Appliance.Log(appliance.AuthenticationLog, level, fmt.Sprintf(format, a...))
}

// addrOf returns a's address without its port, or the zero Addr if a has another form.
func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap()
}

// mayTransfer reports whether accounts of a role may use sftp and scp.
func mayTransfer(r users.Role) bool { return r == users.Administrator || r == users.Operator }
