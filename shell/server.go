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
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/users"
)

// A Server is the appliance's SSH daemon. Its fields are set before Start.
type Server struct {
	Appliance *appliance.Appliance
	Commands  []*Command
	HostKey   crypto.Signer // Ed25519, ECDSA or RSA
	// Listen opens the port; the caller decides on which network.
	Listen func(context.Context) (net.Listener, error)
	// Subsystems serves "sftp" and the like, for administrators and operators.
	// Each returns when its conversation is over; ctx ends with the channel.
	Subsystems map[string]func(ctx context.Context, ch Channel)
	// Exec may take a command line that came with ssh before it is looked up as a
	// command, as scp's; it reports whether it did. It is asked for administrators
	// and operators only, and may be nil.
	Exec func(ctx context.Context, line string, ch Channel) bool
	// Version is the software version that clients are told; "" means the default.
	Version string
	Limits  Limits

	mu    sync.Mutex // guards what follows; a leaf
	life  context.Context
	end   context.CancelCauseFunc
	lis   net.Listener
	peers map[*peer]bool

	// What was started, for Stop to wait for.
	sessions    taskGroup // shells, commands, subsystems
	channels    taskGroup // until the client has closed its side
	connections taskGroup // and the loop that accepts them
}

// Limits are what a Server allows. A zero field means its default.
type Limits struct {
	IdleTimeout       time.Duration // silence at a prompt before a session ends; what is configured
	HandshakeTimeout  time.Duration // from connecting to being logged in; 2 minutes
	Connections       int           // at a time; 1000
	Sessions          int           // channels of one connection at a time; 10
	AuthTries         int           // of one connection to log in; 6
	KeepaliveInterval time.Duration // between two questions whether the client is alive; 1 minute
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	count := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	set(&l.HandshakeTimeout, 2*time.Minute)
	set(&l.KeepaliveInterval, time.Minute)
	count(&l.Connections, 1000)
	count(&l.Sessions, 10)
	count(&l.AuthTries, 6)
	return l
}

// DefaultIdleTimeout is the inactivity timeout of a session on a new appliance.
const DefaultIdleTimeout = users.DefaultIdleMinutes * time.Minute

// DefaultVersion is what clients are told unless Server.Version says otherwise.
const DefaultVersion = "OpenSSH_7.5 FreeBSD-20170903"

// Name is what tcpservices calls it.
func (s *Server) Name() string { return "sshd" }

// Start listens and returns; connections are answered until Stop.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life != nil {
		return errors.New("shell: the server runs already")
	}
	key, err := gossh.NewSignerFromSigner(s.HostKey)
	if err != nil {
		return fmt.Errorf("host key: %w", err)
	}
	lis, err := s.Listen(ctx)
	if err != nil {
		return err
	}
	s.lis = lis
	s.life, s.end = context.WithCancelCause(context.WithoutCancel(ctx))
	s.peers = map[*peer]bool{}
	r := &run{
		Server:  s,
		life:    s.life,
		limits:  s.Limits.withDefaults(),
		catalog: newCatalog(s.Commands, s.Appliance.Product.Version),
	}
	r.ssh = r.server(key)
	s.connections.Go(func() { r.accept(lis) })
	return nil
}

// Addr is where the server listens; nil when it does not run.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lis == nil {
		return nil
	}
	return s.lis.Addr()
}

// parting is how long clients have to take leave once their sessions have ended.
const parting = time.Second

// Stop ends the sessions, which are told why (the value of appliance.StopReason), and
// waits for them. When ctx ends first it cuts the connections and returns ctx's
// error. It may be called more than once, and without Start: it then waits for what
// is left, if anything.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	lis, end := s.lis, s.end
	s.lis, s.end = nil, nil
	s.mu.Unlock()
	if lis == nil {
		return s.wait(ctx)
	}
	lis.Close()
	end(StoppedError(appliance.StopReason(ctx)))
	s.cut(func(p *peer) bool { return p.channels() == 0 })
	err := s.sessions.wait(ctx)
	if err == nil {
		grace, cancel := context.WithCancel(ctx)
		defer clock.System().AfterFunc(parting, cancel)()
		s.channels.wait(grace) //nolint:errcheck // a client that is late is cut below
		cancel()
	}
	s.cut(func(*peer) bool { return true })
	err = cmp.Or(err, s.wait(ctx))
	s.mu.Lock()
	s.life = nil
	s.mu.Unlock()
	return err
}

