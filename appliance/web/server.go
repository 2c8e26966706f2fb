package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/appliance/users"
)

// Options are the parts that a Server uses. All but Outside are required.
type Options struct {
	Appliance *appliance.Appliance
	// MayRun reports whether accounts of a role may run the command with the given name.
	// Each page, and each action of a page, follows the roles of one command, so that the
	// page and the command line always agree.
	MayRun func(role users.Role, command string) bool
	// Outside returns the real address of the front door to HTTPS, to which browsers are
	// sent that use the front door to HTTP. ok is false if there is no such door. A nil
	// Outside means that there is none.
	Outside func() (addr netip.AddrPort, ok bool)
}

// Limits of connections and requests.
const (
	maxConns       = 2000
	headerTimeout  = 15 * time.Second // also of the TLS handshake
	requestTimeout = time.Minute      // to send a form
	idleTimeout    = 75 * time.Second
	writeTimeout   = time.Minute // without a byte taken by the client
	maxHeader      = 32 << 10
)

// A Server is the process gui. The appliance can restart it.
type Server struct {
	o      Options
	tokens *tokenSource

	mu  sync.Mutex
	run *run // nil while the Server is stopped
}

var _ appliance.Restarter = (*Server)(nil)

// New returns a Server. Start makes it listen.
func New(o Options) *Server {
	if o.Outside == nil {
		o.Outside = func() (netip.AddrPort, bool) { return netip.AddrPort{}, false }
	}
	return &Server{o: o, tokens: &tokenSource{o.Appliance.Entropy.Stream("web")}}
}

// Name returns the name of the process, as tcpservices prints it (B35).
func (s *Server) Name() string { return daemon.GUI.Name() }

// Process returns the process.
func (s *Server) Process() daemon.Process { return daemon.GUI }

// A run is a Server between Start and Stop.
type run struct {
	site   *site
	http   *http.Server
	cancel context.CancelFunc // of the context of all requests
	wg     sync.WaitGroup     // the goroutines of listeners, and requests

	mu      sync.Mutex
	stopped bool // no request may begin
	conns   int
	arrived uint64              // connections so far
	unused  map[net.Conn]uint64 // when connections that have not sent a request yet arrived
	full    bool                // the limit has been reached, and logged
}

// Start opens the ports and returns.
func (s *Server) Start(ctx context.Context) error {
	requests, cancel := context.WithCancel(context.Background())
	r := &run{site: newSite(s.o, s.tokens), cancel: cancel, unused: map[net.Conn]uint64{}}
	handler := sync.OnceValue(r.site.handler) // its routes are made when somebody uses the page
	r.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if !r.begin() {
				panic(http.ErrAbortHandler) // Stop is about to cut the connection
			}
			defer r.wg.Done()
			if c := connOf(q.Context()); c != nil {
				q.TLS, c.responseBegins = c.state, true
			}
			handler().ServeHTTP(w, q)
		}),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ConnState:      r.connState,
		ConnContext:    withConn,
		BaseContext:    func(net.Listener) context.Context { return requests },
		ErrorLog:       log.New(&serverErrorLog{s.o.Appliance}, "", 0),
		Protocols:      new(http.Protocols),
	}
	r.http.Protocols.SetHTTP1(true)
	secure := &tls.Config{GetConfigForClient: s.tlsConfig}
	for _, l := range []struct {
		port   daemon.Port
		config *tls.Config
	}{{daemon.HTTPPort(), nil}, {daemon.HTTPSPort(), secure}} {
		ln, err := s.o.Appliance.Daemons.Listen(ctx, l.port)
		if err != nil {
			return errors.Join(err, r.stop(ctx))
		}
		ln = &listener{ln, l.config, s.logHandshake}
		r.wg.Go(func() {
			if err := r.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				s.o.Appliance.Logger.Error("the page is no longer served", "err", err)
			}
		})
	}
	s.logAddresses()
	s.mu.Lock()
	s.run = r
	s.mu.Unlock()
	return nil
}

