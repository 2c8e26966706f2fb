package web

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/commands"
)

// basic adds credentials to a request.
func basic(name, passphrase string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, passphrase) }
}

func TestBasicAuthenticationIsForReading(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	for _, target := range []string{capturesPath, capturesPath + "/status",
		"/monitor/system_status", "/commit"} {
		for _, method := range []string{"GET", "HEAD"} {
			w := b.request(method, target, nil, basic("admin", users.FactoryPassphrase))
			if w.Code != http.StatusOK || len(b.cookies) != 0 {
				t.Errorf("%s %s: %d, cookies %v", method, target, w.Code, b.cookies)
			}
		}
		w := b.request("GET", target, nil, basic("admin", "wrong"))
		if w.Code != http.StatusUnauthorized ||
			!strings.HasPrefix(w.Header().Get("WWW-Authenticate"), `Basic realm="`) {
			t.Errorf("wrong credentials for %s: %d, %v", target, w.Code, w.Header())
		}
		for _, header := range []string{"Bearer x", "Basic", "Basic !!!", "Digest username=admin"} {
			w := b.request("GET", target, nil, func(r *http.Request) {
				r.Header.Set("Authorization", header)
			})
			if w.Code != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d", target, header, w.Code)
			}
		}
		s.clock.Advance(time.Hour)
	}
	if n := len(s.appliance.Logins.Sessions()); n != 0 {
		t.Errorf("%d sessions", n)
	}
	for passphrase, status := range map[string]int{
		users.FactoryPassphrase: http.StatusSeeOther, "wrong": http.StatusUnauthorized,
	} {
		if w := b.request("GET", "/", nil, basic("admin", passphrase)); w.Code != status {
			t.Errorf("the first page with the passphrase %s: %d, want %d", passphrase, w.Code,
				status)
		}
	}
	expectPage(t, b.request("GET", "/nowhere", nil, basic("admin", users.FactoryPassphrase)),
		http.StatusNotFound)
	if n := len(s.logged("gui_logs", "user:admin id:")); n == 0 {
		t.Error("the log does not name the user")
	}
}

func TestBasicAuthenticationChangesNothing(t *testing.T) {
	s := newTestSite(t)
	b := s.browser()
	for _, target := range []string{capturesPath + "/start", capturesPath + "/settings",
		logsPath + "/delete/status", "/commit", "/logout"} {
		expectPage(t, b.request("POST", target, url.Values{"sure": {"yes"}},
			basic("admin", users.FactoryPassphrase)),
			http.StatusForbidden, "accepted for GET and HEAD only")
	}
	for _, origin := range []string{"cross-site", "same-site"} {
		expectPage(t, b.request("GET", capturesPath, nil, func(r *http.Request) {
			r.SetBasicAuth("admin", users.FactoryPassphrase)
			r.Header.Set("Sec-Fetch-Site", origin)
		}), http.StatusForbidden, "another site")
	}
	expectPage(t, s.login("admin").get(capturesPath), http.StatusOK,
		"No packet capture in progress")
}

func TestBasicAuthenticationFollowsRolesAndTheGuard(t *testing.T) {
	s := newTestSite(t)
	s.addUser("visitor", users.Guest)
	b := s.browser()
	for range 11 {
		b.request("GET", capturesPath, nil, basic("admin", "wrong"))
	}
	expectPage(t, b.request("GET", capturesPath, nil, basic("admin", users.FactoryPassphrase)),
		http.StatusTooManyRequests, "too many failed attempts")
	if n := len(s.logged("authentication",
		"An authentication attempt by the user admin from 10.0.201.4 failed using an HTTPS "+
			"connection.")); n < 5 {
		t.Errorf("%d failed logins are logged", n)
	}
	s.clock.Advance(16 * time.Minute)
	expectPage(t, b.request("GET", "/monitor/system_status", nil,
		basic("visitor", users.FactoryPassphrase)), http.StatusOK)
	expectPage(t, b.request("GET", capturesPath, nil, basic("visitor", users.FactoryPassphrase)),
		http.StatusForbidden)
}

