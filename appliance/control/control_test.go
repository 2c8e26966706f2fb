package control_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
)

const testTimeout = 2 * time.Minute

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// startBox runs an appliance of topology lab until the test ends. A nil clock is the system's.
// The appliance queries no NTP server.
func startBox(t *testing.T, c clock.Clock) *box.Box {
	t.Helper()
	return startBoxWith(t, c)
}

func startBoxFor(f *testing.F) *box.Box {
	f.Helper()
	return startBoxWith(f, nil)
}

func startBoxWith(t testing.TB, c clock.Clock) *box.Box {
	t.Helper()
	file, data, _ := fixtures.Topology("lab")
	topo, err := box.LoadTopology(file, data)
	if err != nil {
		t.Fatal(err)
	}
	topo.Appliance.NTP = []string{}
	b, err := box.New(box.Options{
		Topology: topo, Dir: t.TempDir(), NoDoors: true, Clock: c, Entropy: entropy.Seeded(1),
		HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := b.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return b
}

// shortDir returns a directory with a name that leaves room for a socket's path.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serve runs a control server for a box, on a socket and on a port, until the test ends.
func serve(t testing.TB, b *box.Box) (socket, port string) {
	t.Helper()
	s := control.New(b)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		for range 2 {
			if err := s.Stop(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	socket = filepath.Join(shortDir(t), "ctl.sock")
	l, err := control.ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(l)
	if l, err = control.ListenTCP(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		t.Fatal(err)
	}
	s.Serve(l)
	return socket, l.Addr().String()
}

func dial(t *testing.T, b *box.Box, to string) error {
	t.Helper()
	c, err := b.Appliance().Net.Dial(within(t), network.DialConfig{Remote: netip.MustParseAddrPort(to)})
	if err == nil {
		c.Close()
	}
	return err
}

func TestGuard(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c := dialControl(t, "unix", socket)
	guard := b.Appliance().Guard
	v4, v6 := netip.MustParseAddr("10.0.201.4"), netip.MustParseAddr("2001:db8::1")
	for range 11 {
		guard.Failed(v4)
		guard.Failed(v6)
	}
	guard.Failed(v4.Next())
	list, err := c.Guard(within(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range list {
		got = append(got, fmt.Sprint(a.Address, " ", a.Failures, " ", a.Blocked))
		if a.Left <= 0 {
			t.Errorf("%s: %v left", a.Address, a.Left)
		}
	}
	want := "10.0.201.4 11 true, 2001:db8::/64 11 true, 10.0.201.5 1 false"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := c.Free(within(t), "2001:db8::/64"); err != nil || !guard.Admit(v6) {
		t.Errorf("the /64 is still blocked: %v", err)
	}
	if err := c.Free(within(t), "10.0.201.4"); err != nil || !guard.Admit(v4) {
		t.Errorf("the address is still blocked: %v", err)
	}
	var refused *control.RequestError
	if err := c.Free(within(t), "10.0.201.4"); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("freed again: %v", err)
	}
	if err := c.Free(within(t), "bob"); !errors.As(err, &refused) || refused.Status != 400 {
		t.Errorf("freed bob: %v", err)
	}
	if err := c.FreeAll(within(t)); err != nil || len(guard.Failing()) != 0 {
		t.Errorf("%v, %v are left", err, guard.Failing())
	}
}

// A fault that one client adds applies, and another client lists and removes it.
func TestFaults(t *testing.T) {
	b := startBox(t, nil)
	socket, port := serve(t, b)
	one, two, ctx := dialControl(t, "unix", socket), dialControl(t, "tcp", port), within(t)
	f, err := one.AddFault(ctx, map[string]any{"action": "refuse", "to": "10.0.201.5", "protocol": "tcp", "port": "7"})
	if err != nil || f.ID != 1 || f.State != netsim.FaultActing {
		t.Fatalf("%+v, %v", f, err)
	}
	if err := dial(t, b, "10.0.201.5:7"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial with the fault: %v", err)
	}
	list, err := two.Faults(ctx)
	if err != nil || len(list) != 1 || list[0].Rule != f.Rule || list[0].Connections != 1 || list[0].Packets != 1 {
		t.Errorf("faults: %+v, %v", list, err)
	}
	if err := two.RemoveFault(ctx, 1); err != nil {
		t.Error(err)
	}
	if err := dial(t, b, "10.0.201.5:7"); err != nil {
		t.Errorf("dial without the fault: %v", err)
	}
	if err := one.RemoveFault(ctx, 1); err == nil || err.Error() != "there is no fault 1" {
		t.Errorf("the second removal: %v", err)
	}
	if _, err := two.AddFault(ctx, topology.Rule{Action: "unplug", Cable: "Data 1"}); err != nil {
		t.Error(err)
	}
	if err := one.ClearFaults(ctx); err != nil {
		t.Error(err)
	}
	if list, err := two.Faults(ctx); err != nil || len(list) != 0 {
		t.Errorf("faults at the end: %v, %v", list, err)
	}
}

func TestHealth(t *testing.T) {
	b := startBox(t, nil)
	socket, port := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	h, err := c.Health(ctx)
	if err != nil || h.Status != "up" || h.Since.IsZero() || len(h.Services) != 5 {
		t.Errorf("%+v, %v", h, err)
	}
	status, text := sendRequest(t, http.DefaultClient, "GET", "http://"+port+"/v1/health", "")
	if status != 200 || !strings.Contains(text, `"status": "up"`) || !strings.Contains(text, "\"10.0.202.7:22\"") {
		t.Errorf("while it is up: %d %s", status, text)
	}
	b.Appliance().Power(appliance.Shutdown, 0)
	<-b.Done()
	const down = "the appliance is shut down"
	if status, text := sendRequest(t, http.DefaultClient, "GET", "http://"+port+"/v1/health", ""); status != 503 || !strings.Contains(text, `"error": "`+down+`"`) {
		t.Errorf("after a shutdown: %d %s", status, text)
	}
	if h, err := c.Health(ctx); err == nil || err.Error() != down {
		t.Errorf("after a shutdown: %+v, %v", h, err)
	}
}

func TestPeers(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	if p, err := c.SetPeer(ctx, "server/echo", false); err != nil || p.Running {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := dial(t, b, "10.0.201.5:7"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial a stopped server: %v", err)
	}
	list, err := c.Peers(ctx)
	running := 0
	for _, p := range list {
		if p.Running {
			running++
		}
	}
	if err != nil || running != len(list)-1 {
		t.Errorf("%d of %d servers run, %v", running, len(list), err)
	}
	if p, err := c.SetPeer(ctx, "server/echo", true); err != nil || !p.Running {
		t.Errorf("%+v, %v", p, err)
	}
	if err := dial(t, b, "10.0.201.5:7"); err != nil {
		t.Errorf("dial a server that was started again: %v", err)
	}
	p, err := c.Peer(ctx, "workstation/sink")
	if report, ok := p.Report.(map[string]any); err != nil || p.Host != "workstation" || !ok || report["connections"] == nil {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := c.Peer(ctx, "no/body"); err == nil || !strings.Contains(err.Error(), `no server "no/body"`) {
		t.Errorf("an unknown server: %v", err)
	}
}

// Faults and stopped servers survive a reboot of the appliance. Requests during the reboot are
// answered by the new world.
func TestReboot(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	before := b.World()
	if _, err := c.AddFault(ctx, topology.Rule{Action: "refuse", Protocol: "tcp", Port: 80}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetPeer(ctx, "server/echo", false); err != nil {
		t.Fatal(err)
	}
	b.Appliance().Power(appliance.Reboot, 0)
	if _, err := c.AddFault(ctx, topology.Rule{Action: "refuse", Protocol: "tcp", Port: 443}); err != nil {
		t.Error("while it reboots:", err)
	}
	p, err := c.Peer(ctx, "server/echo")
	if err != nil || p.Running {
		t.Errorf("the stopped server: %+v, %v", p, err)
	}
	if b.World() == before {
		t.Error("a request about a server is answered by the old world")
	}
	for _, to := range []string{"216.58.194.206:80", "10.0.201.5:443", "10.0.201.5:7"} {
		if err := dial(t, b, to); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", to, err)
		}
	}
	if list, err := c.Faults(ctx); err != nil || len(list) != 2 {
		t.Errorf("faults: %v, %v", list, err)
	}
}

func TestClock(t *testing.T) {
	start := time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)
	fake := clock.NewFake(start)
	b := startBox(t, fake)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	k, err := c.Clock(ctx)
	if want := "2015-06-25T01:50:03-07:00"; err != nil || k.Time.Format(time.RFC3339) != want || k.Zone != "America/Los_Angeles" || k.Offset != 0 {
		t.Errorf("%+v, %v, want %s", k, err, want)
	}
	fired := false
	b.Appliance().Clock.AfterFunc(time.Hour, func() { fired = true })
	if k, err = c.SetClock(ctx, "2020-01-01T00:00:00Z"); err != nil || k.Time.UTC().Year() != 2020 || k.Offset <= 0 || fired {
		t.Errorf("set: %+v, %v; a timer of an hour has fired: %t", k, err, fired)
	}
	if k, err = c.AdvanceClock(ctx, 2*time.Hour); err != nil || !k.Time.Equal(time.Date(2020, 1, 1, 2, 0, 0, 0, time.UTC)) || !fired {
		t.Errorf("advanced: %+v, %v; a timer of an hour has fired: %t", k, err, fired)
	}
	if k, err = c.SetClock(ctx, "2015-06-25 08:50:03"); err != nil || k.Time.Format(time.RFC3339) != "2015-06-25T08:50:03-07:00" {
		t.Errorf("set in the appliance's zone: %+v, %v", k, err)
	}
	if k, err = c.AdvanceClock(ctx, -time.Hour); err != nil || k.Time.Format(time.RFC3339) != "2015-06-25T07:50:03-07:00" {
		t.Errorf("set back: %+v, %v", k, err)
	}
}

// The clock of a box that runs on the system's clock can be set forward.
func TestAdvanceSystemClock(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c := dialControl(t, "unix", socket)
	k, err := c.AdvanceClock(within(t), 48*time.Hour)
	if d := k.Time.Sub(clock.System().Now()); err != nil || d < 47*time.Hour || d > 49*time.Hour {
		t.Errorf("advanced by two days: %+v, %v", k, err)
	}
}

// socketClient returns a client of HTTP for a Unix socket. What it sends and receives is compared
// with the OpenAPI document.
func socketClient(t *testing.T, socket string) *http.Client {
	t.Helper()
	return &http.Client{Transport: checked(t, &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}})}
}

// sendRequest sends a request without the package's client, and returns status and body.
// header holds pairs of a name and a value.
func sendRequest(t *testing.T, client *http.Client, method, url, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestRequests(t *testing.T) {
	socket, _ := serve(t, startBox(t, nil))
	client := socketClient(t, socket)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/v1/faults", `{"action": "drop", "to": "10.0.0.1"}`, 201, `"id": 1`},
		{"GET", "/v1/faults/1", "", 200, `"to": "10.0.0.1"`},
		{"DELETE", "/v1/faults/1", "", 204, ""},
		{"DELETE", "/v1/faults/1", "", 404, "there is no fault 1"},
		{"GET", "/v1/faults/one", "", 404, `there is no fault called \"one\"`},
		{"GET", "/v1/faults", "", 200, "[]"},
		{"POST", "/v1/faults", `{"action": "burn"}`, 400, `action: \"burn\" is no action`},
		{"POST", "/v1/faults", `{"action": "drop", "color": 1}`, 400, `unknown key \"color\"`},
		{"POST", "/v1/faults", ``, 400, "expected a JSON object"},
		{"POST", "/v1/faults", `{"action": "drop"} {}`, 400, "expected one JSON object"},
		{"POST", "/v1/faults", `action=drop`, 400, "invalid character"},
		{"POST", "/v1/faults", `"` + strings.Repeat("x", 1<<20) + `"`, 400, "too large"},
		{"GET", "/v1/peers/server/echo", "", 200, `"running": true`},
		{"GET", "/v1/peers/server%2Fecho", "", 200, `"running": true`},
		{"PUT", "/v1/peers/server/echo", `{}`, 400, "expected"},
		{"PUT", "/v1/peers/server/echo", `{"walking": true}`, 400, "unknown field"},
		{"PUT", "/v1/peers/nobody", `{"running": true}`, 404, "no server"},
		{"PUT", "/v1/clock", `{}`, 400, "expected"},
		{"PUT", "/v1/clock", `{"time": "2015-06-25T08:50:03Z", "advance": "1h"}`, 400, "expected"},
		{"PUT", "/v1/clock", `{"time": "tomorrow"}`, 400, `\"tomorrow\" is not a time`},
		{"PUT", "/v1/clock", `{"advance": "an hour"}`, 400, "an hour"},
		{"PUT", "/v1/clock", `{"advance": "2562047h"}`, 400, "expected one from 1970 to 2100"},
		{"PUT", "/v1/clock", `{"time": "9999-01-01T00:00:00Z"}`, 400, "cannot be set to the year 9999"},
		{"GET", "/v1/clock", "", 200, `"zone": "America/Los_Angeles"`},
		{"PATCH", "/v1/clock", "", 405, "there is no PATCH /v1/clock: expected GET or PUT"},
		{"POST", "/v1/faults/1", "{}", 405, "expected GET, PUT, PATCH or DELETE"},
		{"GET", "/", "", 404, "there is no GET /: GET /v1 lists all requests"},
		{"GET", "/v1/version", "", 200, `"asyncos": "14.0.0-698"`},
	} {
		status, text := sendRequest(t, client, c.method, "http://esasim"+c.path, c.body)
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s %s %.40s: %d %s, want %d %s", c.method, c.path, c.body, status, text, c.status, c.want)
		}
	}
	if status, text := sendRequest(t, client, "POST", "http://esasim/v1/faults", `{"action": "drop"}`, "Content-Type", "text/plain"); status != 415 {
		t.Errorf("a body of type text/plain: %d %s", status, text)
	}
}

// On a port, requests of web pages and requests for other host names are refused.
func TestWebPagesAreRefused(t *testing.T) {
	_, port := serve(t, startBox(t, nil))
	client := &http.Client{Transport: checked(t, &http.Transport{DisableKeepAlives: true})}
	url := "http://" + port + "/v1/faults"
	for _, c := range []struct {
		method string
		status int
		header []string
	}{
		{"GET", 200, nil},
		{"GET", 200, []string{"Host", "localhost:4000"}},
		{"GET", 200, []string{"Host", "[::1]:4000"}},
		{"GET", 200, []string{"Host", "[::1]"}},
		{"GET", 403, []string{"Host", "esa.example.com"}},
		{"GET", 403, []string{"Host", "10.0.0.1:80"}},
		{"POST", 201, nil},
		{"POST", 201, []string{"Origin", "http://" + port}},
		{"POST", 403, []string{"Origin", "http://example.com"}},
		{"POST", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"POST", 415, []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"DELETE", 403, []string{"Origin", "null"}},
		{"DELETE", 204, nil},
	} {
		if status, text := sendRequest(t, client, c.method, url, `{"action": "pass"}`, c.header...); status != c.status {
			t.Errorf("%s with %q: %d %s, want %d", c.method, c.header, status, text, c.status)
		}
	}
}

func TestSockets(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "ctl.sock")
	l, err := control.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); runtime.GOOS != "windows" && (err != nil || fi.Mode().Perm() != 0o600) {
		t.Errorf("the mode of the socket is %v, %v, want 0600", fi.Mode(), err)
	}
	if _, err := control.ListenUnix(path); err == nil || !strings.Contains(err.Error(), "another process listens on "+path) {
		t.Errorf("a second listener: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	l.Close()
	if l, err = control.ListenUnix(path); err != nil {
		t.Fatal("a socket whose process has ended:", err)
	}
	l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close: %v, want no socket", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.ListenUnix(path); err == nil || !strings.Contains(err.Error(), "exists but is not a socket") {
		t.Errorf("a path of a file: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file: %q, %v", text, err)
	}
	long := filepath.Join(dir, strings.Repeat("x", 120))
	if _, err := control.ListenUnix(long); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("has %d", len(long))) {
		t.Errorf("a path that is too long: %v", err)
	}
	for _, a := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		if _, err := control.ListenTCP(netip.MustParseAddrPort(a)); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestNoServer(t *testing.T) {
	path := filepath.Join(shortDir(t), "ctl.sock")
	if _, err := control.Dial("unix", path).Faults(within(t)); !errors.Is(err, control.ErrNoAnswer) || !strings.HasPrefix(err.Error(), "no appliance answers at "+path) {
		t.Errorf("no socket: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := control.Dial("tcp", l.Addr().String()).Faults(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "the appliance at "+l.Addr().String()+" did not answer in time") {
		t.Errorf("a server that does not answer: %v", err)
	}
	other := &http.Server{Handler: http.NotFoundHandler()}
	go other.Serve(l)
	defer other.Close()
	if _, err := control.Dial("tcp", l.Addr().String()).Faults(within(t)); err == nil || !strings.Contains(err.Error(), "expected the control API of an appliance") {
		t.Errorf("another HTTP server: %v", err)
	}
}
