package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
)

// A silentNet has interfaces without traffic. They can be tapped.
type silentNet struct{ network.Network }

type silentTap struct{ network.Tap }

func (silentTap) Close() error { return nil }

func (silentNet) Tap(network.TapConfig) (network.Tap, error) { return silentTap{}, nil }

func (silentNet) Interfaces() []network.Interface {
	return []network.Interface{{Name: "Data 1", Up: true, MTU: 1500}, {Name: "Data 2", MTU: 1500},
		{Name: "lo0", Loopback: true}}
}

func (silentNet) Counters(string) (network.Counters, error) { return network.Counters{}, nil }

// A testSite is a site without sockets.
type testSite struct {
	t         testing.TB
	appliance *appliance.Appliance
	clock     *clock.Fake
	site      *site
	http.Handler
}

// address is the address of all clients.
const address = "10.0.201.4"

func newTestSite(t testing.TB) *testSite {
	t.Helper()
	fake := clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC))
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{{
		Name: "Data 1", Port: "Data 1", Hostname: "mail.example.com",
		IPv4: netip.MustParseAddr("10.0.202.7"), Netmask: "255.255.255.0",
		HTTP: 80, HTTPS: 443,
	}}})
	ports := netconfig.PortList{}
	for _, i := range (silentNet{}).Interfaces()[:2] {
		ports.List = append(ports.List, netconfig.Port{Name: i.Name, Ethernet: i.Name, MTU: i.MTU})
	}
	netconfig.Ports.SetFactory(f, ports)
	app, err := appliance.New(appliance.Options{
		Net: silentNet{}, Dir: t.TempDir(), Factory: f, CaptureInterfaces: []string{"Data 1"},
		Clock: fake,
		Product: product.Facts{Model: "C100V", Serial: "421F6D8FB9C75E19C425-C9AEA81B2B70",
			Version: product.Version{Major: 14, Build: 698}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &testSite{t: t, appliance: app, clock: fake}
	server := New(Options{Appliance: app, MayRun: mayRun, Outside: func() (netip.AddrPort, bool) {
		return netip.MustParseAddrPort("127.0.0.1:8443"), true
	}})
	s.site = newSite(server.o, server.tokens)
	s.Handler = s.site.handler()
	t.Cleanup(func() {
		s.site.sessions.close()
		if err := app.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// mayRun reports whether accounts of a role may run a command of the real table.
func mayRun(role users.Role, command string) bool {
	i := slices.IndexFunc(commands.All(), func(c *shell.Command) bool { return c.Name == command })
	return i >= 0 && commands.All()[i].Allows(role)
}

// addUser adds an account with the factory passphrase.
func (s *testSite) addUser(name string, role users.Role) {
	s.t.Helper()
	err := users.Section.CommitNow(s.t.Context(), s.appliance.Config, nil, config.CommitInfo{},
		func(a *users.Accounts) error {
			a.List = append(a.List, users.Account{Name: name, Role: role,
				Hash: a.Find(users.FactoryName).Hash})
			return nil
		})
	if err != nil {
		s.t.Fatal(err)
	}
}

// logged returns the lines of a log that contain text.
func (s *testSite) logged(log, text string) []string {
	s.t.Helper()
	if err := s.appliance.Logs.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	names, err := s.appliance.Files.Glob("data/pub/" + log + "/*.current")
	if err != nil {
		s.t.Fatal(err)
	}
	var lines []string
	for _, n := range names {
		f, err := s.appliance.Files.Open(n)
		if err != nil {
			s.t.Fatal(err)
		}
		all, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(string(all)) {
			if strings.Contains(line, text) {
				lines = append(lines, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return lines
}

// A browser keeps cookies and follows no redirects.
type browser struct {
	*testSite
	cookies map[string]string
}

func (s *testSite) browser() *browser { return &browser{s, map[string]string{}} }

// request sends a request over TLS. change, which may be nil, modifies it first.
func (b *browser) request(method, target string, form url.Values,
	change func(*http.Request)) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, "https://127.0.0.1:8443"+target,
		strings.NewReader(form.Encode()))
	r.RemoteAddr = address + ":40000"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return w
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.request("GET", target, nil, nil)
}

func (b *browser) post(target string, pairs ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.request("POST", target, form, nil)
}

// login logs an account in and returns its browser.
func (s *testSite) login(name string) *browser {
	s.t.Helper()
	b := s.browser()
	if w := b.post("/login", "username", name, "password",
		users.FactoryPassphrase); w.Code != http.StatusSeeOther || len(b.cookies) != 1 {
		s.t.Fatalf("login of %s: %d\n%s", name, w.Code, w.Body)
	}
	return b
}

// expectPage fails unless a response has the status, and the texts in this order.
func expectPage(t testing.TB, w *httptest.ResponseRecorder, status int, texts ...string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d", w.Code, status)
	}
	rest := w.Body.String()
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			if _, main, ok := strings.Cut(rest, "<main"); ok {
				rest = main
			}
			t.Errorf("no %q in\n%s", text, rest)
			return
		}
		rest = after
	}
}

// expectRedirect fails unless a response redirects the browser to target.
func expectRedirect(t testing.TB, w *httptest.ResponseRecorder, target string) {
	t.Helper()
	if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != target {
		t.Errorf("status %d to %q, want %d to %q\n%s", w.Code, got, http.StatusSeeOther, target,
			w.Body)
	}
}

// withLocalAddr sets the appliance's address that received a request.
func withLocalAddr(r *http.Request, addr string) *http.Request {
	local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
}
