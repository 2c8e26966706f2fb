package bench_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/bench"
)

// TestTokenIsExchanged: the token in the address becomes a cookie, and leaves the address.
func TestTokenIsExchanged(t *testing.T) {
	s := startBench(t, appliancetest.Start(t).Box)
	c := newClient(t, s)
	if status, text := c.do(http.MethodGet, "/", nil); status != http.StatusUnauthorized ||
		strings.Contains(text, "Network") {
		t.Errorf("without the token: %d\n%s", status, text)
	}
	if status, _ := c.do(http.MethodGet, "/?token=wrong", nil); status != http.StatusUnauthorized {
		t.Errorf("with a wrong token: %d", status)
	}
	var answer *http.Response
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		answer = r.Response
		return nil
	}
	r, err := c.Get(c.base + "/?at=host%2Fgoogle&token=" + testToken)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK || r.Request.URL.RequestURI() != "/?at=host%2Fgoogle" {
		t.Errorf("the token leads to %s: %d", r.Request.URL, r.StatusCode)
	}
	if cookie := answer.Header.Get("Set-Cookie"); !strings.Contains(cookie, "HttpOnly") ||
		!strings.Contains(cookie, "SameSite=Strict") || strings.Contains(cookie, testToken) {
		t.Errorf("the cookie is %s", cookie)
	}
	policy := r.Header.Get("Content-Security-Policy")
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("the policy is %s", policy)
	}
	status, text := newClient(t, s).do(http.MethodPost, "/login", url.Values{"token": {testToken}})
	if status != http.StatusOK {
		t.Errorf("the login by a form: %d\n%s", status, text)
	}
}

// TestRequestsOfOthersAreRefused: other hosts, other sites, and forms that this server has not made.
func TestRequestsOfOthersAreRefused(t *testing.T) {
	b, c := open(t)
	breakIt := url.Values{"at": {"host/google"}, "action": {"drop"}}
	for name, change := range map[string]func(*http.Request){
		"a form without its value": func(*http.Request) {},
		"another site":             func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a page of another port":   func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") },
		"another host":             func(r *http.Request) { r.Host = "attacker.example" },
	} {
		r, err := http.NewRequest(http.MethodPost, c.base+"/network/break", strings.NewReader(breakIt.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		change(r)
		if status, text := c.send(r); status != http.StatusForbidden {
			t.Errorf("%s: %d\n%s", name, status, text)
		}
	}
	if n := len(b.Faults().List()); n != 0 {
		t.Errorf("a refused request has added %d faults", n)
	}
}

// TestListenRefusesOtherMachines: unless the user has chosen the token.
func TestListenRefusesOtherMachines(t *testing.T) {
	everywhere := netip.MustParseAddrPort("0.0.0.0:0")
	_, err := bench.Listen(everywhere, false)
	if err == nil || !strings.Contains(err.Error(), "--bench-token FILE") {
		t.Errorf("the error is %v", err)
	}
	l, err := bench.Listen(everywhere, true)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// TestReadToken: a file is made if there is none; short tokens are refused.
func TestReadToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	first, err := bench.ReadToken(file)
	if err != nil || len(first) < 16 {
		t.Fatalf("the new token is %q: %v", first, err)
	}
	if again, err := bench.ReadToken(file); err != nil || again != first {
		t.Errorf("the token is %q, then %q: %v", first, again, err)
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the token: %v %v", fi.Mode(), err)
	}
	for text, want := range map[string]string{
		"short\n": "has 5 characters: expected at least 16", strings.Repeat("ab cd ", 5): "has spaces",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := bench.ReadToken(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the token %q: %v", text, err)
		}
	}
}
