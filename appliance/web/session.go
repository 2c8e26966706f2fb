package web

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
)

// Lengths of the two parts of a cookie.
const (
	idLength     = 20 // logs show the id
	secretLength = 32
)

// maxSessions bounds the number of sessions. A login beyond it ends the session that has been
// idle longest.
const maxSessions = 500

// A tokenSource makes ids and secrets.
type tokenSource struct{ random *entropy.Stream }

// token returns n random letters and digits.
func (t *tokenSource) token(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[t.random.IntN(len(letters))]
	}
	return string(b)
}

// isToken reports whether s is n letters and digits.
func isToken(s string, n int) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9') {
			return false
		}
	}
	return len(s) == n
}

// A session is the time from a login to its end.
type session struct {
	id, secret string
	user       string // name of the account
	authority  *users.Authority
	from       netip.Addr
	login      *users.Login
	draft      *config.Draft

	mu         sync.Mutex
	lastActive clock.Mark
	role       users.Role        // that the user knows of
	notices    map[string]notice // by the path of the page that shows it, or anyPage
	stopTimer  func() bool
	ended      bool
}

// A notice tells the user the outcome of a form. The page to which the form leads shows it.
type notice struct {
	Text string
	Bad  bool
	// stillTrue reports whether the text holds at the moment when the page is shown. If it
	// is nil, the text always holds.
	stillTrue func() bool
}

// Transient reports whether the text may become false while the page is shown.
func (n notice) Transient() bool { return n.stillTrue != nil }

// anyPage is the path of notices that the next page shows, whichever it is.
const anyPage = ""

// leaveNotice keeps a notice for the page with the given path. Pages in other tabs do not
// show it.
func (s *session) leaveNotice(path string, n notice) {
	path, _, _ = strings.Cut(path, "?")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notices == nil {
		s.notices = map[string]notice{}
	}
	s.notices[path] = n
}

// takeNotice removes and returns the notice for the page with the given path. The result is
// the zero notice if there is none or if it no longer holds.
func (s *session) takeNotice(path string) notice {
	s.mu.Lock()
	if _, ok := s.notices[path]; !ok {
		path = anyPage
	}
	n := s.notices[path]
	delete(s.notices, path)
	s.mu.Unlock()
	if n.stillTrue != nil && !n.stillTrue() {
		return notice{}
	}
	return n
}

// sessions holds the sessions of a run.
type sessions struct {
	appliance *appliance.Appliance
	tokens    *tokenSource
	timers    clock.Group // one for each session: it ends idle ones

	mu    sync.Mutex
	open  map[string]*session // by id
	ended []endedSession      // at most maxSessions, the oldest first
}

// An endedSession is a session that its account no longer permits. It is remembered so that the
// login page can tell the reason.
type endedSession struct {
	cookie string
	reason string // a sentence for the user
}

func newSessions(app *appliance.Appliance, t *tokenSource) *sessions {
	return &sessions{appliance: app, tokens: t, open: map[string]*session{}}
}

// idleLimit returns how long a session may be idle.
func (l *sessions) idleLimit() time.Duration {
	return time.Duration(l.appliance.AdminAccess().WebTimeout) * time.Minute
}

// begin begins the session of a login, with a new id and a new secret.
func (l *sessions) begin(account users.Account, from netip.Addr) *session {
	s := &session{
		id: l.tokens.token(idLength), secret: l.tokens.token(secretLength),
		user: account.Name, role: account.Role, from: from,
		login: l.appliance.Logins.Open(account, from, "gui"),
		draft: l.appliance.Config.NewDraft(), lastActive: clock.RealTime(l.appliance.Clock).Mark(),
	}
	s.authority = l.appliance.Users.Authorize(account, nil, users.AuthorityOptions{
		OnChange: func(now users.Account, err error) { l.accountChanged(s, now, err) },
	})
	l.mu.Lock()
	var longestIdle *session
	if len(l.open) >= maxSessions {
		for _, o := range l.open {
			if longestIdle == nil || o.lastActivity() < longestIdle.lastActivity() {
				longestIdle = o
			}
		}
	}
	l.open[s.id] = s
	l.mu.Unlock()
	if longestIdle != nil {
		l.expel(longestIdle, "too many sessions")
	}
	l.expireAfter(s, l.idleLimit())
	s.login.EndBy(s.authority)
	if now, err := s.authority.Check(); err != nil { // since the login
		l.accountChanged(s, now, err)
	}
	return s
}

