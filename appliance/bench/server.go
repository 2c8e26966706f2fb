package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/assets"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// Bounds of requests.
const (
	maxForm      = 1 << 20 // bytes
	readTimeout  = 10 * time.Second
	idleTimeout  = 2 * time.Minute
	maxStreams   = 64
	maxTerminals = 8
)

// Options describe a Server. Box, Token and Addr are required.
type Options struct {
	Box    *box.Box
	Token  string       // of at least 16 characters
	Addr   net.Addr     // of the listener
	Logger *slog.Logger // nil discards
}

// A Server is the page of one box. It is safe for concurrent use.
type Server struct {
	box    *box.Box
	token  string
	addr   netip.AddrPort
	access *access
	logger *slog.Logger
	mux    *http.ServeMux
	http   *http.Server

	active    sync.WaitGroup  // the listener, and requests that are being answered
	requests  context.Context // the parent of the contexts of all requests
	cancel    context.CancelFunc
	streams   chan struct{} // one element for each open stream
	terminals chan struct{} // one element for each open terminal

	mu       sync.Mutex
	stopped  bool
	tapes    []*tape
	lastTape int // the number of the newest one
}

// New returns a server, which answers after Serve. The box must have been started.
func New(o Options) *Server {
	addr, _ := netip.ParseAddrPort(o.Addr.String()) // of a TCP listener
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		box: o.Box, token: o.Token, addr: addr, access: newAccess(o.Token, addr), logger: o.Logger,
		mux:     http.NewServeMux(),
		streams: make(chan struct{}, maxStreams), terminals: make(chan struct{}, maxTerminals),
	}
	s.requests, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler: s.count(http.HandlerFunc(s.serve)), ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return s.requests },
	}
	for _, r := range s.routes() {
		s.mux.HandleFunc(r.pattern, s.handlerOf(r.answer))
	}
	s.mux.HandleFunc("GET "+assets.Folder+"{name}", func(w http.ResponseWriter, r *http.Request) {
		theAssets().Serve(w, r) // read at the first request
	})
	return s
}

// Serve answers requests on l until Stop, which closes l. It returns immediately.
func (s *Server) Serve(l net.Listener) {
	s.active.Go(func() { s.http.Serve(l) }) //nolint:errcheck // Stop ends it
}

// URL returns the address of the page with its token. Whoever knows it may use the page.
func (s *Server) URL() string {
	at := s.addr
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	query := url.Values{"token": {s.token}}
	u := url.URL{Scheme: "http", Host: at.String(), Path: "/", RawQuery: query.Encode()}
	return u.String()
}

// Stop closes the listener, ends streams and terminals, and blocks until all requests have been
// answered. If ctx ends first, Stop cuts the connections. It may be called more than once.
func (s *Server) Stop(ctx context.Context) error {
	s.cancel() // streams, recordings and terminals would go on
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop the bench: %w", err), s.http.Close())
	}
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.active.Wait()
	return err
}

// count makes Stop wait until h has returned.
func (s *Server) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			return
		}
		s.active.Add(1)
		s.mu.Unlock()
		defer s.active.Done()
		h.ServeHTTP(w, r)
	})
}

// policy is the Content-Security-Policy of every page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';" +
	" connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// serve answers a request, if its client may have an answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if s.access.check(w, r) {
		s.mux.ServeHTTP(w, r)
	}
}

// A route is what the server does with the requests that match a pattern of http.ServeMux.
type route struct {
	pattern string
	answer  func(*visit) error
}

// routes returns all routes. A file with requests about one thing has a method for its own.
func (s *Server) routes() []route {
	return slices.Concat(
		s.networkRoutes(),
		s.faultRoutes(),
		s.serverRoutes(),
		s.mailRoutes(),
		s.packetRoutes(),
		s.eventRoutes(),
		s.tableRoutes(),
		s.terminalRoutes(),
		s.worldRoutes(),
	)
}

// A visit is a request that is being answered.
type visit struct {
	*http.Request
	w http.ResponseWriter
}

// redirect leads the browser to another page after a form.
func (v *visit) redirect(to string) error {
	http.Redirect(v.w, v.Request, to, http.StatusSeeOther)
	return nil
}

// A refusal is an error whose text the user may read.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// badRequest returns a refusal of what a form says.
func badRequest(format string, args ...any) error {
	return refuse(http.StatusBadRequest, format, args...)
}

// unavailable returns a refusal of what cannot be done now.
func unavailable(format string, args ...any) error {
	return refuse(http.StatusServiceUnavailable, format, args...)
}

// handlerOf returns a handler that calls f, and answers with a page about its error.
func (s *Server) handlerOf(f func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{r, w}
		err := f(v)
		if err == nil || r.Context().Err() != nil {
			return
		}
		status, text := statusOf(err)
		if _, why := s.box.Health(); why != nil && status == http.StatusInternalServerError {
			status, text = http.StatusServiceUnavailable, fmt.Sprintf("Not now: %v.", why)
		}
		if status == http.StatusInternalServerError {
			s.logger.Error("bench", "request", r.Method+" "+r.URL.Path, "error", err)
		}
		failed := page{Title: "That did not work", Data: text}
		if err := s.render(v, status, "error.html", failed); err != nil {
			s.logger.Error("bench", "error", err)
		}
	}
}

// statusOf returns the status and the text for an error.
func statusOf(err error) (status int, text string) {
	var refused *refusal
	var missing *netsim.NotFoundError
	var conflict *netsim.ConflictError
	var rule *topology.RuleError
	switch {
	case errors.As(err, &refused):
		return refused.status, refused.text
	case errors.As(err, &missing):
		return http.StatusNotFound, missing.Error()
	case errors.As(err, &conflict):
		return http.StatusConflict, conflict.Error()
	case errors.As(err, &rule):
		return http.StatusBadRequest, rule.Error()
	case errors.Is(err, netsim.ErrStopped):
		return http.StatusServiceUnavailable, "The appliance is not up."
	}
	return http.StatusInternalServerError, "The simulator could not do that. Its own log says why."
}
