package bench_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/smtp"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/bench"
	"github.com/esasim/esasim/appliance/box"
)

// stepTimeout limits each step of a test. It only matters for tests that fail.
const stepTimeout = time.Minute

const testToken = "a-token-of-the-tests"

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// startBench serves the page of a box until the test ends.
func startBench(t testing.TB, b *box.Box) *bench.Server {
	t.Helper()
	l, err := bench.Listen(anyPort, false)
	if err != nil {
		t.Fatal(err)
	}
	s := bench.New(bench.Options{Box: b, Token: testToken, Addr: l.Addr()})
	s.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A client is a browser without scripts, with cookies of its own.
type client struct {
	*http.Client
	t    testing.TB
	base string
}

// newClient returns a client of a new bench, without the cookie.
func newClient(t testing.TB, s *bench.Server) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	base, _, _ := strings.Cut(s.URL(), "/?")
	return &client{&http.Client{Jar: jar, Transport: transport, Timeout: stepTimeout}, t, base}
}

// open starts an appliance and its bench, and enters it.
func open(t testing.TB, options ...appliancetest.Option) (*appliancetest.Box, *client) {
	t.Helper()
	b := appliancetest.Start(t, options...)
	s := startBench(t, b.Box)
	c := newClient(t, s)
	c.get(s.URL()[len(c.base):])
	return b, c
}

// get returns the text of a page, which must be found.
func (c *client) get(path string) string {
	c.t.Helper()
	status, text := c.do(http.MethodGet, path, nil)
	if status != http.StatusOK {
		c.t.Fatalf("GET %s: %d\n%s", path, status, text)
	}
	return text
}

// do sends a request, with the fields of a form if there are any.
func (c *client) do(method, path string, form url.Values) (status int, text string) {
	c.t.Helper()
	r, err := http.NewRequest(method, c.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return c.send(r)
}

func (c *client) send(r *http.Request) (status int, text string) {
	c.t.Helper()
	a, err := c.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// post sends a form as the page does, and returns the page that follows.
func (c *client) post(path string, fields ...string) string {
	c.t.Helper()
	status, text := c.try(path, fields...)
	if status != http.StatusOK {
		c.t.Fatalf("POST %s: %d\n%s", path, status, text)
	}
	return text
}

// try is post for a form that may be refused.
func (c *client) try(path string, fields ...string) (status int, text string) {
	c.t.Helper()
	_, after, ok := strings.Cut(c.get("/?at=host/resolver"), `name="form" value="`)
	if !ok {
		c.t.Fatal("the page has no form")
	}
	value, _, _ := strings.Cut(after, `"`)
	form := url.Values{"form": {value}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return c.do(http.MethodPost, path, form)
}

// has fails the test unless a text contains all others.
func has(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("the page lacks %q:\n%s", p, text)
		}
	}
}

// sendMail sends a message to joe@example.com through the appliance, and waits until the simulated
// server "mail" has received it.
func sendMail(t testing.TB, b *appliancetest.Box, message string) {
	t.Helper()
	cursor := b.Cursor()
	door := b.DoorAddrs()["smtp"].String()
	err := smtp.SendMail(door, nil, "ann@example.net", []string{"joe@example.com"}, []byte(message))
	if err != nil {
		t.Fatal(err)
	}
	b.WaitSince(t, cursor, "mail", "")
}