// wait waits for everything that was started.
func (s *Server) wait(ctx context.Context) (err error) {
	for _, g := range []*taskGroup{&s.sessions, &s.channels, &s.connections} {
		err = cmp.Or(err, g.wait(ctx))
	}
	return err
}

func (s *Server) cut(which func(*peer) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		if which(p) {
			p.Conn.Close()
		}
	}
}

// A run is a server between Start and Stop.
type run struct {
	*Server
	life    context.Context
	limits  Limits
	catalog *catalog
	ssh     *ssh.Server
}

// server configures the library: it speaks the protocol and authenticates. Channels
// are handled by channel.go; forwarding has no handler and is refused.
func (r *run) server(key gossh.Signer) *ssh.Server {
	version := r.Version
	if version == "" {
		version = DefaultVersion
	}
	return &ssh.Server{
		HostSigners:          []ssh.Signer{key},
		Version:              version,
		ServerConfigCallback: r.config,
		ChannelHandlers:      map[string]ssh.ChannelHandler{"session": r.channel},
		RequestHandlers:      map[string]ssh.RequestHandler{},
		ConnCallback: func(ctx ssh.Context, c net.Conn) net.Conn {
			ctx.SetValue(peerKey{}, c)
			return c
		},
	}
}

// accept answers connections until the listener is closed. The library's own loop
// would not let us wait for the connections, nor count them.
func (r *run) accept(lis net.Listener) {
	var pause time.Duration
	for {
		conn, err := lis.Accept()
		if errors.Is(err, net.ErrClosed) || r.life.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil { // no file descriptor is left, say
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			r.Appliance.Logger.Warn("accept a connection", "service", r.Name(), "error", err)
			if clock.System().Sleep(r.life, pause) != nil {
				return
			}
			continue
		}
		pause = 0
		p := r.admit(conn)
		if p == nil {
			conn.Close()
			continue
		}
		r.connections.Go(func() {
			defer r.dismiss(p)
			defer r.guard("connection")
			r.ssh.HandleConn(p)
		})
	}
}

// guard keeps a panic from ending the process.
func (r *run) guard(where string) {
	if p := recover(); p != nil {
		r.Appliance.Logger.Error("panic in the SSH server", "where", where, "error", p, "stack", string(debug.Stack()))
	}
}

// admit makes a peer of a connection, or returns nil where there is no room for it,
// or its address is blocked or not one from which access is permitted. A newcomer takes the place of whoever has been longest
// about logging in.
func (r *run) admit(conn net.Conn) *peer {
	addr := addrOf(conn.RemoteAddr())
	if !r.Appliance.Guard.Admit(addr) {
		return nil
	}
	if !r.Appliance.AdminAccess().Admits(addr) {
		r.Appliance.Log(appliance.AuthenticationLog, appliance.Information,
			fmt.Sprintf("An SSH connection from %v was refused: access is not permitted from this address.", addr))
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.peers) >= r.limits.Connections {
		var slowest *peer
		for p := range r.peers {
			if !p.loggedIn() && (slowest == nil || p.since < slowest.since) {
				slowest = p
			}
		}
		if slowest == nil {
			r.Appliance.Logger.Warn("too many connections", "service", r.Name(), "from", addr)
			return nil
		}
		slowest.Conn.Close()
		delete(r.peers, slowest)
	}
	p := &peer{Conn: conn, addr: addr, since: clock.System().Mark()}
	p.grace = p.timers.AfterFunc(clock.System(), r.limits.HandshakeTimeout, func() { conn.Close() })
	r.peers[p] = true
	return p
}

func (r *run) dismiss(p *peer) {
	user := p.end()
	p.timers.Wait()
	if user != "" {
		r.Appliance.Log(appliance.AuthenticationLog, appliance.Information, fmt.Sprintf("User %s logged out of SSH session %v", user, p.addr))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.peers, p)
}

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

// mayTransfer reports whether an account may fetch and store files.
func mayTransfer(a users.Account) bool {
	return a.Role == users.Administrator || a.Role == users.Operator
}
