package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
)

func TestLoginLeadsBackToTheRequestedPage(t *testing.T) {
	b := newTestSite(t).browser()
	expectRedirect(t, b.get("/help_and_support/packet_capture?x=1"),
		"/login?referrer=%2Fhelp_and_support%2Fpacket_capture%3Fx%3D1")
	expectPage(t, b.get("/login?referrer=/network/ip_interfaces"), http.StatusOK,
		`name="referrer" value="/network/ip_interfaces"`, `name="username"`, `name="password"`)
	w := b.post("/login", "username", "admin", "password", "ironport", "referrer",
		"/network/ip_interfaces")
	expectRedirect(t, w, "/network/ip_interfaces")
	expectPage(t, b.get("/network/ip_interfaces"), http.StatusOK,
		"Logged in as: <b>admin</b> on example.com", "10.0.202.7/24")
}

func TestLoginRedirectsToLocalPathsOnly(t *testing.T) {
	for _, to := range []string{"https://evil.example/", "//evil.example/", `/\evil.example`,
		"javascript:alert(1)", "evil", "/login", "/logout", "/logout?x=1", "/a\r\nSet-Cookie: x=y",
		""} {
		if got := localPath(to); got != "/monitor/system_status" {
			t.Errorf("%q leads to %q", to, got)
		}
	}
}

func TestSessionCookie(t *testing.T) {
	b := newTestSite(t).browser()
	w := b.post("/login", "username", "admin", "password", "ironport")
	c := w.Result().Cookies()[0]
	if c.Name != "__Host-session-8443" || !c.HttpOnly || !c.Secure ||
		c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" ||
		!isToken(c.Value, 52) {
		t.Errorf("%+v", c)
	}
}

func TestLoginAndLogoutAreLogged(t *testing.T) { // logs.md 3.5
	s := newTestSite(t)
	b := s.browser()
	b.post("/login", "username", "admin\n", "password", "wrong")
	b = s.login("admin")
	var id string
	for _, v := range b.cookies {
		id = v[:20]
	}
	b.get("/monitor/system_status")
	b.post("/logout")
	for _, c := range []struct{ log, text string }{
		{"authentication",
			`Info: An authentication attempt by the user admin\n from 10.0.201.4 failed using an HTTPS connection.`},
		{"authentication", "Info: The user admin successfully logged on from 10.0.201.4 with " +
			"privilege admin using an HTTPS connection."},
		{"authentication", "Info: login:10.0.201.4 user:admin session:" + id},
		{"authentication", "Info: logout:10.0.201.4 user:admin session:" + id},
		{"gui_logs", "Info: SourceIP:10.0.201.4 Destination:/login Username:admin " +
			"Privilege:admin session:" + id +
			" Action: The HTTPS session has been established successfully."},
		{"gui_logs", "Info: req:10.0.201.4 user:admin id:" + id +
			" 200 GET /monitor/system_status HTTP/1.1 -"},
	} {
		if n := len(s.logged(c.log, c.text)); n != 1 {
			t.Errorf("%s: %d lines with %q in\n%s", c.log, n, c.text,
				strings.Join(s.logged(c.log, ""), "\n"))
		}
	}
	noSession := regexp.MustCompile(
		`Info: req:10\.0\.201\.4 user:- id:[A-Za-z0-9]{20} 403 POST /login HTTP/1\.1 -$`)
	if lines := s.logged("gui_logs", "403 POST /login"); len(lines) != 1 ||
		!noSession.MatchString(lines[0]) {
		t.Errorf("a request without a session is logged as %q", lines)
	}
	for _, v := range b.cookies {
		t.Errorf("the cookie %s is left after the logout", v)
	}
}

func TestLogsDoNotContainTheSecret(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	b.get("/monitor/system_status")
	for _, v := range b.cookies {
		for _, log := range []string{"gui_logs", "authentication"} {
			if lines := s.logged(log, v[20:]); lines != nil {
				t.Errorf("%s: %s", log, lines)
			}
		}
	}
}

