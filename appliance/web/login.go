package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/users"
)

// cookieName is that of the session's cookie. See the package's comment for the port.
// What begins with __Host- a browser takes only for this host, over TLS, and for all
// paths.
func cookieName(r *http.Request) string {
	_, port, err := net.SplitHostPort(r.Host)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 {
		port = "443"
	}
	if r.TLS == nil {
		return "session-" + port
	}
	return "__Host-session-" + port
}

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

// sessionOf is the session of a request, nil of a stranger's.
func (s *site) sessionOf(r *http.Request, active bool) *session {
	var found *session
	if c, err := r.Cookie(cookieName(r)); err == nil {
		found = s.sessions.find(c.Value, remote(r), active)
	}
	if rec, ok := r.Context().Value(recorderKey{}).(*recorder); ok {
		rec.session, rec.poll = found, !active
	}
	return found
}

// sendToLogin sends a stranger to the login. What a page asks for by itself is refused:
// the page then goes to the login.
func (s *site) sendToLogin(w http.ResponseWriter, r *http.Request, p *page, active bool) {
	if !active {
		http.Error(w, "You are not logged in.", http.StatusUnauthorized)
		return
	}
	to, back := "/login", r.URL.RequestURI()
	if r.Method != http.MethodGet {
		back = formPage(r, p)
	}
	if back = localPath(back); back != statusPage.Path {
		to += "?" + url.Values{"referrer": {back}}.Encode()
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// formPage is the page that sent a form: the one that the browser names, if it is ours.
func formPage(r *http.Request, p *page) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host != r.Host || u.Path == "" {
		return p.Path
	}
	return u.RequestURI()
}

// loginData is what the login shows.
type loginData struct {
	Title, Hostname, Product, Banner string
	Username, Referrer, Trouble      string
	Expired                          bool // a session of this browser has ended
	Assets                           map[string]string
}

func (s *site) showLogin(w http.ResponseWriter, r *http.Request) {
	if s.sessionOf(r, true) != nil {
		http.Redirect(w, r, localPath(r.FormValue("referrer")), http.StatusSeeOther)
		return
	}
	c, err := r.Cookie(cookieName(r)) // a logout removes it
	s.loginForm(w, http.StatusOK, loginData{Referrer: r.FormValue("referrer"), Expired: err == nil && isToken(c.Value, idLength+secretLength)})
}

func (s *site) loginForm(w http.ResponseWriter, status int, d loginData) {
	d.Title, d.Hostname, d.Product = "Log In", s.appliance.Hostname(), s.appliance.Product.Name()
	d.Banner, d.Assets, d.Referrer = s.appliance.AdminAccess().Banner, assetPaths(), localPath(d.Referrer)
	if err := execute(w, status, "login.html", d); err != nil {
		s.appliance.Logger.Error("a page failed", "path", "/login", "err", err)
		s.plainError(w, nil, http.StatusInternalServerError, internalText)
	}
}

// local is a path of this site's, to which a login may send the browser: not one that
// would end the session that has just begun.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(path, "/") ||
		strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") || u.Path == "/login" || u.Path == logoutPage.Path {
		return statusPage.Path
	}
	return path
}

// login checks a name and a passphrase.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	from := remote(r)
	if no := readForm(r); no != nil {
		s.plainError(w, r, no.status, no.text)
		return
	}
	name, passphrase := r.PostForm.Get("username"), r.PostForm.Get("password")
	again := loginData{Username: name, Referrer: r.PostForm.Get("referrer")}
	if !s.appliance.Guard.Admit(from) {
		again.Trouble = "There were too many failed attempts from your address. Try again later."
		s.loginForm(w, http.StatusTooManyRequests, again)
		return
	}
	account, err := s.appliance.Users.Verify(name, passphrase)
	if err != nil {
		s.logFailedLogin(r, name, from)
		again.Trouble = "The username or the passphrase is not correct."
		s.loginForm(w, http.StatusForbidden, again)
		return
	}
	s.appliance.Guard.Succeeded(from)
	if c, err := r.Cookie(cookieName(r)); err == nil { // of an earlier login in this browser
		if old := s.sessions.find(c.Value, from, false); old != nil {
			s.endSession(old)
		}
	}
	session := s.sessions.begin(account, from)
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

// how names the kind of connection.
func connectionKind(r *http.Request) string {
	if r.TLS == nil {
		return "using an HTTP connection"
	}
	return "using an HTTPS connection"
}

// denied notes a failure, and holds the answer back.
func (s *site) logFailedLogin(r *http.Request, name string, from netip.Addr) {
	delay, blocked := s.appliance.Guard.Failed(from)
	quoted := fmt.Sprintf("%.64q", name) // a stranger chose it
	s.appliance.Log(appliance.AuthenticationLog, appliance.Information,
		fmt.Sprintf("An authentication attempt by the user %s from %v failed %s.", quoted[1:len(quoted)-1], from, connectionKind(r)))
	if blocked {
		s.appliance.Log(appliance.AuthenticationLog, appliance.Warning,
			fmt.Sprintf("The address %v is blocked after too many failed authentication attempts.", from))
	}
	_ = s.appliance.Clock.Sleep(r.Context(), delay) // who does not wait hears nothing
}

// loggedIn notes a login (logs.md 3.5).
func (s *site) logLogin(a users.Account, from netip.Addr, session *session, r *http.Request) {
	privilege := a.Role.Groups()[0]
	s.appliance.Log(appliance.AuthenticationLog, appliance.Information,
		fmt.Sprintf("The user %s successfully logged on from %v with privilege %s %s.", a.Name, from, privilege, connectionKind(r)))
	s.appliance.Log(appliance.AuthenticationLog, appliance.Information, fmt.Sprintf("login:%v user:%s session:%s", from, a.Name, session.id))
	if modernLogs(s.appliance) {
		protocol := strings.TrimPrefix(strings.TrimSuffix(connectionKind(r), " connection"), "using an ")
		s.appliance.Log(appliance.GUILog, appliance.Information,
			fmt.Sprintf("SourceIP:%v Destination:/login Username:%s Privilege:%s session:%s Action: The %s session has been established successfully.",
				from, a.Name, privilege, session.id, protocol))
	}
}

func (s *site) endSession(old *session) {
	if s.sessions.end(old) {
		s.appliance.Log(appliance.AuthenticationLog, appliance.Information,
			fmt.Sprintf("logout:%v user:%s session:%s", old.from, old.account.Name, old.id))
	}
}

// askLogout is the question whether to log out.
func (s *site) askLogout(v *newClient) error {
	q := question{Text: "Are you sure you want to log out?", Button: "Log Out", Action: logoutPage.Path, Back: statusPage.Path}
	if v.session.draft.Pending() {
		q.Hint, q.Back = "Configuration changes entered but not committed. Logging out will lose changes.", commitPage.Path
	}
	return s.show(v, "confirm.html", q)
}

// logout ends the session. Changes that were not committed are lost with it: then it
// asks first, as the command line does.
func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	session := s.sessionOf(r, true)
	if session != nil && session.draft.Pending() && r.PostFormValue("sure") != "yes" {
		http.Redirect(w, r, logoutPage.Path, http.StatusSeeOther)
		return
	}
	if session != nil {
		s.endSession(session)
	}
	setCookie(w, r, "")
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