// accountChanged makes s follow its account: err is the reason if the account no longer permits
// the session.
func (l *sessions) accountChanged(s *session, now users.Account, err error) {
	l.mu.Lock()
	begun := l.open[s.id] == s
	l.mu.Unlock()
	if !begun {
		return // begin checks the account when the session has begun
	}
	var revoked *users.RevokedError
	if errors.As(err, &revoked) {
		l.mu.Lock()
		l.ended = append(l.ended, endedSession{s.id + s.secret, revoked.Text})
		l.ended = l.ended[max(0, len(l.ended)-maxSessions):]
		l.mu.Unlock()
		l.expel(s, revoked.Cause)
		return
	}
	s.mu.Lock()
	changed := now.Role != s.role
	s.role = now.Role
	s.mu.Unlock()
	if changed {
		s.leaveNotice(anyPage, notice{Text: "An administrator has changed your user role to " +
			now.Role.String() + "."})
	}
}

// reason returns why the session with that cookie has ended, or "" if its account permitted it
// until its end.
func (l *sessions) reason(cookie string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.ended {
		if subtle.ConstantTimeCompare([]byte(e.cookie), []byte(cookie)) == 1 {
			return e.reason
		}
	}
	return ""
}

func (s *session) lastActivity() clock.Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastActive
}

// expireAfter ends s after d, unless there is activity until then.
func (l *sessions) expireAfter(s *session, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.stopTimer = l.timers.AfterFunc(clock.RealTime(l.appliance.Clock), d, func() {
		if left := l.idleLimit() - l.idle(s); left > 0 {
			l.expireAfter(s, left)
			return
		}
		l.expire(s)
	})
}

func (l *sessions) idle(s *session) time.Duration {
	return clock.RealTime(l.appliance.Clock).Since(s.lastActivity())
}

// find returns the session of a request's cookie, or nil if there is none. active reports
// whether the request counts as activity of the user.
func (l *sessions) find(cookie string, r *http.Request, active bool) *session {
	if len(cookie) != idLength+secretLength || !isToken(cookie, idLength+secretLength) {
		return nil
	}
	id, secret := cookie[:idLength], cookie[idLength:]
	l.mu.Lock()
	s := l.open[id]
	l.mu.Unlock()
	if s == nil || subtle.ConstantTimeCompare([]byte(s.secret), []byte(secret)) != 1 {
		text := fmt.Sprintf("Session %s from %v not found", id, remoteAddr(r))
		if !l.appliance.Product.Version.Before(product.Version{Major: 14}) {
			text += " Destination:" + cut(r.URL.Path, 1024)
		}
		l.appliance.Log(appliance.GUILog, appliance.Information, text)
		return nil
	}
	if l.idle(s) >= l.idleLimit() {
		l.expire(s)
		return nil
	}
	if active {
		s.mu.Lock()
		s.lastActive = clock.RealTime(l.appliance.Clock).Mark()
		s.mu.Unlock()
		s.login.Touch()
	}
	return s
}

// end ends s. It reports whether s had not ended before.
func (l *sessions) end(s *session) bool {
	l.mu.Lock()
	delete(l.open, s.id)
	l.mu.Unlock()
	s.mu.Lock()
	first := !s.ended
	s.ended = true
	stop := s.stopTimer
	s.mu.Unlock()
	if !first {
		return false
	}
	if stop != nil {
		stop()
	}
	s.authority.Close()
	s.login.Close()
	return true
}

// expire ends a session that has been idle for too long.
func (l *sessions) expire(s *session) { l.expel(s, "inactivity timeout") }

// expel ends a session whose user has not asked for it, and logs the reason. For the reason
// "inactivity timeout" the lines are attested (logs.md 3.5); for others they follow its form.
func (l *sessions) expel(s *session, reason string) {
	if !l.end(s) {
		return
	}
	name := s.user
	if modernLogs(l.appliance) {
		l.appliance.Log(appliance.GUILog, appliance.Information,
			//nolint:misspell // as AsyncOS spells it
			fmt.Sprintf("Action: User %s logged out from session %s beacuse of %s", name, s.id,
				reason))
	} else {
		l.appliance.Log(appliance.GUILog, appliance.Information,
			fmt.Sprintf("Session %s user:%s expired", s.id, name))
	}
	l.appliance.Log(appliance.AuthenticationLog, appliance.Information,
		fmt.Sprintf("GUI: User %s logged out from session %s because of %s", name, s.id, reason))
}

// close ends all sessions and blocks until their timers have ended. No session may begin
// afterwards.
func (l *sessions) close() {
	l.mu.Lock()
	var all []*session
	for _, s := range l.open {
		all = append(all, s)
	}
	l.mu.Unlock()
	for _, s := range all {
		l.end(s)
	}
	l.timers.Wait()
}

// modernLogs reports whether log lines have the forms of version 10 and later.
func modernLogs(app *appliance.Appliance) bool {
	return !app.Product.Version.Before(product.Version{Major: 10})
}
