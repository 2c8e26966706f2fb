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
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// Bounds of requests.
const (
	maxBody     = 1 << 20          // bytes
	readTimeout = 10 * time.Second // for a whole request to arrive
	idleTimeout = 2 * time.Minute  // between the requests of a connection
)

// A Server answers requests about one box. It is safe for concurrent use.
type Server struct {
	box            *box.Box
	mux            *http.ServeMux
	active         sync.WaitGroup  // listeners, and requests that are being answered
	requestCtx     context.Context // the parent of the contexts of all requests
	cancelRequests context.CancelFunc

	mu      sync.Mutex
	servers []*http.Server
	stopped bool
}

// New returns a server for b, which must have been started.
func New(b *box.Box) *Server {
	s := &Server{box: b, mux: http.NewServeMux()}
	s.requestCtx, s.cancelRequests = context.WithCancel(context.Background())
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
		"GET /v1/guard":           s.listGuard,
		"DELETE /v1/guard":        s.freeAll,
		"DELETE /v1/guard/{addr}": s.freeAddress,
		"/":                       s.unknown,

		"GET /v1/mail":                   s.listMailServers,
		"GET /v1/mail/{server}/messages": s.listMessages,
	} {
		s.mux.Handle(pattern, handlerOf(f))
	}
	return s
}

// Serve answers requests on l until Stop, which closes l. It returns immediately.
func (s *Server) Serve(l net.Listener) {
	h := s.countRequests(s.mux)
	if l.Addr().Network() != "unix" {
		h = refuseWebPages(h)
	}
	server := &http.Server{
		Handler: h, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return s.requestCtx },
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = append(s.servers, server)
	s.active.Go(func() { server.Serve(l) }) //nolint:errcheck // Stop ends it
}

// Stop closes the listeners and waits for requests that are being answered. If ctx ends
// first, Stop cancels these requests. It may be called more than once.
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
	s.cancelRequests()
	s.active.Wait()
	return errors.Join(errs...)
}

// countRequests makes Stop wait until h has returned: http.Server.Close does not wait.
func (s *Server) countRequests(h http.Handler) http.Handler {
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

// refuseWebPages refuses the requests that a browser sends for a web page of another site.
func refuseWebPages(h http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			text := fmt.Sprintf(
				"the host %q is not this machine: expected localhost or a loopback address", r.Host)
			writeError(w, &RequestError{http.StatusForbidden, text})
			return
		}
		if err := origin.Check(r); err != nil {
			text := "a web page of another site may not control the appliance"
			writeError(w, &RequestError{http.StatusForbidden, text})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isLoopback reports whether a Host header is localhost or a loopback address.
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

// badRequest returns an error that is answered with status 400.
func badRequest(format string, args ...any) error {
	return &RequestError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// created is a result that is answered with status 201.
type created struct{ any }

// handlerOf returns a handler that answers with the result of f as JSON. A nil result is
// answered with status 204.
func handlerOf(f func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		result, err := f(r)
		if err != nil {
			writeError(w, err)
			return
		}
		switch x := result.(type) {
		case nil:
			w.WriteHeader(http.StatusNoContent)
		case created:
			writeJSON(w, http.StatusCreated, x.any)
		default:
			writeJSON(w, http.StatusOK, x)
		}
	})
}

// writeError answers with the text of err and the status that belongs to its type.
func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var refused *RequestError
	var notFound *netsim.NotFoundError
	switch {
	case errors.As(err, &refused):
		status = refused.Status
	case errors.As(err, &notFound):
		status = http.StatusNotFound
	case errors.Is(err, netsim.ErrStopped):
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, x any) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)              // readable for people: Critical <System>
	if err := e.Encode(x); err != nil { // the report of a peer has no form in JSON
		status = http.StatusInternalServerError
		text.Reset()
		text.WriteString(`{"error": "the answer cannot be written as JSON"}` + "\n")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(text.Bytes()) //nolint:errcheck // the client may be gone
}

// readBody decodes the body of a request, which must be one JSON object.
func readBody(r *http.Request, x any) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return &RequestError{http.StatusUnsupportedMediaType,
			"expected a body in JSON, with Content-Type: application/json"}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	switch err := d.Decode(x); {
	case err == io.EOF:
		return badRequest("expected a JSON object, but the body is empty")
	case err != nil:
		return badRequest("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return badRequest("expected one JSON object, but the body goes on after it")
	}
	return nil
}

// unknown answers requests for which there is no handler.
func (s *Server) unknown(r *http.Request) (any, error) {
	return nil, &RequestError{http.StatusNotFound, fmt.Sprintf(
		"there is no %s %s: expected /v1/faults, /v1/peers, /v1/mail, "+
			"/v1/clock, /v1/guard or /v1/health", r.Method, r.URL.Path)}
}
