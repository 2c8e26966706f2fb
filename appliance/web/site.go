package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
)

// maxForm bounds the body of a request.
const maxForm = 64 << 10

// A site is what a run serves.
type site struct {
	appliance *appliance.Appliance
	outside   func() (netip.AddrPort, bool)
	sessions  *sessions
	indexes   *indexes
}

func newSite(o Options, w *tokenSource) *site {
	return &site{appliance: o.Appliance, outside: o.Outside, sessions: newSessions(o.Appliance, w), indexes: newIndexes()}
}

// A visit is a request of somebody who is logged in.
type newClient struct {
	*http.Request
	w       http.ResponseWriter
	session *session
	page    *page
	title   string // of what is shown, "" where it is the page's
}

func (v *newClient) role() users.Role { return v.session.account.Role }

// A pageError is a refusal with the HTTP status of the page that shows it.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// Unwrap returns the refusal.
func (e *httpError) Unwrap() error { return refusal.New(e.text) }

func refuse(status int, format string, a ...any) error {
	return &httpError{status, fmt.Sprintf(format, a...)}
}

// statusOf is the HTTP status of a refusal. The appliance's parts know nothing of HTTP:
// what they refuse cannot be processed.
func statusOf(err error) int {
	var e *httpError
	if errors.As(err, &e) {
		return e.status
	}
	return http.StatusUnprocessableEntity
}

// errNotFound is the answer where there is nothing.
var errNotFound = refuse(http.StatusNotFound, "There is no such page.")

// handler is everything that the ports answer with.
func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", serveAsset)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /login", s.showLogin)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST "+logoutPage.Path, s.logout)
	s.route(mux, logoutPage, "GET", "", s.askLogout)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, statusPage.Path, http.StatusSeeOther)
	})
	s.route(mux, statusPage, "GET", "", s.showStatus)
	s.route(mux, commitPage, "GET", "", s.showChanges)
	s.route(mux, commitPage, "POST", "", s.commit)
	s.route(mux, commitPage, "GET", "/abandon", s.askAbandon)
	s.route(mux, helpPage, "GET", "", s.showHelp)
	s.route(mux, interfacesPage, "GET", "", s.showInterfaces)
	s.captureRoutes(mux)
	s.logRoutes(mux)
	s.alertRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, &page{Title: "Not Found"}, true, func(*newClient) error { return errNotFound })
	})
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.plainError(w, r, http.StatusForbidden, "The request was refused because another site sent it.")
	}))
	return s.outermost(cross.Handler(mux))
}

// route registers a handler of a page.
func (s *site) route(mux *http.ServeMux, p *page, method, below string, h func(*newClient) error) {
	mux.HandleFunc(method+" "+p.Path+below, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, p, true, h) })
}

// background registers a handler of what a page asks for by itself, which does not
// count as something that the user does.
func (s *site) background(mux *http.ServeMux, p *page, below string, h func(*newClient) error) {
	mux.HandleFunc("GET "+p.Path+below, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, p, false, h) })
}

// outermost applies to every request: it logs, bounds, and sets what every answer has.
func (s *site) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, control: http.NewResponseController(w)}
		rec.extend()
		h := rec.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		r = r.WithContext(context.WithValue(r.Context(), recorderKey{}, rec))
		r.Body = http.MaxBytesReader(rec, r.Body, maxForm)
		defer s.logRequest(rec, r)
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // what net/http compares with
					panic(p)
				}
				s.appliance.Logger.Error("panic in the page", "path", r.URL.Path, "error", p, "stack", string(debug.Stack()))
				s.plainError(rec, r, http.StatusInternalServerError, internalText)
			}
		}()
		switch {
		case !s.appliance.AdminAccess().Admits(remote(r)):
			s.plainError(rec, r, http.StatusForbidden, "Access is not permitted from this address.")
		case r.TLS == nil && s.secureURL(r) != "":
			http.Redirect(rec, r, s.secureURL(r), http.StatusFound)
		default:
			next.ServeHTTP(rec, r)
		}
	})
}

const internalText = "An internal error has occurred. It has been logged."

