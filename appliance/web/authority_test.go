package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
)

// otherHash is the hash of a passphrase that no test uses.
const otherHash = "$2a$10$nEgk5MLJMmbko66wbLEYNeJWM3dJvyGN8gzcmPSGXbSGnqY7DLHcq"

// changeUser commits a change of an account. A nil change removes it.
func (s *testSite) changeUser(ctx context.Context, name string, change func(*users.Account)) {
	s.t.Helper()
	err := users.Section.CommitNow(ctx, s.appliance.Config, nil, config.CommitInfo{},
		func(v *users.Accounts) error {
			if change == nil {
				v.List = slices.DeleteFunc(v.List, func(a users.Account) bool {
					return a.Name == name
				})
				return nil
			}
			change(v.Find(name))
			return nil
		})
	if err != nil {
		s.t.Fatal(err)
	}
}

func setRole(r users.Role) func(*users.Account) { return func(a *users.Account) { a.Role = r } }

func lock(a *users.Account) { a.Locked = true }

func TestSessionsEndWithTheirAccount(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(*users.Account)
		text, cause string
	}{
		"removed": {nil, "because the account joe was removed.", "a removed account"},
		"locked":  {lock, "because the account joe was locked.", "a locked account"},
		"other passphrase": {func(a *users.Account) { a.Hash = otherHash },
			"because the passphrase of the account joe was changed.", "a changed passphrase"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestSite(t)
			s.addUser("joe", users.Operator)
			b, admin := s.login("joe"), s.login("admin")
			b.post(logsPath+"/add", syslogForm...)
			s.changeUser(t.Context(), "joe", c.change)
			if n := len(s.appliance.Logins.Sessions()); n != 1 { // before the next request
				t.Errorf("%d sessions are left, want that of admin", n)
			}
			w := b.get(capturesPath + "/status")
			expectPage(t, w, http.StatusUnauthorized, "The session was closed "+c.text)
			login := "/login?referrer=%2Fcommit"
			expectRedirect(t, b.post("/commit", "action", "commit"), login)
			expectPage(t, b.get(login), http.StatusOK,
				`role="status">The session was closed `+c.text,
				`name="referrer" value="/commit"`)
			expectPage(t, admin.get("/monitor/system_status"), http.StatusOK)
			stranger := s.browser()
			for n, v := range b.cookies {
				stranger.cookies[n] = v[:20] + strings.Repeat("x", 32)
			}
			if w := stranger.get("/login"); strings.Contains(w.Body.String(), "joe") {
				t.Error("a client that knows only the id is told about the account")
			}
			for log, prefix := range map[string]string{"authentication": "Info: GUI: User joe ",
				"gui_logs": "Info: Action: User joe "} {
				if n := len(s.logged(log, prefix)); n != 1 || len(s.logged(log, c.cause)) != 1 {
					t.Errorf("%s has %d lines about the end of the session", log, n)
				}
			}
		})
	}
}

func TestSessionsFollowTheRoleOfTheirAccount(t *testing.T) {
	s := newTestSite(t)
	s.addUser("joe", users.Operator)
	b := s.login("joe")
	expectPage(t, b.get(capturesPath+"/settings"), http.StatusOK, "Capture File Size Limit")
	b.post(logsPath+"/add", syslogForm...)

	s.changeUser(t.Context(), "joe", setRole(users.ReadOnlyOperator))
	const told = "An administrator has changed your user role to Read-Only Operator."
	expectPage(t, b.post(capturesPath+"/settings", "size", "5"), http.StatusForbidden,
		told, "Your user role (Read-Only Operator) does not permit this page.")
	expectPage(t, b.post(capturesPath+"/start"), http.StatusForbidden)
	expectPage(t, b.post(logsPath+"/delete/status"), http.StatusForbidden,
		"Your user role (Read-Only Operator) does not permit changing log subscriptions.")
	expectPage(t, b.get(capturesPath+"/status"), http.StatusForbidden)
	w := b.get(logsPath)
	expectPage(t, w, http.StatusOK, `data-role="Read-Only Operator"`,
		"Your user role (Read-Only Operator) permits reading logs.")
	if strings.Contains(w.Body.String(), told) {
		t.Error("the change of the role is told twice")
	}
	expectPage(t, b.get("/monitor/system_status"), http.StatusOK,
		`<th scope="row">joe</th><td data-name="Role">Read-Only Operator</td>`)

	// The uncommitted changes stay, and are committed by an operator only.
	expectPage(t, b.get("/commit"), http.StatusOK, "Mail_Log: added",
		"does not permit committing changes.", "Abandon Changes")
	expectPage(t, b.post("/commit", "action", "commit"), http.StatusForbidden,
		"Your user role (Read-Only Operator) does not permit committing changes.")
	s.changeUser(t.Context(), "joe", setRole(users.Operator))
	expectRedirect(t, b.post("/commit", "action", "commit"), "/commit")
	expectPage(t, b.get("/commit"), http.StatusOK, "Your changes have been committed.")
	expectPage(t, b.get(capturesPath+"/settings"), http.StatusOK)
}

