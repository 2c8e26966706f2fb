package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/fleet"
)

// Bounds of requests.
const (
	maxBody     = 1 << 20          // bytes
	readTimeout = 10 * time.Second // for a whole request to arrive
	idleTimeout = 2 * time.Minute  // between the requests of a connection
)

// A Server answers requests about one box, or about a fleet. It is safe for concurrent use.
type Server struct {
	box            *box.Box              // nil: about a fleet
	fleet          *fleet.Fleet          // nil: about one box
	mux            func() *http.ServeMux // made by the first request
	root           http.Handler          // mux, for paths without empty elements
	active         sync.WaitGroup        // listeners, and requests that are being answered
	requestCtx     context.Context       // the parent of the contexts of all requests
	cancelRequests context.CancelFunc
	streamCtx      context.Context // ends when Stop is called: no answer goes on after that
	cancelStreams  context.CancelFunc

	mu      sync.Mutex
	servers []*http.Server
	stopped bool
}

// New returns a server for b, which must have been started.
func New(b *box.Box) *Server { return (&Server{box: b}).init() }

// NewFleet returns a server for f, which must have been started.
func NewFleet(f *fleet.Fleet) *Server { return (&Server{fleet: f}).init() }

func (s *Server) init() *Server {
	s.requestCtx, s.cancelRequests = context.WithCancel(context.Background())
	s.streamCtx, s.cancelStreams = context.WithCancel(context.Background())
	s.mux = sync.OnceValue(s.newMux)
	s.root = refuseEmptyNames(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mux().ServeHTTP(w, r)
	}))
	return s
}

func (s *Server) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, handlerOf(r.answer, bodyLimit(r.pattern)))
	}
	mux.Handle("/", handlerOf(s.unknown, maxBody))
	return mux
}

// refuseEmptyNames refuses paths with an empty element, "." or "..": http.ServeMux redirects these
// to another resource. A script whose variable is empty must not delete all instead of one.
func refuseEmptyNames(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := r.URL.EscapedPath()
		if clean := path.Clean("/" + at); at != clean && at != clean+"/" {
			writeError(w, refuse(http.StatusNotFound,
				"there is no %s %s: expected a name between two slashes", r.Method, at))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Serve answers requests on l until Stop, which closes l. It returns immediately.
func (s *Server) Serve(l net.Listener) {
	h := s.countRequests(s.root)
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

// Stop closes the listeners, ends streams of events and waits, and blocks until all requests have
// been answered. If ctx ends first, Stop cancels these requests. It may be called more than once.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	servers := s.servers
	s.servers = nil
	s.cancelStreams()
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
			writeError(w, refuse(http.StatusForbidden,
				"the host %q is not this machine: expected localhost or a loopback address", r.Host))
			return
		}
		if err := origin.Check(r); err != nil {
			writeError(w, refuse(http.StatusForbidden,
				"a web page of another site may not control the appliance"))
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

// created is a result that is answered with status 201.
type created struct{ any }

// A document is a result that is answered as it is.
type document struct {
	contentType string
	text        []byte
}

// A stream is a result that writes the answer itself.
type stream func(http.ResponseWriter)

// handlerOf returns a handler that answers with the result of f: as JSON unless it is a document
// or a stream. A nil result is answered with status 204. A body of a request has at most limit bytes.
func handlerOf(f func(*http.Request) (any, error), limit int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
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
		case document:
			setHeader(w, x.contentType)
			w.Write(x.text) //nolint:errcheck // the client may be gone
		case stream:
			x(w)
		default:
			writeJSON(w, http.StatusOK, x)
		}
	})
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
	setHeader(w, cmp.Or(w.Header().Get("Content-Type"), "application/json"))
	w.WriteHeader(status)
	w.Write(text.Bytes()) //nolint:errcheck // the client may be gone
}

// setHeader sets the header that every answer with a body has.
func setHeader(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// readBody decodes the body of a request, which must be one JSON value, and returns it as it is. The
// error says which field is wrong.
func readBody(r *http.Request, x any) (body []byte, err error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType,
			"expected a body in JSON, with Content-Type: application/json")
	}
	if body, err = io.ReadAll(r.Body); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, badRequest("the body is too large: expected at most %d bytes", large.Limit)
		}
		return nil, badRequest("the body cannot be read: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := inBody(d.Decode(x), body); err != nil {
		return nil, refusedBody(err, x)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, badRequest("expected one JSON object, but the body goes on after it")
	}
	return body, refuseNulls(body, reflect.TypeOf(x).Elem())
}

// refusedBody returns the answer to a body that encoding/json does not decode into x.
func refusedBody(err error, x any) error {
	var refused *RequestError
	var mistaken *json.UnmarshalTypeError
	switch {
	case err == io.EOF:
		return badRequest("expected a JSON object, but the body is empty")
	case errors.As(err, &refused):
		return err
	case errors.As(err, &mistaken): // the body as a whole: inBody has returned those of fields
		expected := "a JSON object"
		if reflect.TypeOf(x).Elem().Kind() == reflect.Slice {
			expected = "a list of JSON objects"
		}
		return badRequest("expected %s, found a value of the type %s", expected, mistaken.Value)
	}
	return badRequest("%s", strings.TrimPrefix(err.Error(), "json: "))
}