// serve answers a request for a page: it sends strangers to the login, and turns away
// whose role does not permit it.
func (s *site) serve(w http.ResponseWriter, r *http.Request, p *page, active bool, h func(*newClient) error) {
	session := s.sessionOf(r, active)
	if session == nil {
		s.sendToLogin(w, r, p, active)
		return
	}
	v := &newClient{Request: r, w: w, session: session, page: p}
	err := s.admit(v)
	if err == nil {
		err = h(v)
	}
	if err != nil {
		s.fail(v, err)
	}
}

func (s *site) admit(v *newClient) error {
	switch {
	case s.appliance.Product.Version.Before(v.page.since):
		return errNotFound
	case !v.page.allows(v.role()):
		return refuse(http.StatusForbidden, "Your user role does not permit this page.")
	}
	if no := readForm(v.Request); no != nil {
		return no
	}
	return nil
}

// readForm parses the form of a request.
func readForm(r *http.Request) *httpError {
	err := r.ParseForm()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &httpError{http.StatusRequestEntityTooLarge, "The form is too large."}
	case err != nil:
		return &httpError{http.StatusBadRequest, "The form cannot be read."}
	}
	return nil
}

// fail shows an error. It is the one place where refusals are told from the rest.
func (s *site) fail(v *newClient, err error) {
	status := statusOf(err)
	text, ok := refusal.Text(err)
	if !ok {
		if v.Context().Err() != nil { // the browser has gone away, or the process ends
			return
		}
		s.appliance.Logger.Error("a page failed", "path", v.URL.Path, "user", v.session.account.Name, "err", err)
		status, text = http.StatusInternalServerError, internalText
	}
	if err := s.render(v, status, "error.html", text); err != nil {
		s.plainError(v.w, v.Request, status, text)
	}
}

// plainError answers who is not logged in, or what cannot be shown otherwise.
func (s *site) plainError(w http.ResponseWriter, _ *http.Request, status int, text string) {
	http.Error(w, text, status)
}

// done leaves a notice and sends the browser to a page, so that reloading it does not
// send the form again.
func (v *newClient) redirect(path, format string, a ...any) error {
	if format != "" {
		v.session.leaveNotice(path, notice{Text: fmt.Sprintf(format, a...)})
	}
	http.Redirect(v.w, v.Request, path, http.StatusSeeOther)
	return nil
}

// sorry is done for what did not succeed.
func (v *newClient) redirectRefused(path string, err error) error {
	text, ok := refusal.Text(err)
	if !ok {
		return err
	}
	v.session.leaveNotice(path, notice{Text: text, Bad: true})
	http.Redirect(v.w, v.Request, path, http.StatusSeeOther)
	return nil
}

// remote is the client's address.
func remote(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

type recorderKey struct{}

// A recorder notes what became of a request, and gives the browser time to take the
// answer, as long as it takes some of it.
type recorder struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	session *session
	poll    bool // the page asked by itself
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) extend() {
	_ = r.control.SetWriteDeadline(clock.System().Now().Add(writeTime)) // not in tests without a connection
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.extend()
	return r.ResponseWriter.Write(p)
}

// logRequest writes a request to the log of the page (logs.md 3.5).
func (s *site) logRequest(rec *recorder, r *http.Request) {
	user, id := "-", "-"
	if rec.session != nil {
		user, id = rec.session.account.Name, rec.session.id
	}
	status := rec.status
	if status == 0 {
		status = http.StatusOK
	}
	target := r.URL.RequestURI()
	if len(target) > 1024 {
		target = target[:1024] + "..."
	}
	text := fmt.Sprintf("req:%v user:%s id:%s %s %s %s %d", remote(r), user, id, r.Method, target, r.Proto, status)
	if modernLogs(s.appliance) {
		agent := r.UserAgent()
		if len(agent) > 256 {
			agent = agent[:256]
		}
		text = fmt.Sprintf("req:%v user:%s id:%s %d %s %s %s %s", remote(r), user, id, status, r.Method, target, r.Proto, agent)
	}
	level := appliance.Information
	if rec.poll {
		level = appliance.Debug
	}
	s.appliance.Log(appliance.GUILog, level, text)
}

// moment is a time as pages show it, in the appliance's zone.
func (s *site) formatTime(t time.Time) string {
	return t.In(s.appliance.Zone()).Format("Mon Jan _2 15:04:05 2006 MST")
}