func TestASessionCountsMoreThanCredentials(t *testing.T) {
	b := newTestSite(t).login("admin")
	w := b.request("POST", capturesPath+"/start", nil, basic("admin", users.FactoryPassphrase))
	expectRedirect(t, w, capturesPath)
}

func TestWrongMethods(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	for _, c := range []struct{ method, target, allow string }{
		{"DELETE", capturesPath, "GET, HEAD"},
		{"POST", capturesPath, "GET, HEAD"},
		{"GET", capturesPath + "/start", "POST"},
		{"PUT", capturesPath + "/settings", "GET, HEAD, POST"},
		{"OPTIONS", "/login", "GET, HEAD, POST"},
		{"PATCH", "/commit", "GET, HEAD, POST"},
		{"PROPFIND", capturesPath + "/view/a.cap/packet/1", "GET, HEAD"},
		{"POST", "/", "GET, HEAD"},
		{"TRACE", theAssets().Paths()["page_js"], "GET, HEAD"},
	} {
		for _, client := range []*browser{b, s.browser()} {
			w := client.request(c.method, c.target, nil, func(r *http.Request) {
				r.Header.Set("Sec-Fetch-Site", "same-origin")
			})
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != c.allow {
				t.Errorf("%s %s: %d, Allow %q, want %q", c.method, c.target, w.Code,
					w.Header().Get("Allow"), c.allow)
			}
		}
	}
	expectPage(t, b.request("DELETE", "/nowhere", nil, nil), http.StatusNotFound)
}

func TestRequestLog(t *testing.T) { // logs.md 3.5
	s := newTestSite(t)
	b := s.browser()
	b.request("GET", "/login", nil, func(r *http.Request) {
		r.Header.Set("User-Agent", "python-requests/2.26.0")
	})
	b.get("/login")
	line := regexp.MustCompile(
		`Info: req:10\.0\.201\.4 user:- id:([A-Za-z0-9]{20}) 200 GET /login HTTP/1\.1 (python-requests/2\.26\.0|-)$`)
	lines := s.logged("gui_logs", "GET /login")
	var ids, agents []string
	for _, l := range lines {
		if m := line.FindStringSubmatch(l); m != nil {
			ids, agents = append(ids, m[1]), append(agents, m[2])
		}
	}
	if len(ids) != 2 || ids[0] == ids[1] || !slices.Equal(agents,
		[]string{"python-requests/2.26.0", "-"}) {
		t.Errorf("the log has %q", lines)
	}
}

func TestUnknownSessionsAreLoggedWithTheirDestination(t *testing.T) {
	id := strings.Repeat("L", idLength)
	for major, want := range map[int]string{
		13: "Info: Session " + id + " from 10.0.201.4 not found",
		14: "Info: Session " + id + " from 10.0.201.4 not found Destination:/commit",
		16: "Info: Session " + id + " from 10.0.201.4 not found Destination:/commit",
	} {
		s := newTestSite(t)
		s.appliance.Product.Version = product.Version{Major: major}
		b := s.browser()
		b.cookies["__Host-session-8443"] = id + strings.Repeat("x", secretLength)
		b.get("/commit?x=1")
		if lines := s.logged("gui_logs", "not found"); len(lines) != 1 ||
			!strings.HasSuffix(lines[0], want) {
			t.Errorf("version %d: %q, want %q", major, lines, want)
		}
	}
}

func TestSecondLoginKeepsTheDraft(t *testing.T) {
	s := newTestSite(t)
	s.addUser("joe", users.Operator)
	b := s.login("admin")
	b.post(logsPath+"/add", syslogForm...)
	expectRedirect(t, b.post("/login", "username", "admin", "password", users.FactoryPassphrase),
		"/monitor/system_status")
	expectPage(t, b.get("/commit"), http.StatusOK, "Mail_Log: added")
	login := []string{"username", "joe", "password", users.FactoryPassphrase}
	w := b.post("/login", login...)
	expectPage(t, w, http.StatusConflict,
		"admin is logged in and has changes that are not committed", `name="replace" value="admin"`)
	expectPage(t, b.get("/commit"), http.StatusOK, "Logged in as: <b>admin</b>", "Mail_Log: added")
	expectRedirect(t, b.post("/login", append(login, "replace", "admin")...),
		"/monitor/system_status")
	expectPage(t, b.get("/commit"), http.StatusOK, "Logged in as: <b>joe</b>",
		"No changes are pending.")
	if l := logs.Section.Get(s.site.sessionsDraft(t)); l.Find("Mail_Log") != nil {
		t.Error("the draft has changed hands")
	}
}