func TestLoginIgnoresPlantedCookies(t *testing.T) {
	s := newTestSite(t)
	browser := s.browser()
	planted := strings.Repeat("a", 52)
	browser.cookies["__Host-session-8443"] = planted
	browser.post("/login", "username", "admin", "password", "ironport")
	if browser.cookies["__Host-session-8443"] == planted {
		t.Fatal("the login took over a cookie that was there")
	}
	// A second login in the same browser ends the first one's session.
	old := browser.cookies["__Host-session-8443"]
	browser.post("/login", "username", "admin", "password", "ironport")
	other := s.browser()
	other.cookies["__Host-session-8443"] = old
	expectRedirect(t, other.get("/monitor/system_status"), "/login")
}

func TestInvalidCookies(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	good := b.cookies["__Host-session-8443"]
	for _, bad := range []string{
		"", "x", good[:20], good[:51], good + "x", good[:20] + strings.Repeat("A", 32),
		strings.Repeat("A", 20) + good[20:],
		strings.Repeat("é", 26), strings.Repeat("a", 5000), good[:51] + "!",
		good[:20] + good[20:51] + "\x00",
	} {
		other := s.browser()
		w := other.request("GET", "/monitor/system_status", nil, func(r *http.Request) {
			r.Header.Set("Cookie", "__Host-session-8443="+bad)
		})
		expectRedirect(t, w, "/login")
	}
	expectPage(t, b.get("/monitor/system_status"), http.StatusOK)
}

func TestIdleSessionsExpire(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.clock.Advance(29 * time.Minute)
	expectPage(t, b.get("/monitor/system_status"), http.StatusOK)
	s.clock.Advance(29 * time.Minute)
	// Background requests are no activity.
	expectPage(t, b.get("/help_and_support/packet_capture/status"), http.StatusOK, `"state":"idle"`)
	s.clock.Advance(time.Minute)
	if n := len(s.appliance.Logins.Sessions()); n != 0 {
		t.Errorf("%d logins are left", n)
	}
	expectRedirect(t, b.get("/monitor/system_status"), "/login")
	if w := b.get("/help_and_support/packet_capture/status"); w.Code != http.StatusUnauthorized {
		t.Errorf("the refresh gets %d", w.Code)
	}
	for _, c := range [][2]string{
		{"authentication", "GUI: User admin logged out from session "},
		{"gui_logs", "beacuse of inactivity timeout"}, //nolint:misspell // as AsyncOS spells it
	} {
		if n := len(s.logged(c[0], c[1])); n != 1 {
			t.Errorf("%s: %d lines with %q", c[0], n, c[1])
		}
	}
}

func TestExpiredSessionLeadsBackAfterLogin(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.clock.Advance(31 * time.Minute)
	settings := "/login?referrer=" + url.QueryEscape(capturesPath+"/settings")
	expectRedirect(t, b.get(capturesPath+"/settings"), settings)
	expectRedirect(t, b.request("POST", capturesPath+"/settings", nil, func(r *http.Request) {
		r.Header.Set("Referer", "https://127.0.0.1:8443"+capturesPath+"/settings")
	}), settings)
	captures := "/login?referrer=" + url.QueryEscape(capturesPath)
	expectRedirect(t, b.post(capturesPath+"/start"), captures)
	expectRedirect(t, b.request("POST", capturesPath+"/start", nil, func(r *http.Request) {
		r.Header.Set("Referer", "https://evil.example/x")
	}), captures)
	expectPage(t, b.get(captures), http.StatusOK, "Your session has expired. Log in again.",
		`value="`+capturesPath+`"`)
	for why, other := range map[string]*browser{"who was never here": s.browser(),
		"who has logged out": s.login("admin")} {
		other.post("/logout")
		if w := other.get("/login"); strings.Contains(w.Body.String(), "expired") {
			t.Errorf("%s is told of a session that has expired", why)
		}
	}
}

func TestLogoutAsksAboutUncommittedChanges(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	b.post(logsPath+"/add", syslogForm...)
	expectRedirect(t, b.post("/logout"), "/logout")
	expectPage(t, b.get("/logout"), http.StatusOK, "Are you sure you want to log out?",
		"Configuration changes entered but not committed. Logging out will lose changes.",
		`name="sure" value="yes"`, "Log Out", `href="/commit"`)
	expectPage(t, b.get("/commit"), http.StatusOK, "Mail_Log: added", `href="/commit/abandon"`)
	expectPage(t, b.get("/commit/abandon"), http.StatusOK, "<title>Abandon Changes",
		"Are you sure you want to abandon your changes?", `name="action" value="abandon"`)
	expectRedirect(t, b.post("/logout", "sure", "yes"), "/login?logout=done")
	expectRedirect(t, s.login("admin").post("/logout"), "/login?logout=done")
	expectPage(t, b.get("/login?logout=done"), http.StatusOK, "You have logged out.")
}

