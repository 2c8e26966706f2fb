package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/assets"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
)

// maxForm bounds the body of a request.
const maxForm = 64 << 10

// A site answers the requests of a run.
type site struct {
	appliance *appliance.Appliance
	outside   func() (netip.AddrPort, bool)
	mayRun    func(users.Role, string) bool
	sessions  *sessions
	indexes   *indexes
}

func newSite(o Options, t *tokenSource) *site {
	return &site{
		appliance: o.Appliance, outside: o.Outside, mayRun: o.MayRun,
		sessions: newSessions(o.Appliance, t), indexes: newIndexes(),
	}
}

// A visit is a request of a client that is logged in.
type visit struct {
	*http.Request
	w       http.ResponseWriter
	session *session
	account users.Account // as it was when the request arrived
	page    *page
	title   string // of the answer; "" means the page's title

	background bool // a script has sent the request by itself
}

func (v *visit) role() users.Role { return v.account.Role }

// An httpError is a refusal with the HTTP status of the page that shows it.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// Unwrap returns the refusal.
func (e *httpError) Unwrap() error { return refusal.New(e.text) }

// refuse returns an httpError whose text is formatted as by fmt.Sprintf.
func refuse(status int, format string, a ...any) error {
	return &httpError{status, fmt.Sprintf(format, a...)}
}

// statusOf returns the HTTP status of a refusal. The other parts of the appliance know
// nothing of HTTP, so their refusals have status 422.
func statusOf(err error) int {
	var e *httpError
	if errors.As(err, &e) {
		return e.status
	}
	return http.StatusUnprocessableEntity
}

// errNotFound is the answer to a request for a page that does not exist.
var errNotFound = refuse(http.StatusNotFound, "There is no such page.")

// handler returns the handler of all requests.
func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+assets.Folder+"{name}", func(w http.ResponseWriter, r *http.Request) {
		theAssets().Serve(w, r) // read at the first request
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /login", s.showLogin)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST "+logoutPage.Path, s.logout)
	s.route(mux, logoutPage, "GET", "", s.confirmLogout)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" { // wrong credentials get 401 here already
			s.serve(w, r, statusPage, true, func(v *visit) error {
				return v.redirect(statusPage.Path, "")
			})
			return
		}
		http.Redirect(w, r, statusPage.Path, http.StatusSeeOther)
	})
	s.route(mux, statusPage, "GET", "", s.showStatus)
	s.route(mux, commitPage, "GET", "", s.showChanges)
	s.route(mux, commitPage, "POST", "", s.commit)
	s.route(mux, commitPage, "GET", "/abandon", s.confirmAbandon)
	s.route(mux, helpPage, "GET", "", s.showHelp)
	s.route(mux, interfacesPage, "GET", "", s.showInterfaces)
	mux.HandleFunc("GET "+xmlStatusPath, s.xmlStatus)
	s.captureRoutes(mux)
	s.logRoutes(mux)
	s.alertRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if allowed := allowedMethods(mux, r); allowed != nil {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			s.plainError(w, http.StatusMethodNotAllowed,
				"The method "+cut(r.Method, 20)+" is not allowed for this address.")
			return
		}
		s.serve(w, r, &page{Title: "Not Found"}, true, func(*visit) error { return errNotFound })
	})
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.plainError(w, http.StatusForbidden,
			"The request was refused because another site sent it.")
	}))
	return s.outermost(cross.Handler(mux))
}

// allowedMethods returns the methods that the address of a request is registered with. The
// result is nil if the address does not exist.
func allowedMethods(mux *http.ServeMux, r *http.Request) []string {
	var list []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(probe); pattern != "/" {
			list = append(list, method)
		}
	}
	return list
}

// route registers a handler of a page.
func (s *site) route(mux *http.ServeMux, p *page, method, below string, h func(*visit) error) {
	mux.HandleFunc(method+" "+p.Path+below, func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, p, true, h)
	})
}

// restrict returns h for the roles that may run a command. It refuses other roles: doing
// says what they may not do, as in "changing log subscriptions".
func (s *site) restrict(command, doing string, h func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		if !s.mayRun(v.role(), command) {
			return refuse(http.StatusForbidden, "Your user role (%s) does not permit %s.", v.role(),
				doing)
		}
		return h(v)
	}
}