// An administrator's change of Access is not committed after the demotion.
func TestCommitThatTheRoleNoLongerPermits(t *testing.T) {
	s := newTestSite(t)
	s.addUser("joe", users.Administrator)
	b := s.login("joe")
	for _, session := range s.site.sessions.open { // the page itself has no form for it
		a := users.Access.Get(session.draft)
		a.Banner = "Hello"
		users.Access.Set(session.draft, a)
	}
	s.changeUser(t.Context(), "joe", setRole(users.Operator))
	expectPage(t, b.post("/commit", "action", "commit"), http.StatusConflict,
		"which your user role (Operator) does not permit.", "Changes of this Login")
	if s.appliance.AdminAccess().Banner != "" {
		t.Error("an operator has committed a banner")
	}
}

func TestOtherChangesOfAnAccountAreNotTold(t *testing.T) {
	s := newTestSite(t)
	s.addUser("joe", users.Operator)
	b := s.login("joe")
	s.changeUser(t.Context(), "joe", func(a *users.Account) { a.FullName = "Joe" })
	w := b.get("/monitor/system_status")
	expectPage(t, w, http.StatusOK)
	if strings.Contains(w.Body.String(), "An administrator has changed") {
		t.Error("a change of the name is told as one of the role")
	}
}

// The session that changes its own account goes on, and the others of the account end.
func TestSessionThatChangesItsAccountGoesOn(t *testing.T) {
	s := newTestSite(t)
	s.addUser("joe", users.Administrator)
	own := s.login("joe")
	var committer *session
	for _, committer = range s.site.sessions.open {
	}
	other := s.login("joe")
	s.changeUser(users.WithAuthority(t.Context(), committer.authority), "joe",
		func(a *users.Account) { a.Hash = otherHash })
	expectPage(t, own.get("/monitor/system_status"), http.StatusOK)
	expectRedirect(t, other.get("/monitor/system_status"), "/login")
}

func TestAccountThatChangesDuringTheLogin(t *testing.T) {
	s := newTestSite(t)
	s.addUser("joe", users.Operator)
	joe, _ := s.appliance.Users.Lookup("joe")
	s.changeUser(t.Context(), "joe", lock)
	before := len(s.site.sessions.open)
	session := s.site.sessions.begin(joe, remoteAddr(httptest.NewRequest("GET", "/", nil)))
	if len(s.site.sessions.open) != before || len(s.appliance.Logins.Sessions()) != 0 {
		t.Error("the session of a locked account has begun")
	}
	if s.site.sessions.reason(session.id+session.secret) == "" {
		t.Error("the reason is not remembered")
	}
}

func TestBasicAuthenticationFollowsTheAccount(t *testing.T) {
	s := newTestSite(t)
	s.addUser("joe", users.Operator)
	b := s.browser()
	get := func() int {
		return b.request("GET", capturesPath, nil, basic("joe", users.FactoryPassphrase)).Code
	}
	for _, step := range []struct {
		change func(*users.Account)
		want   int
	}{
		{setRole(users.Operator), http.StatusOK},
		{setRole(users.Guest), http.StatusForbidden},
		{setRole(users.Administrator), http.StatusOK},
		{lock, http.StatusUnauthorized},
	} {
		s.changeUser(t.Context(), "joe", step.change)
		if got := get(); got != step.want {
			t.Errorf("status %d, want %d", got, step.want)
		}
	}
}

// A download ends when its account no longer permits it.
func TestDownloadsEndWithTheirAccount(t *testing.T) {
	for name, change := range map[string]func(*users.Account){
		"locked": lock, "demoted": setRole(users.Guest),
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestSite(t)
			s.addUser("joe", users.Operator)
			s.store("a.cap", manyPackets(5000))
			b := s.login("joe")
			r := httptest.NewRequest("GET", "https://127.0.0.1:8443"+capturesPath+"/files/a.cap",
				nil)
			r.RemoteAddr = address + ":40000"
			for name, value := range b.cookies {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			w := &changingWriter{httptest.NewRecorder(), func() {
				s.changeUser(t.Context(), "joe", change)
			}}
			s.ServeHTTP(w, r)
			if want := w.Header().Get("Content-Length"); w.Body.Len() == 0 ||
				w.Body.Len() > 64<<10 {
				t.Errorf("%d of %s bytes were sent", w.Body.Len(), want)
			}
		})
	}
}

// A changingWriter calls change after the first Write.
type changingWriter struct {
	*httptest.ResponseRecorder
	change func()
}

func (w *changingWriter) Write(p []byte) (int, error) {
	defer func() {
		if w.change != nil {
			change := w.change
			w.change = nil
			change()
		}
	}()
	return w.ResponseRecorder.Write(p)
}

func TestReasonsOfEndedSessionsAreBounded(t *testing.T) {
	s := newTestSite(t)
	s.addUser("joe", users.Operator)
	for range maxSessions / 2 {
		s.login("joe")
	}
	for range 3 {
		s.changeUser(t.Context(), "joe", lock)
		s.changeUser(t.Context(), "joe", func(a *users.Account) { a.Locked = false })
		for range maxSessions / 2 {
			s.login("joe")
		}
	}
	if n := len(s.site.sessions.ended); n != maxSessions {
		t.Errorf("%d reasons are kept, want %d", n, maxSessions)
	}
}