func TestIdleTimeoutIsConfigurable(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	err := users.Access.CommitNow(t.Context(), s.appliance.Config, nil, config.CommitInfo{},
		func(a *users.AdminAccess) error { a.WebTimeout = 5; return nil })
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(5 * time.Minute)
	expectRedirect(t, b.get("/monitor/system_status"), "/login")
}

func TestEveryEndOfASessionIsLogged(t *testing.T) { // logs.md 3.5
	s := newTestSite(t)
	s.addUser("joe", users.Operator)
	joe := s.login("joe")
	err := users.Section.CommitNow(t.Context(), s.appliance.Config, nil, config.CommitInfo{},
		func(a *users.Accounts) error {
			a.List = slices.DeleteFunc(a.List, func(a users.Account) bool {
				return a.Name == "joe"
			})
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	joe.get("/monitor/system_status")
	for range maxSessions + 1 {
		s.login("admin")
	}
	for _, text := range []string{
		"User joe logged out from session %s because of a removed account",
		"User admin logged out from session %s because of too many sessions"} {
		before, after, _ := strings.Cut(text, "%s because")
		if n := len(s.logged("authentication", "Info: GUI: "+before)); n != 1 ||
			len(s.logged("authentication", after)) != 1 {
			t.Errorf("authentication: %d lines with %q", n, text)
		}
		if n := len(s.logged("gui_logs", "Info: Action: "+before)); n != 1 ||
			len(s.logged("gui_logs", after)) != 1 {
			t.Errorf("gui_logs: %d lines with %q", n, text)
		}
	}
}

func TestFailedLoginsAreSlowedDownAndBlocked(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	start := s.clock.Mark()
	for range 11 {
		expectPage(t, b.post("/login", "username", "admin", "password", "wrong"),
			http.StatusForbidden, `role="alert"`, "is not correct", `value="admin"`)
	}
	if s.clock.Since(start) < 10*time.Second {
		t.Error("the answers were not held back")
	}
	expectPage(t, b.post("/login", "username", "admin", "password", "ironport"),
		http.StatusTooManyRequests, "too many failed attempts")
	if s.appliance.Guard.Admit(netip.MustParseAddr(address)) {
		t.Error("ssh still admits the address")
	}
	s.clock.Advance(16 * time.Minute)
	expectRedirect(t, b.post("/login", "username", "admin", "password", "ironport"),
		"/monitor/system_status")
}

func TestCrossOriginRequestsAreRefused(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	for name, spoil := range map[string]func(*http.Request){
		"fetch metadata": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"same site":      func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"origin": func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://evil.example")
		},
		"other port": func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://127.0.0.1:9999")
		},
		"null": func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin",
				"null")
		},
	} {
		for _, target := range []string{"/help_and_support/packet_capture/start", "/login",
			"/logout", "/commit"} {
			if w := b.request("POST", target, nil, spoil); w.Code != http.StatusForbidden {
				t.Errorf("%s: POST %s: %d", name, target, w.Code)
			}
		}
	}
	expectPage(t, b.get("/help_and_support/packet_capture"), http.StatusOK,
		"No packet capture in progress")
}

func TestSecurityHeaders(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	for _, target := range []string{"/login", "/monitor/system_status", "/nowhere",
		"/help_and_support/packet_capture/status", theAssets().Paths()["page_js"]} {
		h := b.get(target).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Frame-Options": "DENY",
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if !strings.Contains(h.Get(name), want) {
				t.Errorf("%s: %s is %q", target, name, h.Get(name))
			}
		}
		if h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: HSTS would bind every port of localhost", target)
		}
		if c := h.Get("Cache-Control"); strings.HasPrefix(target, "/assets") != strings.Contains(c,
			"immutable") {
			t.Errorf("%s: Cache-Control is %q", target, c)
		}
	}
}

