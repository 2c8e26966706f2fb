package web

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/users"
)

const loginPath = "/login"

// cookieName returns the name of the session cookie. The package documentation says why it
// contains the port. Browsers accept a cookie whose name begins with __Host- only over TLS,
// for this host alone and for all paths.
func cookieName(r *http.Request) string {
	_, port, err := net.SplitHostPort(r.Host)
	if n, parseErr := strconv.ParseUint(port, 10, 16); err != nil || parseErr != nil || n == 0 {
		port = "443"
	}
	if r.TLS == nil {
		return "session-" + port
	}
	return "__Host-session-" + port
}

// setCookie sets the session cookie. An empty value removes it.
func setCookie(w http.ResponseWriter, r *http.Request, value string) {
	c := &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/",
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// sessionOf returns the session of a request, or nil if the client is not logged in. active
// reports whether the request counts as activity of the user.
func (s *site) sessionOf(r *http.Request, active bool) *session {
	var found *session
	if c, err := r.Cookie(cookieName(r)); err == nil {
		found = s.sessions.find(c.Value, r, active)
	}
	if rec, ok := r.Context().Value(recorderKey{}).(*recorder); ok {
		rec.session, rec.background = found, !active
	}
	return found
}

// authorize answers a client that has no session and sends the header Authorization, as
// scripts do. Such a client is never sent to the login page. If its credentials are right, it
// gets a session for this request alone, which sessions does not keep and whose authority the
// caller must close. Otherwise authorize answers the request and returns nil.
//
// Browsers send stored credentials with requests that other sites cause. So only requests that
// change nothing are admitted, and none that another site has caused.
func (s *site) authorize(w http.ResponseWriter, r *http.Request) *session {
	from := remoteAddr(r)
	origin := r.Header.Get("Sec-Fetch-Site")
	if origin != "" && origin != "none" && origin != "same-origin" {
		s.plainError(w, http.StatusForbidden,
			"The request was refused because another site caused it.")
		return nil
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.plainError(w, http.StatusForbidden,
			"HTTP Basic authentication is accepted for GET and HEAD only. Log in at "+loginPath+".")
		return nil
	}
	name, passphrase, ok := r.BasicAuth()
	if !ok {
		s.challenge(w, "Send the username and the passphrase with HTTP Basic authentication.")
		return nil
	}
	if !s.appliance.Guard.Begin(r.Context(), from) {
		s.plainError(w, http.StatusTooManyRequests, blockedText)
		return nil
	}
	account, err := s.appliance.Users.Verify(name, passphrase)
	if err != nil {
		s.logFailedLogin(r, name, from)
		s.challenge(w, wrongLoginText)
		return nil
	}
	s.appliance.Guard.Succeeded(from)
	s.appliance.Guard.End(from)
	s.logSuccess(account, from, r)
	once := &session{
		user: account.Name, role: account.Role, from: from, draft: s.appliance.Config.NewDraft(),
		authority: s.appliance.Users.Authorize(account, nil, users.AuthorityOptions{}),
	}
	if once.authority.Err() != nil { // the account has changed since Verify
		once.authority.Close()
		s.challenge(w, wrongLoginText)
		return nil
	}
	if rec, ok := r.Context().Value(recorderKey{}).(*recorder); ok {
		rec.session = once
	}
	return once
}

// challenge answers that credentials are required.
func (s *site) challenge(w http.ResponseWriter, text string) {
	w.Header().Set("WWW-Authenticate",
		`Basic realm="`+s.appliance.Product.Name()+`", charset="UTF-8"`)
	s.plainError(w, http.StatusUnauthorized, text)
}

// sendToLogin redirects a client without a session to the login page. A background request
// is refused instead: the script then reloads its page, which leads to the login.
func (s *site) sendToLogin(w http.ResponseWriter, r *http.Request, p *page, active bool) {
	if !active {
		s.plainError(w, http.StatusUnauthorized, cmp.Or(s.endedText(r), "You are not logged in."))
		return
	}
	to, back := loginPath, r.URL.RequestURI()
	if r.Method != http.MethodGet {
		back = formPage(r, p)
	}
	if back = localPath(back); back != statusPage.Path {
		to += "?" + url.Values{"referrer": {back}}.Encode()
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// formPage returns the path of the page that sent a form: the one in the header Referer if
// it belongs to this site, otherwise p.
func formPage(r *http.Request, p *page) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host != r.Host || u.Path == "" {
		return p.Path
	}
	return u.RequestURI()
}

// loginData is the data of the login page.
type loginData struct {
	Title, Hostname, Product, Banner string
	Username, Referrer, Error        string
	Ended                            string // how a session of this browser has ended
	LoggedOut                        bool   // the user has just logged out
	// Replaces is the account whose uncommitted changes the login would discard.
	Replaces string
	Assets   map[string]string
}

func (s *site) showLogin(w http.ResponseWriter, r *http.Request) {
	if s.sessionOf(r, true) != nil {
		http.Redirect(w, r, localPath(r.FormValue("referrer")), http.StatusSeeOther)
		return
	}
	s.loginForm(w, http.StatusOK, loginData{
		Referrer: r.FormValue("referrer"), LoggedOut: r.FormValue("logout") == "done",
		Ended: s.endedText(r),
	})
}

// endedText returns a sentence about the end of the session that the client's cookie names. It
// returns "" if there is no cookie: a logout removes it.
func (s *site) endedText(r *http.Request) string {
	c, err := r.Cookie(cookieName(r))
	if err != nil || !isToken(c.Value, idLength+secretLength) {
		return ""
	}
	return cmp.Or(s.sessions.reason(c.Value), "Your session has expired. Log in again.")
}

func (s *site) loginForm(w http.ResponseWriter, status int, d loginData) {
	d.Title, d.Hostname, d.Product = "Log In", s.appliance.Hostname(), s.appliance.Product.Name()
	d.Banner, d.Assets = s.appliance.AdminAccess().Banner, theAssets().Paths()
	d.Referrer = localPath(d.Referrer)
	if err := execute(w, status, "login.html", d); err != nil {
		s.appliance.Logger.Error("a page failed", "path", loginPath, "err", err)
		s.plainError(w, http.StatusInternalServerError, internalText)
	}
}

// localPath returns path if it is a path of this site to which a login may lead, and the path
// of the status page otherwise. The login and logout pages are excluded, because the second
// would end the new session.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(path, "/") ||
		strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") ||
		!utf8.ValidString(path) ||
		u.Path == loginPath || u.Path == logoutPage.Path {
		return statusPage.Path
	}
	return path
}

const (
	blockedText    = "There were too many failed attempts from your address. Try again later."
	wrongLoginText = "The username or the passphrase is not correct."
)

// login checks a name and a passphrase and begins a session. If this browser has a session
// already, the new one replaces it. Its uncommitted changes are kept for the same account; for
// another account, the user is asked first.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	from := remoteAddr(r)
	if err := readForm(r); err != nil {
		s.plainError(w, err.status, err.text)
		return
	}
	name, passphrase := r.PostForm.Get("username"), r.PostForm.Get("password")
	again := loginData{Username: name, Referrer: r.PostForm.Get("referrer")}
	if !s.appliance.Guard.Begin(r.Context(), from) {
		again.Error = blockedText
		s.loginForm(w, http.StatusTooManyRequests, again)
		return
	}
	account, err := s.appliance.Users.Verify(name, passphrase)
	if err != nil {
		s.logFailedLogin(r, name, from)
		again.Error = wrongLoginText
		s.loginForm(w, http.StatusForbidden, again)
		return
	}
	s.appliance.Guard.Succeeded(from)
	s.appliance.Guard.End(from)
	old := s.replacedSession(r)
	if old != nil && old.user != account.Name && old.draft.Pending() &&
		r.PostForm.Get("replace") != old.user {
		again.Replaces = old.user
		s.loginForm(w, http.StatusConflict, again)
		return
	}
	session := s.sessions.begin(account, from)
	if old != nil {
		if old.user == account.Name {
			session.draft = old.draft
		}
		s.endSession(old)
	}
	if rec, ok := r.Context().Value(recorderKey{}).(*recorder); ok {
		rec.session = session
	}
	s.logLogin(account, from, session, r)
	setCookie(w, r, session.id+session.secret)
	to := localPath(again.Referrer)
	if text := s.appliance.AdminAccess().Welcome; text != "" {
		session.leaveNotice(to, notice{Text: text})
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// replacedSession returns the session that the browser of a login already has, or nil.
func (s *site) replacedSession(r *http.Request) *session {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return nil
	}
	return s.sessions.find(c.Value, r, false)
}

// connectionKind names the kind of connection for the log.
func connectionKind(r *http.Request) string {
	if r.TLS == nil {
		return "HTTP"
	}
	return "HTTPS"
}

// logFailedLogin counts and logs a failed login. It blocks for as long as the guard demands:
// a client that closes the connection earlier gets no answer.
func (s *site) logFailedLogin(r *http.Request, name string, from netip.Addr) {
	delay, blocked := s.appliance.Guard.Failed(from)
	s.appliance.Guard.End(from)
	quoted := fmt.Sprintf("%.64q", name) // a stranger may have chosen it
	s.appliance.Log(appliance.AuthenticationLog, appliance.Information,
		fmt.Sprintf("An authentication attempt by the user %s from %v failed using an %s "+
			"connection.",
			quoted[1:len(quoted)-1], from, connectionKind(r)))
	if blocked {
		s.appliance.Log(appliance.AuthenticationLog, appliance.Warning,
			fmt.Sprintf("The address %v is blocked after too many failed authentication attempts.",
				from))
	}
	_ = s.appliance.Clock.Sleep(r.Context(), delay) // it returns early if the client has gone
}

// logSuccess logs that a client has proved to be a user (logs.md 3.5).
func (s *site) logSuccess(a users.Account, from netip.Addr, r *http.Request) {
	accepted := events.Publish(s.appliance.Events, 0, users.LoginAccepted{
		User: a.Name, Client: from, Service: "gui",
	})
	s.appliance.LogEvent(accepted, appliance.AuthenticationLog, appliance.Information,
		fmt.Sprintf("The user %s successfully logged on from %v with privilege %s using an %s "+
			"connection.",
			a.Name, from, a.Role.Groups()[0], connectionKind(r)))
}

// logLogin logs the beginning of a session (logs.md 3.5).
func (s *site) logLogin(a users.Account, from netip.Addr, session *session, r *http.Request) {
	s.logSuccess(a, from, r)
	s.appliance.Log(appliance.AuthenticationLog, appliance.Information,
		fmt.Sprintf("login:%v user:%s session:%s", from, a.Name, session.id))
	if modernLogs(s.appliance) {
		s.appliance.Log(appliance.GUILog, appliance.Information,
			fmt.Sprintf("SourceIP:%v Destination:/login Username:%s Privilege:%s session:%s "+
				"Action: The %s session has been established successfully.",
				from, a.Name, a.Role.Groups()[0], session.id, connectionKind(r)))
	}
}

// endSession ends a session because its user wants it.
func (s *site) endSession(old *session) {
	if s.sessions.end(old) {
		s.appliance.Log(appliance.AuthenticationLog, appliance.Information,
			fmt.Sprintf("logout:%v user:%s session:%s", old.from, old.user, old.id))
	}
}

// confirmLogout shows the question whether to log out.
func (s *site) confirmLogout(v *visit) error {
	q := question{Text: "Are you sure you want to log out?", Button: "Log Out",
		Action: logoutPage.Path, Back: statusPage.Path}
	if v.session.draft.Pending() {
		q.Hint, q.Back = "Configuration changes entered but not committed. Logging out will lose "+
			"changes.", commitPage.Path
	}
	return s.show(v, "confirm.html", q)
}

// logout ends the session. If it has uncommitted changes, which would be lost, the user is
// asked first, as on the command line.
func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	session := s.sessionOf(r, true)
	if session == nil && r.Header.Get("Authorization") != "" {
		s.authorize(w, r) // which refuses the method
		return
	}
	if session != nil && session.draft.Pending() && r.PostFormValue("sure") != "yes" {
		http.Redirect(w, r, logoutPage.Path, http.StatusSeeOther)
		return
	}
	if session != nil {
		s.endSession(session)
	}
	setCookie(w, r, "")
	http.Redirect(w, r, loginPath+"?logout=done", http.StatusSeeOther)
}
