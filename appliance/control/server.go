package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
)

const (
	longestBody = 1 << 20
	// requestPatience is how long a client may take to say what it wants.
	requestPatience = 10 * time.Second
	idlePatience    = 2 * time.Minute // between requests
)

// A Server controls a box. Its methods are safe for concurrent use.
type Server struct {
	box     *box.Box
	mux     *http.ServeMux
	running sync.WaitGroup  // listeners, and requests while they are answered
	life    context.Context // of requests
	end     context.CancelFunc

	mu      sync.Mutex
	servers []*http.Server
	stopped bool
}

// New returns a server that controls b, which has been started.
func New(b *box.Box) *Server {
	s := &Server{box: b, mux: http.NewServeMux()}
	s.life, s.end = context.WithCancel(context.Background())
	for pattern, f := range map[string]func(*http.Request) (any, error){
		"GET /v1/health":          s.getHealth,
		"GET /v1/faults":          s.listFaults,
		"POST /v1/faults":         s.addFault,
		"DELETE /v1/faults":       s.clearFaults,
		"GET /v1/faults/{id}":     s.getFault,
		"DELETE /v1/faults/{id}":  s.removeFault,
		"GET /v1/peers":           s.listPeers,
		"GET /v1/peers/{name...}": s.getPeer,
		"PUT /v1/peers/{name...}": s.putPeer,
		"GET /v1/clock":           s.getClock,
		"PUT /v1/clock":           s.putClock,
		"/":                       s.unknown,
	} {
		s.mux.Handle(pattern, answer(f))
	}
	return s
}

// Serve answers on l, which it closes, until Stop. It returns at once.
func (s *Server) Serve(l net.Listener) {
	h := s.counted(s.mux)
	if l.Addr().Network() != "unix" {
		h = guard(h)
	}
	server := &http.Server{
		Handler: h, ReadTimeout: requestPatience, IdleTimeout: idlePatience,
		BaseContext: func(net.Listener) context.Context { return s.life },
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = append(s.servers, server)
	s.running.Go(func() { server.Serve(l) }) //nolint:errcheck // it ends with Stop
}

// Stop closes the listeners and waits for requests that are being answered until ctx ends;
// then it ends them. Stopping twice is allowed.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	servers := s.servers
	s.servers = nil
	s.mu.Unlock()
	var errs []error
	for _, server := range servers {
		if err := server.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop control: %w", err), server.Close())
		}
	}
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.end()
	s.running.Wait()
	return errors.Join(errs...)
}

// counted lets Stop wait for what h does: http.Server.Close does not.
func (s *Server) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			return
		}
		s.running.Add(1)
		s.mu.Unlock()
		defer s.running.Done()
		h.ServeHTTP(w, r)
	})
}

// guard keeps web pages out.
func guard(h http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			refuse(w, &failure{http.StatusForbidden, fmt.Sprintf("The host %q is not this machine: expected localhost or a loopback address.", r.Host)})
			return
		}
		if err := origin.Check(r); err != nil {
			refuse(w, &failure{http.StatusForbidden, "Web pages may not control the appliance."})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isLoopback reports whether a Host header names this machine to itself.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// A failure is an error that knows its status.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

func invalid(format string, args ...any) error {
	return &failure{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// created is an answer with that status.
type created struct{ any }

// answer makes a handler of a function whose result becomes JSON; a nil one is no
// content.
func answer(f func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, longestBody)
		result, err := f(r)
		if err != nil {
			refuse(w, err)
			return
		}
		switch x := result.(type) {
		case nil:
			w.WriteHeader(http.StatusNoContent)
		case created:
			write(w, http.StatusCreated, x.any)
		default:
			write(w, http.StatusOK, x)
		}
	})
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var f *failure
	var unknown *netsim.NotFoundError
	switch {
	case errors.As(err, &f):
		status = f.status
	case errors.As(err, &unknown):
		status = http.StatusNotFound
	case errors.Is(err, netsim.ErrStopped):
		status = http.StatusServiceUnavailable
	}
	write(w, status, map[string]string{"error": err.Error()})
}

func write(w http.ResponseWriter, status int, x any) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // people read it: Critical <System>
	if err := e.Encode(x); err != nil {
		status = http.StatusInternalServerError // a peer's report is no JSON
		text.Reset()
		text.WriteString(`{"error": "The answer cannot be written as JSON."}` + "\n")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(text.Bytes()) //nolint:errcheck // whoever asked may be gone
}

// read reads a request's body.
func read(r *http.Request, x any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &failure{http.StatusUnsupportedMediaType, "expected a body in JSON, with Content-Type: application/json"}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	switch err := d.Decode(x); {
	case err == io.EOF:
		return invalid("expected a JSON object, not nothing")
	case err != nil:
		return invalid("%v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return invalid("expected one JSON object")
	}
	return nil
}

func (s *Server) unknown(r *http.Request) (any, error) {
	return nil, &failure{http.StatusNotFound, fmt.Sprintf("there is no %s %s: expected /v1/faults, /v1/peers, /v1/clock or /v1/health", r.Method, r.URL.Path)}
}