func TestAddressesOutsideTheAccessListAreRefused(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	err := users.Access.CommitNow(t.Context(), s.appliance.Config, nil, config.CommitInfo{},
		func(a *users.AdminAccess) error {
			a.Restricted, a.Allowed = true, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/login", "/monitor/system_status", theAssets().Paths()["page_css"]} {
		expectPage(t, b.get(target), http.StatusForbidden,
			"Access is not permitted from this address.")
	}
}

func TestPagesLoadNothingFromOtherSites(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	foreign := regexp.MustCompile(`(?i)(src|href|action)="(https?:)?//`)
	for _, p := range pages {
		if w := b.get(p.Path); w.Code != http.StatusOK || foreign.MatchString(w.Body.String()) {
			t.Errorf("%s: %d %s", p.Path, w.Code, foreign.FindString(w.Body.String()))
		}
	}
}

func TestPageTitlesAreUnique(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", manyPackets(2))
	title := regexp.MustCompile(`<title>(.*)</title>`)
	seen := map[string]string{}
	for _, target := range []string{
		"/monitor/system_status", "/network/ip_interfaces", "/help_and_support/online_help",
		"/help_and_support/online_help?topic=alerts", "/commit", "/logout", "/commit/abandon",
		capturesPath, capturesPath + "/settings", capturesPath + "/delete?file=a.cap",
		capturesPath + "/view/a.cap", capturesPath + "/view/a.cap/packet/1",
		capturesPath + "/view/a.cap/packet/2",
		logsPath, logsPath + "/add", logsPath + "/edit/status", logsPath + "/files/gui_logs",
		logsPath + "/delete/status", alertsPath, alertsPath + "/recipient",
		alertsPath + "/settings",
	} {
		m := title.FindStringSubmatch(b.get(target).Body.String())
		if m == nil {
			t.Errorf("%s has no title", target)
			continue
		}
		if o, ok := seen[m[1]]; ok && !strings.HasPrefix(target, "/help_and_support/online_help?") {
			t.Errorf("%s and %s are both %q", o, target, m[1])
		}
		seen[m[1]] = target
	}
}

func TestRefreshesAreNoActivity(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	refresh := func(target string) *httptest.ResponseRecorder {
		return b.request("GET", target, nil, func(r *http.Request) {
			r.Header.Set("X-Refresh", "1")
		})
	}
	b.post(logsPath+"/add", syslogForm...)
	if w := refresh(logsPath); strings.Contains(w.Body.String(),
		"takes effect when it is committed") {
		t.Error("a refresh has taken the notice")
	}
	expectPage(t, b.get(logsPath), http.StatusOK,
		`data-transient role="status">The log subscription Mail_Log takes effect when it is committed.`)
	s.clock.Advance(29 * time.Minute)
	expectPage(t, refresh("/monitor/system_status"), http.StatusOK, "<div data-refresh>")
	s.clock.Advance(time.Minute)
	if w := refresh("/monitor/system_status"); w.Code != http.StatusUnauthorized {
		t.Errorf("after the idle time: %d", w.Code)
	}
}

func TestNoticesThatNoLongerHoldAreNotShown(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	b.post(capturesPath + "/start")
	if _, err := s.appliance.Captures.Stop(capture.GUI); err != nil { // another tab
		t.Fatal(err)
	}
	if w := b.get(capturesPath); strings.Contains(w.Body.String(), "has started") {
		t.Error("the page says that a capture has started, which has stopped since")
	}
	b.post(logsPath+"/add", syslogForm...)
	b.post("/commit", "action", "commit")
	if w := b.get(logsPath); strings.Contains(w.Body.String(), "takes effect when") {
		t.Error("the page says that a change is to be committed, which has been committed since")
	}
}

func TestPagesSayWhatARoleMayNotDo(t *testing.T) {
	s := newTestSite(t)
	s.addUser("reader", users.ReadOnlyOperator)
	s.addUser("visitor", users.Guest)
	reader, visitor := s.login("reader"), s.login("visitor")
	expectPage(t, reader.get(logsPath), http.StatusOK,
		"Packet Capture <span class=\"hint\">(not permitted for your role)</span>",
		"Your user role (", ") permits reading logs. It does not permit adding")
	expectPage(t, visitor.get(alertsPath), http.StatusOK,
		"It does not permit changing who receives them.")
	expectPage(t, visitor.get("/commit"), http.StatusOK,
		"does not permit changing the configuration.")
	expectPage(t, visitor.get(logsPath), http.StatusForbidden, "Your user role (",
		") does not permit this page.")
	if w := s.login("admin").get(logsPath); strings.Contains(w.Body.String(), "not permit") {
		t.Error("an administrator is told about missing permissions")
	}
}
