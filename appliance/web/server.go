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
)

// Options are what a Server needs. Box and Certificate are required.
type Options struct {
	Appliance   *appliance.Appliance
	Certificate tls.Certificate
	// Outside is where, outside the appliance's network, the door to HTTPS is; false
	// means that there is none. Browsers that come in by the door to HTTP are sent
	// there. Nil: there is no door.
	Outside func() (netip.AddrPort, bool)
}

// Limits of connections and requests.
const (
	maxConns    = 2000
	headerTime  = 15 * time.Second
	requestTime = time.Minute // to send a form
	idleTime    = 75 * time.Second
	writeTime   = time.Minute // without a byte taken by the browser
	maxHeader   = 32 << 10
)

// A Server is the process gui. It is a Restarter of the appliance.
type Server struct {
	o     Options
	words *tokenSource // ids and secrets of sessions

	mu  sync.Mutex
	run *run // nil: not started, or stopped
}

var _ appliance.Restarter = (*Server)(nil)

// New returns a server that listens once it is started.
func New(o Options) *Server {
	if o.Outside == nil {
		o.Outside = func() (netip.AddrPort, bool) { return netip.AddrPort{}, false }
	}
	return &Server{o: o, words: &tokenSource{o.Appliance.Entropy.Stream("web")}}
}

// Name is the process's, as tcpservices prints it (B35).
func (s *Server) Name() string { return daemon.GUI.Name() }

// Process is the one that it is.
func (s *Server) Process() daemon.Process { return daemon.GUI }

// A run is a Server from Start to Stop.
type run struct {
	site *site
	http *http.Server
	cancel  context.CancelFunc // of the requests' context
	wg   sync.WaitGroup     // what serves a listener, and every request

	mu    sync.Mutex
	stopped  bool // no request may begin
	conns int
	unused  map[net.Conn]bool // that have not asked for anything yet
}

// Start opens the ports and returns.
func (s *Server) Start(ctx context.Context) error {
	life, end := context.WithCancel(context.Background())
	r := &run{site: newSite(s.o, s.words), cancel: end, unused: map[net.Conn]bool{}}
	handler := r.site.handler()
	r.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if !r.begin() {
				panic(http.ErrAbortHandler) // the connection is being cut
			}
			defer r.wg.Done()
			handler.ServeHTTP(w, q)
		}),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{s.o.Certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ConnState:   r.count,
		BaseContext: func(net.Listener) context.Context { return life },
		ErrorLog:    log.New(&serverErrorLog{s.o.Appliance}, "", 0),
		Protocols:   new(http.Protocols),
	}
	r.http.Protocols.SetHTTP1(true)
	for _, l := range []struct {
		port  daemon.Port
		serve func(net.Listener) error
	}{
		{daemon.HTTPPort(), r.http.Serve},
		{daemon.HTTPSPort(), func(l net.Listener) error { return r.http.ServeTLS(l, "", "") }},
	} {
		ln, err := s.o.Appliance.Daemons.Listen(ctx, l.port)
		if err != nil {
			return errors.Join(err, r.stop(ctx))
		}
		r.wg.Go(func() {
			if err := l.serve(ln); !errors.Is(err, http.ErrServerClosed) {
				s.o.Appliance.Logger.Error("the page is no longer served", "err", err)
			}
		})
	}
	s.announce()
	s.mu.Lock()
	s.run = r
	s.mu.Unlock()
	return nil
}

// announce writes where the process listens to its log (logs.md 3.5).
func (s *Server) announce() {
	for _, i := range netconfig.Interfaces.Get(s.o.Appliance.Config.Committed()).List {
		for _, a := range []netip.Addr{i.IPv4, i.IPv6.Addr()} {
			if !a.IsValid() {
				continue
			}
			if i.HTTP != 0 && i.HTTPS != 0 {
				s.log(fmt.Sprintf("http service on %v redirecting to https port %d", netip.AddrPortFrom(a, i.HTTP), i.HTTPS))
			} else if i.HTTP != 0 {
				s.log(fmt.Sprintf("http service listening on %v", netip.AddrPortFrom(a, i.HTTP)))
			}
			if i.HTTPS != 0 {
				s.log(fmt.Sprintf("https service listening on %v", netip.AddrPortFrom(a, i.HTTPS)))
			}
		}
	}
}

func (s *Server) log(text string) { s.o.Appliance.Log(appliance.GUILog, appliance.Information, text) }

// count keeps count of connections, and ends those for which there is no room.
func (r *run) count(c net.Conn, state http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch state {
	case http.StateNew:
		r.conns++
		r.unused[c] = true
		if r.conns > maxConns {
			c.Close()
		}
	case http.StateClosed:
		r.conns--
		delete(r.unused, c)
	default:
		delete(r.unused, c)
	}
}

// begin notes a request, which ends with wg.Done.
func (r *run) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.wg.Add(1)
	return true
}

// Stop closes the ports, lets requests finish until ctx ends, and ends the sessions.
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
	for c := range r.unused { // browsers connect in advance; Shutdown would wait for their wishes
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

// complaints takes what net/http has to say of connections.
type serverErrorLog struct{ appliance *appliance.Appliance }

func (c *serverErrorLog) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	if rest, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		client, why, _ := strings.Cut(rest, ": ")
		c.appliance.Log(appliance.GUILog, appliance.Warning, fmt.Sprintf("SSL error with client %s - %s", client, why))
		return len(p), nil
	}
	c.appliance.Logger.Warn("page", "complaint", text)
	return len(p), nil
}