// tlsConfig returns the configuration for a new connection, as the committed configuration of
// the IP interface has it.
func (s *Server) tlsConfig(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	a := s.o.Appliance
	certificate := ""
	if local, err := netip.ParseAddrPort(hello.Conn.LocalAddr().String()); err == nil {
		for _, i := range netconfig.Interfaces.Get(a.Config.Committed()).List {
			if addr := local.Addr().Unmap(); addr == i.IPv4 || addr == i.IPv6.Addr() {
				certificate = i.Certificate
			}
		}
	}
	return a.Certificates.Server(tlsconfig.GUI, certificate)
}

// logAddresses logs the addresses on which the process listens (logs.md 3.5).
func (s *Server) logAddresses() {
	for _, i := range netconfig.Interfaces.Get(s.o.Appliance.Config.Committed()).List {
		for _, a := range []netip.Addr{i.IPv4, i.IPv6.Addr()} {
			if !a.IsValid() {
				continue
			}
			if i.HTTP != 0 && i.HTTPS != 0 {
				s.log(appliance.Information, fmt.Sprintf("http service on %v redirecting to "+
					"https port %d", netip.AddrPortFrom(a, i.HTTP), i.HTTPS))
			} else if i.HTTP != 0 {
				s.log(appliance.Information, fmt.Sprintf("http service listening on %v",
					netip.AddrPortFrom(a, i.HTTP)))
			}
			if i.HTTPS != 0 {
				s.log(appliance.Information, fmt.Sprintf("https service listening on %v",
					netip.AddrPortFrom(a, i.HTTPS)))
			}
		}
	}
}

func (s *Server) log(level appliance.Level, text string) {
	s.o.Appliance.Log(appliance.GUILog, level, text)
}

// logHandshake logs a failed TLS handshake (logs.md 3.5).
func (s *Server) logHandshake(client net.Addr, text string) {
	s.log(appliance.Warning, fmt.Sprintf("SSL error with client %v - %s", client, text))
}

// connState counts connections. Beyond maxConns it closes the oldest connection that has not sent a
// request, so that silent clients cannot lock out others.
func (r *run) connState(c net.Conn, state http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch state {
	case http.StateNew:
		r.conns++
		r.arrived++
		r.unused[c] = r.arrived
		if r.conns > maxConns {
			r.displace()
		}
	case http.StateClosed:
		r.conns--
		delete(r.unused, c)
		r.full = r.full && r.conns > maxConns*9/10
	default:
		delete(r.unused, c)
	}
}

// displace closes the oldest unused connection, which may be the new one. It logs that the limit
// has been reached, once until the number of connections has decreased.
func (r *run) displace() {
	var oldest net.Conn
	for c, n := range r.unused {
		if oldest == nil || n < r.unused[oldest] {
			oldest = c
		}
	}
	delete(r.unused, oldest)
	if c, ok := oldest.(*conn); ok && c.tls != nil {
		oldest = c.tls.NetConn() // its Close does not wait for the client to take an alert
	}
	oldest.Close()
	if !r.full {
		r.full = true
		r.site.appliance.Log(appliance.GUILog, appliance.Warning, fmt.Sprintf(
			"The limit of %d connections has been reached: those without a request are closed.",
			maxConns))
	}
}

// begin counts a request, whose end is wg.Done. It returns false if the run has stopped.
func (r *run) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.wg.Add(1)
	return true
}

// Stop closes the ports, waits for requests until ctx ends, and ends the sessions.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	r := s.run
	s.run = nil
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	return r.stop(ctx)
}

func (r *run) stop(ctx context.Context) error {
	r.mu.Lock()
	for c := range r.unused { // browsers connect in advance; Shutdown would wait for a request
		c.Close()
	}
	r.mu.Unlock()
	err := r.http.Shutdown(ctx)
	if err != nil {
		err = cmp.Or(context.Cause(ctx), err)
		r.http.Close()
	}
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
	r.site.sessions.close()
	return err
}

// A serverErrorLog receives the messages of net/http about connections.
type serverErrorLog struct{ appliance *appliance.Appliance }

func (l *serverErrorLog) Write(p []byte) (int, error) {
	l.appliance.Logger.Warn("HTTP server of the page", "message", strings.TrimSpace(string(p)))
	return len(p), nil
}
