package web_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/browsertest"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/daemon"
)

// A client is an HTTP client that is logged in.
type client struct {
	*http.Client
	base string
}

func newClient(t *testing.T, box *appliancetest.Box) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	v := &client{&http.Client{Jar: jar, Transport: transport, Timeout: browsertest.StepTimeout},
		"https://" + box.DoorAddrs()["https"].String()}
	v.login(t)
	return v
}

func (v *client) login(t *testing.T) {
	t.Helper()
	r, err := v.PostForm(v.base+"/login", url.Values{"username": {appliancetest.User},
		"password": {appliancetest.Passphrase}})
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK || r.Request.URL.Path != "/monitor/system_status" {
		t.Fatalf("the login leads to %s: %d", r.Request.URL.Path, r.StatusCode)
	}
}

// read returns the text of a page.
func (v *client) read(path string) (string, error) {
	r, err := v.Get(v.base + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, r.Status)
	}
	return string(b), err
}

// diagnostic > services > webui > restart
func TestRestartEndsSessionsButNotCaptures(t *testing.T) {
	box := appliancetest.Start(t)
	v := newClient(t, box)
	if _, err := v.PostForm(v.base+"/help_and_support/packet_capture/start", nil); err != nil {
		t.Fatal(err)
	}
	if err := box.Appliance().Restart(t.Context(), daemon.GUI); err != nil {
		t.Fatal(err)
	}
	for _, s := range box.Appliance().Logins.Sessions() {
		if s.Service == "gui" {
			t.Errorf("a session has survived: %+v", s)
		}
	}
	if !box.Appliance().Captures.Status(capture.GUI).Running {
		t.Error("the capture has not survived")
	}
	v.CloseIdleConnections()
	v.login(t)
	if page, err := v.read("/help_and_support/packet_capture"); err != nil ||
		!strings.Contains(page, "Capture in progress") {
		t.Errorf("%v\n%s", err, page)
	}
}

func TestStopWithConnectionsThatSendNothing(t *testing.T) {
	box := appliancetest.Start(t)
	addr := box.DoorAddrs()["https"].String()
	silent, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	unused, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	v := newClient(t, box)
	if _, err := v.read("/login"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), browsertest.StepTimeout)
	defer cancel()
	if err := box.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// scannerMatch is nmap's pattern for this product.
var scannerMatch = regexp.MustCompile(
	`^HTTP/1\.0 \d\d\d .*\r\nServer: glass/([\d.]+) Python/([-\w.]+)\r\n`)

func TestScannersKnowTheProduct(t *testing.T) {
	box := appliancetest.Start(t)
	plain, err := net.Dial("tcp", box.DoorAddrs()["http"].String())
	if err != nil {
		t.Fatal(err)
	}
	secure, err := tls.Dial("tcp", box.DoorAddrs()["https"].String(),
		&tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"http": plain, "https": secure} {
		fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
		answer, err := io.ReadAll(c)
		if err != nil || !scannerMatch.Match(answer) {
			t.Errorf("%s: %v, %q", name, err, answer)
		}
		c.Close()
	}
}

func TestEveryResponseOfAConnectionHasTheServerHeader(t *testing.T) {
	box := appliancetest.Start(t)
	c := newClient(t, box)
	for _, path := range []string{"/login", "/nowhere", "/help_and_support/packet_capture",
		"/login", "/assets/x"} {
		r, err := c.Get(c.base + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if got := r.Header.Values("Server"); len(got) != 1 ||
			got[0] != "glass/1.0 Python/2.5.1-IronPort" {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestFailedHandshakesAreLogged(t *testing.T) { // logs.md 3.5
	box := appliancetest.Start(t)
	addr := box.DoorAddrs()["https"].String()
	hello := func(config *tls.Config) {
		if c, err := tls.Dial("tcp", addr, config); err == nil {
			c.Close()
		}
	}
	for text, connect := range map[string]func(){
		"(336027804, 'error:1407609C:SSL routines:SSL23_GET_CLIENT_HELLO:http request')": func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
			if answer, _ := io.ReadAll(c); len(answer) > 0 && answer[0] == 'H' {
				// Scanners would take the port for one of plain HTTP.
				t.Errorf("the answer is %q", answer)
			}
		},
		"(336027900, 'error:140760FC:SSL routines:SSL23_GET_CLIENT_HELLO:unknown protocol')": func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprint(c, "EHLO example.com\r\n")
			_, _ = io.ReadAll(c)
		},
		"(336027906, 'error:14076102:SSL routines:SSL23_GET_CLIENT_HELLO:unsupported protocol')": func() {
			hello(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10,
				MaxVersion: tls.VersionTLS11})
		},
		"(336109761, 'error:1408A0C1:SSL routines:SSL3_GET_CLIENT_HELLO:no shared cipher')": func() {
			hello(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
				CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}})
		},
		"(336151570, 'error:14094412:SSL routines:SSL3_READ_BYTES:sslv3 alert bad certificate')": func() {
			hello(&tls.Config{ServerName: "mail.example.com"})
		},
	} {
		connect()
		line := regexp.MustCompile(`Warning: SSL error with client 10\.0\.201\.4:\d+ - ` +
			regexp.QuoteMeta(text) + `\n`)
		log := ""
		for range 200 { // the client's end of the handshake may come first
			if log = box.Exec(`grep "SSL error with client" gui_logs`); line.MatchString(log) {
				break
			}
		}
		if !line.MatchString(log) {
			t.Errorf("%s is not in the log:\n%s", text, log)
		}
		if strings.Contains(log, "tls:") {
			t.Errorf("the log has a library's wording:\n%s", log)
		}
	}
	if log := box.Exec(`grep "service" gui_logs`); !strings.Contains(log,
		"Info: http service on 10.0.202.7:80 redirecting to https port 443\n") ||
		!strings.Contains(log, "Info: https service listening on 10.0.202.7:443\n") {
		t.Errorf("the log has %q", log)
	}
}

func TestTwoHundredBrowsersPoll(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	box := appliancetest.Start(t)
	all := make([]*client, 200)
	for i := range all {
		all[i] = newClient(t, box)
	}
	if _, err := all[0].PostForm(all[0].base+"/help_and_support/packet_capture/start",
		nil); err != nil {
		t.Fatal(err)
	}
	system := clock.System()
	begin := system.Mark()
	var wg sync.WaitGroup
	for _, v := range all {
		wg.Go(func() {
			for range 3 {
				if now, err := v.read("/help_and_support/packet_capture/status"); err != nil ||
					!strings.Contains(now, `"state":"running"`) {
					t.Errorf("%q, %v", now, err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("600 refreshes over TLS took %v", system.Since(begin).Round(time.Millisecond))
	if n := len(box.Appliance().Logins.Sessions()); n != len(all) {
		t.Errorf("%d logins", n)
	}
}