// background registers a handler for requests that a page's script sends by itself. They do
// not count as activity of the user.
func (s *site) background(mux *http.ServeMux, p *page, below string, h func(*visit) error) {
	mux.HandleFunc("GET "+p.Path+below, func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, p, false, h)
	})
}

// outermost wraps the handler of all requests. It limits and logs each request, and sets the
// headers that every response has.
func (s *site) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, control: http.NewResponseController(w)}
		rec.extendDeadline()
		setCommonHeaders(rec.Header())
		r = r.WithContext(context.WithValue(r.Context(), recorderKey{}, rec))
		limit := int64(maxForm)
		if isUpload(r) {
			limit = maxUpload
		}
		r.Body = http.MaxBytesReader(rec, r.Body, limit)
		defer s.logRequest(rec, r)
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it too
					panic(p)
				}
				s.appliance.Logger.Error("panic in the page", "path", r.URL.Path, "error", p,
					"stack", string(debug.Stack()))
				s.plainError(rec, http.StatusInternalServerError, internalText)
			}
		}()
		switch {
		case !s.appliance.AdminAccess().Admits(remoteAddr(r)):
			s.plainError(rec, http.StatusForbidden, "Access is not permitted from this address.")
		case r.TLS == nil && s.secureURL(r) != "":
			http.Redirect(rec, r, s.secureURL(r), http.StatusFound)
		default:
			next.ServeHTTP(rec, r)
		}
	})
}

func setCommonHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; "+
		"img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "+
		"frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
}

// refreshHeader marks the requests with which the script of a page refreshes the page.
const refreshHeader = "X-Refresh"

const internalText = "An internal error has occurred. It has been logged."

// serve answers a request for a page. A client without a session is sent to the login page,
// unless it authenticates with HTTP Basic. An account whose role does not permit the page is
// refused.
func (s *site) serve(w http.ResponseWriter, r *http.Request, p *page, active bool,
	h func(*visit) error) {
	active = active && r.Header.Get(refreshHeader) == ""
	session := s.sessionOf(r, active)
	if session == nil && r.Header.Get("Authorization") != "" {
		if session = s.authorize(w, r); session == nil {
			return
		}
		defer session.authority.Close()
	}
	if session == nil {
		s.sendToLogin(w, r, p, active)
		return
	}
	account, err := session.authority.Check()
	if err != nil {
		s.sendToLogin(w, r, p, active)
		return
	}
	v := &visit{Request: r, w: w, session: session, account: account, page: p, background: !active}
	err = s.admit(v)
	if err == nil {
		err = h(v)
	}
	if err != nil {
		s.fail(v, err)
	}
}

// admit returns an error if the visit's page does not exist in this version or is not
// permitted, or if the request's form cannot be read.
func (s *site) admit(v *visit) error {
	switch {
	case s.appliance.Product.Version.Before(v.page.since):
		return errNotFound
	case !s.admits(v.page, v.role()):
		return refuse(http.StatusForbidden, "Your user role (%s) does not permit this page.",
			v.role())
	}
	if err := readForm(v.Request); err != nil {
		return err
	}
	return nil
}

// readForm parses the form of a request.
func readForm(r *http.Request) *httpError {
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &httpError{http.StatusRequestEntityTooLarge, "The form is too large."}
	case err != nil:
		return &httpError{http.StatusBadRequest, "The form cannot be read."}
	}
	return nil
}

// fail answers with an error page: with the text of a refusal, or with one generic line for
// any other error, which is logged.
func (s *site) fail(v *visit, err error) {
	status := statusOf(err)
	text, ok := refusal.Text(err)
	if !ok {
		if v.Context().Err() != nil { // the client has closed the connection, or the process stops
			return
		}
		s.appliance.Logger.Error("a page failed", "path", v.URL.Path, "user",
			v.session.user, "err", err)
		status, text = http.StatusInternalServerError, internalText
	}
	if err := s.render(v, status, "error.html", text); err != nil {
		s.plainError(v.w, status, text)
	}
}

