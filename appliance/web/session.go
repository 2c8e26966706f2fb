package web

import (
	"crypto/subtle"
	"fmt"
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

// Lengths of what a cookie consists of.
const (
	idLength     = 20 // shown in logs
	secretLength = 32
)

// maxSessions bounds the logins; the one that has been idle for longest makes room.
const maxSessions = 500

// words makes ids and secrets.
type tokenSource struct{ chance *entropy.Stream }

func (w *tokenSource) word(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[w.chance.IntN(len(letters))]
	}
	return string(b)
}

// isWord reports whether s is n letters and digits.
func isToken(s string, n int) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9') {
			return false
		}
	}
	return len(s) == n
}

// A session is a login.
type session struct {
	id, secret string
	account    users.Account // as it was at the login
	from       netip.Addr
	login      *users.Login
	draft      *config.Draft

	mu      sync.Mutex
	touched clock.Mark
	checked *config.Config    // in which the account is known to be unchanged
	notices map[string]notice // by the path of the page that shows it
	stop    func() bool       // the timer's
	ended    bool
}

// A notice is what became of what the user asked for.
type notice struct {
	Text string
	Bad  bool
}

// tell leaves a notice for the page to which the browser is sent: another tab that asks
// for another page meanwhile does not get it.
func (s *session) leaveNotice(path string, n notice) {
	path, _, _ = strings.Cut(path, "?")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notices == nil {
		s.notices = map[string]notice{}
	}
	s.notices[path] = n
}

// heard returns the notice for a page and forgets it.
func (s *session) takeNotice(path string) notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.notices[path]
	delete(s.notices, path)
	return n
}

// sessions are those of a run.
type sessions struct {
	appliance *appliance.Appliance
	tokens     *tokenSource
	timers    clock.Group // of idle sessions

	mu   sync.Mutex
	open map[string]*session // by id
}

func newSessions(app *appliance.Appliance, w *tokenSource) *sessions {
	return &sessions{appliance: app, tokens: w, open: map[string]*session{}}
}

// limit is how long a session may be idle.
func (l *sessions) limit() time.Duration {
	return time.Duration(l.appliance.AdminAccess().WebTimeout) * time.Minute
}

// begin makes the session of a new login, with an id and a secret of its own.
func (l *sessions) begin(account users.Account, from netip.Addr) *session {
	s := &session{
		id: l.tokens.word(idLength), secret: l.tokens.word(secretLength),
		account: account, from: from, login: l.appliance.Logins.Open(account, from, "gui"),
		draft: l.appliance.Config.NewDraft(), touched: l.appliance.Clock.Mark(),
	}
	l.mu.Lock()
	var idlest *session
	if len(l.open) >= maxSessions {
		for _, o := range l.open {
			if idlest == nil || o.lastTouch() < idlest.lastTouch() {
				idlest = o
			}
		}
	}
	l.open[s.id] = s
	l.mu.Unlock()
	if idlest != nil {
		l.expel(idlest, "too many sessions")
	}
	l.watch(s, l.limit())
	return s
}

func (s *session) lastTouch() clock.Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.touched
}

// watch looks after d whether s has been idle for too long.
func (l *sessions) watch(s *session, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.stop = l.timers.AfterFunc(l.appliance.Clock, d, func() {
		if left := l.limit() - l.idle(s); left > 0 {
			l.watch(s, left)
			return
		}
		l.expire(s)
	})
}

func (l *sessions) idle(s *session) time.Duration { return l.appliance.Clock.Since(s.lastTouch()) }

// find returns the session of a cookie. active says that the user does something.
func (l *sessions) find(cookie string, from netip.Addr, active bool) *session {
	if len(cookie) != idLength+secretLength || !isToken(cookie, idLength+secretLength) {
		return nil
	}
	id, secret := cookie[:idLength], cookie[idLength:]
	l.mu.Lock()
	s := l.open[id]
	l.mu.Unlock()
	if s == nil || subtle.ConstantTimeCompare([]byte(s.secret), []byte(secret)) != 1 {
		l.appliance.Log(appliance.GUILog, appliance.Information, fmt.Sprintf("Session %s from %v not found", id, from))
		return nil
	}
	switch {
	case l.idle(s) >= l.limit():
		l.expire(s)
		return nil
	case !l.unchanged(s):
		l.expel(s, "account changes")
		return nil
	}
	if active {
		s.mu.Lock()
		s.touched = l.appliance.Clock.Mark()
		s.mu.Unlock()
		s.login.Touch()
	}
	return s
}

// unchanged reports whether the account still is what it was at the login.
func (l *sessions) unchanged(s *session) bool {
	committed := l.appliance.Config.Committed()
	s.mu.Lock()
	known := s.checked == committed
	s.mu.Unlock()
	if known {
		return true
	}
	now, ok := l.appliance.Users.Lookup(s.account.Name)
	if !ok || now.Locked || now.Hash != s.account.Hash || now.Role != s.account.Role {
		return false
	}
	s.mu.Lock()
	s.checked = committed
	s.mu.Unlock()
	return true
}

// end ends s, and reports whether it had not ended before.
func (l *sessions) end(s *session) bool {
	l.mu.Lock()
	delete(l.open, s.id)
	l.mu.Unlock()
	s.mu.Lock()
	first := !s.ended
	s.ended = true
	stop := s.stop
	s.mu.Unlock()
	if !first {
		return false
	}
	if stop != nil {
		stop()
	}
	s.login.Close()
	return true
}

// expire ends a session that has been idle for too long.
func (l *sessions) expire(s *session) { l.expel(s, "inactivity timeout") }

// expel ends a session that its user did not end, and logs why (logs.md 3.5, which has
// the inactivity only).
func (l *sessions) expel(s *session, why string) {
	if !l.end(s) {
		return
	}
	name := s.account.Name
	if modernLogs(l.appliance) {
		l.appliance.Log(appliance.GUILog, appliance.Information,
			fmt.Sprintf("Action: User %s logged out from session %s beacuse of %s", name, s.id, why)) //nolint:misspell // as AsyncOS spells it
	} else {
		l.appliance.Log(appliance.GUILog, appliance.Information, fmt.Sprintf("Session %s user:%s expired", s.id, name))
	}
	l.appliance.Log(appliance.AuthenticationLog, appliance.Information,
		fmt.Sprintf("GUI: User %s logged out from session %s because of %s", name, s.id, why))
}

// close ends all sessions, and waits for their timers: the process ends. No session
// begins any more.
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

// modernLogs reports whether the logs have the forms of version 10 and later.
func modernLogs(app *appliance.Appliance) bool {
	return !app.Product.Version.Before(product.Version{Major: 10})
}