func TestCommandsOfPagesExist(t *testing.T) {
	words := []string{captureCommand, interfaceCommand, readLogsCommand, logsCommand,
		rolloverCommand, alertsCommand, commitCommand}
	for _, c := range commands.All() {
		words = slices.DeleteFunc(words, func(w string) bool { return w == c.Name })
	}
	if len(words) != 0 {
		t.Errorf("there are no commands %q", words)
	}
}

func TestHandshakeErrorText(t *testing.T) {
	for want, err := range map[string]error{
		"":                                 net.ErrClosed,
		"(-1, 'Unexpected EOF')":           io.EOF,
		"(54, 'Connection reset by peer')": &net.OpError{Op: "read", Err: syscall.ECONNRESET},
		"(336109761, 'error:1408A0C1:SSL routines:SSL3_GET_CLIENT_HELLO:no shared cipher')":      errors.New("tls: no cipher suite supported by both client and server"),
		"(336027906, 'error:14076102:SSL routines:SSL23_GET_CLIENT_HELLO:unsupported protocol')": errors.New("tls: client offered only unsupported versions: [301]"),
		"(336151576, 'error:14094418:SSL routines:SSL3_READ_BYTES:tlsv1 alert unknown ca')":      fmt.Errorf("x: %w", &net.OpError{Op: "remote error", Err: fakeAlert(48)}),
	} {
		if got := handshakeErrorText(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// A fakeAlert is of the same kind as the alerts of crypto/tls.
type fakeAlert uint8

func (fakeAlert) Error() string { return "alert" }

func TestServerHeaderComesFirst(t *testing.T) {
	for first, want := range map[string]string{
		"HTTP/1.0 303 See Other\r\nA: b\r\n\r\n": "HTTP/1.0 303 See Other\r\n" + serverHeader +
			"A: b\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n": "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK": "HTTP/1.1 200 OK\r\n" + serverHeader +
			"\r\nHTTP/1.1 200 OK",
		"HTTP": "HTTP",
	} {
		near, far := net.Pipe()
		c := &conn{Conn: near, responseBegins: true}
		go func() {
			if n, err := c.Write([]byte(first)); n != len(first) || err != nil {
				t.Errorf("Write: %d, %v", n, err)
			}
			if strings.HasPrefix(want, "HTTP/1.1 200") { // a body that looks like a header
				_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n"))
			}
			near.Close()
		}()
		got, _ := io.ReadAll(far)
		if text := strings.TrimSuffix(string(got), "HTTP/1.1 200 OK\r\n"); text != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestSilentConnectionsAreDisplaced(t *testing.T) {
	s := newTestSite(t)
	r := &run{site: s.site, unused: map[net.Conn]uint64{}}
	closed := map[int]bool{}
	var conns []net.Conn
	add := func(state http.ConnState) {
		c := &closeRecorder{n: len(conns), closed: closed}
		conns = append(conns, c)
		r.connState(c, http.StateNew)
		if state != http.StateNew {
			r.connState(c, state)
		}
	}
	add(http.StateActive)
	for range maxConns + 9 {
		add(http.StateNew)
	}
	for n := range conns {
		if want := n >= 1 && n <= 10; closed[n] != want {
			t.Errorf("connection %d is closed: %v, want %v", n, closed[n], want)
		}
	}
	lines := s.logged("gui_logs", "The limit of 2000 connections has been reached")
	if len(lines) != 1 {
		t.Errorf("the log has %q", lines)
	}
}

// A closeRecorder is a connection that notes that it was closed.
type closeRecorder struct {
	net.Conn
	n      int
	closed map[int]bool
}

func (c *closeRecorder) Close() error {
	c.closed[c.n] = true
	return nil
}