// plainError answers with a text that is not a page: the client may not be logged in.
func (s *site) plainError(w http.ResponseWriter, status int, text string) {
	http.Error(w, text, status)
}

// permittedWriter returns the writer for a download. Its Write fails when the account no longer
// permits the session or the page, so that a long download ends like a transfer by SFTP.
func (s *site) permittedWriter(v *visit) http.ResponseWriter {
	return &permittedWriter{v.w, func() error {
		account, err := v.session.authority.Check()
		if err == nil && !s.admits(v.page, account.Role) {
			err = errNoLongerPermitted
		}
		return err
	}}
}

type permittedWriter struct {
	http.ResponseWriter
	check func() error
}

var errNoLongerPermitted = errors.New("the user role no longer permits the page")

func (w *permittedWriter) Write(p []byte) (int, error) {
	if err := w.check(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

// redirect leaves a notice and sends the browser to a page, so that a reload of that page
// does not send the form again. An empty format leaves no notice.
func (v *visit) redirect(path, format string, a ...any) error {
	if format != "" {
		v.session.leaveNotice(path, notice{Text: fmt.Sprintf(format, a...)})
	}
	http.Redirect(v.w, v.Request, path, http.StatusSeeOther)
	return nil
}

// redirectPending is redirect with a notice about a change of the draft. The notice holds until
// the changes of the session are committed or abandoned.
func (v *visit) redirectPending(path, format string, a ...any) error {
	draft := v.session.draft
	v.session.leaveNotice(path, notice{Text: fmt.Sprintf(format, a...), stillTrue: draft.Pending})
	return v.redirect(path, "")
}

// redirectRefused is redirect with the text of a refusal. It returns any other error.
func (v *visit) redirectRefused(path string, err error) error {
	text, ok := refusal.Text(err)
	if !ok {
		return err
	}
	v.session.leaveNotice(path, notice{Text: text, Bad: true})
	http.Redirect(v.w, v.Request, path, http.StatusSeeOther)
	return nil
}

// remoteAddr returns the client's address.
func remoteAddr(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

type recorderKey struct{}

// A recorder notes the status of a response. It extends the write deadline for as long as
// the client takes some of the response.
type recorder struct {
	http.ResponseWriter
	control    *http.ResponseController
	status     int
	session    *session
	background bool // a page's script sent the request by itself
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) extendDeadline() {
	// Without a connection, as in unit tests, there is no deadline.
	_ = r.control.SetWriteDeadline(clock.System().Now().Add(writeTimeout))
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
	r.extendDeadline()
	return r.ResponseWriter.Write(p)
}

// logRequest writes a request to gui_logs (logs.md 3.5). A request without a session has an
// id of its own there, as long as that of a session.
func (s *site) logRequest(rec *recorder, r *http.Request) {
	user, id := "-", ""
	if rec.session != nil {
		user, id = rec.session.user, rec.session.id
	}
	if id == "" {
		id = s.sessions.tokens.token(idLength)
	}
	status := rec.status
	if status == 0 {
		status = http.StatusOK
	}
	target := cut(r.URL.RequestURI(), 1024)
	text := fmt.Sprintf("req:%v user:%s id:%s %s %s %s %d", remoteAddr(r), user, id, r.Method,
		target, r.Proto, status)
	if modernLogs(s.appliance) {
		agent := r.UserAgent()
		if agent == "" {
			agent = "-"
		}
		text = fmt.Sprintf("req:%v user:%s id:%s %d %s %s %s %s", remoteAddr(r), user, id, status,
			r.Method, target, r.Proto, cut(agent, 256))
	}
	level := appliance.Information
	if rec.background {
		level = appliance.Debug
	}
	s.appliance.Log(appliance.GUILog, level, text)
}

// cut returns the first n bytes of s and "..." if s is longer.
func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

// formatTime formats a time for pages, in the appliance's time zone.
func (s *site) formatTime(t time.Time) string {
	return t.In(s.appliance.Zone()).Format("Mon Jan _2 15:04:05 2006 MST")
}
