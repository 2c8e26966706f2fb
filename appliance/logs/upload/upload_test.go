package upload_test

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs/upload"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/esasim/esasim/appliance/refusal"
)

const (
	dir    = "data/pub/mail_logs"
	first  = "mail_logs.@20150625T085003.s"
	second = "mail_logs.@20150625T095003.s"
)

// A harness is a directory of log files, and a network with servers.
type harness struct {
	t     *testing.T
	host  *vnet.Host
	files *files.Store
	clock *clock.Fake
	state string // directory

	mu       sync.Mutex
	errors   []string // in the order of OnError
	known    []upload.HostKey
	reported chan struct{} // gets a value for each of errors
}

func newHarness(t *testing.T) *harness {
	h := &harness{
		t: t, clock: clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)),
		state: t.TempDir(), reported: make(chan struct{}, 100),
	}
	h.host = vnet.NewHost(vnet.Options{Name: "host", LoopbackIndex: 1, Rand: entropy.Seeded(1)})
	t.Cleanup(h.host.Close)
	var err error
	if h.files, err = files.Open(t.TempDir(), 0, h.clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.files.Close() })
	if err := h.files.ShowDir(dir); err != nil {
		t.Fatal(err)
	}
	return h
}

// write creates a saved log file.
func (h *harness) write(name, text string) {
	h.t.Helper()
	if err := h.files.WriteFile(path.Join(dir, name), []byte(text)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) waiting() ([]string, error) {
	names, err := h.files.Glob(dir + "/*.s")
	for i, n := range names {
		names[i] = path.Base(n)
	}
	slices.Sort(names)
	return names, err
}

func (h *harness) options() upload.Options {
	return upload.Options{
		Net: h.host, Files: h.files, Dir: dir, Clock: h.clock, Waiting: h.waiting,
		Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
			if name != "logs.example.com" {
				return nil, fmt.Errorf("no %s", name)
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
		Key: func() (crypto.Signer, error) {
			return upload.LoadOrCreateKey(filepath.Join(h.state, "key"),
				entropy.Seeded(1).Stream("key"), slog.New(slog.DiscardHandler))
		},
		HostKeys: func() []upload.HostKey {
			h.mu.Lock()
			defer h.mu.Unlock()
			return slices.Clone(h.known)
		},
		OnError: func(text string) {
			h.mu.Lock()
			h.errors = append(h.errors, text)
			h.mu.Unlock()
			h.reported <- struct{}{}
		},
		ConnectTimeout: time.Minute, IdleTimeout: time.Minute,
		Backoff: [2]time.Duration{time.Minute, 4 * time.Minute},
	}
}

func (h *harness) newUploader(s upload.Settings) *upload.Uploader {
	u := upload.New(h.options(), s)
	h.t.Cleanup(func() { u.Close(context.Background()) })
	return u
}

// serve runs a server on port 1000 until the test ends.
func serve[P peers.Peer](h *harness, kind string, options map[string]string) P {
	h.t.Helper()
	k, _ := peers.Lookup(kind)
	p := k.New(peers.Config{
		Name: kind, Transport: h.host, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Port: 1000, Options: options,
		Records: &peers.Records{}, Clock: clock.System(), Logger: slog.New(slog.DiscardHandler),
	})
	if err := p.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(p.Stop)
	return p.(P)
}

// An uploadServer is what the FTP and SCP servers of package peers have in common.
type uploadServer interface {
	Await(ctx context.Context, n int) ([]peers.Upload, error)
	AwaitRefusals(ctx context.Context, n int) error
}

// wantUploads blocks until n whole files have arrived, and returns all that have arrived.
func (h *harness) wantUploads(s uploadServer, n int) (list []string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	got, err := s.Await(ctx, n)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, u := range got {
		text := fmt.Sprintf("%s %s %s", u.User, u.Name, u.Data)
		if !u.Whole {
			text += " (a part)"
		}
		list = append(list, text)
	}
	return list
}

// waitErrors blocks until n errors were reported, and returns all of them.
func (h *harness) waitErrors(n int) []string {
	h.t.Helper()
	for {
		h.mu.Lock()
		list := slices.Clone(h.errors)
		h.mu.Unlock()
		if len(list) >= n {
			return list
		}
		select {
		case <-h.reported:
		case <-time.After(30 * time.Second):
			h.t.Fatalf("only %q was reported", list)
		}
	}
}

// waitEmpty blocks until no file waits any more.
func (h *harness) waitEmpty(u *upload.Uploader, pushed int) {
	h.t.Helper()
	h.eventually(func() bool { s := u.Stats(); return s.Waiting == 0 && s.Uploaded == pushed })
}

// eventually polls until condition holds.
func (h *harness) eventually(condition func() bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	for !condition() {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			h.t.Fatal("the condition does not hold")
		}
	}
}

func ftpTo(host string) upload.Settings {
	return upload.Settings{
		Subscription: "mail_logs", Method: upload.FTP, Host: host, Port: 1000,
		User: "esa", Password: "secret", Dir: "/logs",
	}
}

func scpTo(host string) upload.Settings {
	return upload.Settings{
		Subscription: "mail_logs", Method: upload.SCP, Host: host, Port: 1000,
		User: "esa", Dir: "/logs",
	}
}

func TestFilesArriveInOrderAndAreRemovedLocally(t *testing.T) {
	for _, test := range []struct {
		kind     string
		settings upload.Settings
		options  map[string]string
	}{
		{"ftpd", ftpTo("logs.example.com"), map[string]string{"user": "esa", "password": "secret"}},
		{"ftpd", ftpTo("127.0.0.1"), map[string]string{"epsv": "off"}},
		{"scpd", scpTo("logs.example.com"), map[string]string{"user": "esa"}},
	} {
		t.Run(fmt.Sprint(test.kind, test.options), func(t *testing.T) {
			h := newHarness(t)
			h.write(second, "two\n")
			h.write(first, "one\n")
			server := serve[peers.Peer](h, test.kind, test.options).(uploadServer)
			u := h.newUploader(test.settings)
			h.waitEmpty(u, 2)
			h.write("mail_logs.@20150625T105003.s", strings.Repeat("x", 100<<10))
			u.Wake()
			want := []string{
				"esa /logs/" + first + " one\n", "esa /logs/" + second + " two\n",
				"esa /logs/mail_logs.@20150625T105003.s " + strings.Repeat("x", 100<<10),
			}
			if d := cmp.Diff(want, h.wantUploads(server, 3)); d != "" {
				t.Error(d)
			}
			h.waitEmpty(u, 3)
		})
	}
}

func TestEmptyDirectoryOpensNoConnection(t *testing.T) {
	h := newHarness(t)
	u := h.newUploader(ftpTo("127.0.0.1")) // without a server
	u.Wake()
	u.Close(context.Background())
	if s := u.Stats(); s != (upload.Stats{}) {
		t.Errorf("%+v", s)
	}
}

// A server that is away is reported once, and tried again after growing delays.
func TestUnreachableServerIsRetriedWithBackoff(t *testing.T) {
	h := newHarness(t)
	h.write(first, "one\n")
	u := h.newUploader(ftpTo("127.0.0.1"))
	want := []string{"Log Error: Push error for subscription mail_logs: Failed to connect to 127.0.0.1: Connection refused"}
	if d := cmp.Diff(want, h.waitErrors(1)); d != "" {
		t.Error(d)
	}
	for attempts, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 4 * time.Minute} {
		h.clock.Advance(wait - time.Second)
		if s := u.Stats(); s.Failures != attempts+1 || s.Waiting != 1 {
			t.Errorf("before %v have passed: %+v", wait, s)
		}
		h.clock.Advance(time.Second)
		h.eventually(func() bool { return u.Stats().Failures == attempts+2 })
	}
	h.write(second, "two\n")
	server := serve[*peers.FTPServer](h, "ftpd", nil)
	u.Wake() // a roll-over does not wait for the delay
	if d := cmp.Diff([]string{"esa /logs/" + first + " one\n", "esa /logs/" + second + " two\n"}, h.wantUploads(server, 2)); d != "" {
		t.Error(d)
	}
	h.waitEmpty(u, 2)
	server.Stop()
	h.write("mail_logs.@20150625T105003.s", "three\n")
	u.Wake()
	if got := h.waitErrors(2); len(got) != 2 { // the second break
		t.Errorf("reported %q", got)
	}
}

// Each reason of a failure is reported once, until a file has arrived.
func TestEachReasonIsReportedOnce(t *testing.T) {
	h := newHarness(t)
	h.write(first, "one\n")
	u := h.newUploader(ftpTo("127.0.0.1"))
	failures := 0
	fail := func() {
		t.Helper()
		failures++
		h.eventually(func() bool { return u.Stats().Failures == failures })
	}
	fail() // nothing listens
	u.Wake()
	fail()
	refusing := serve[*peers.FTPServer](h, "ftpd", map[string]string{"refuse": "login"})
	for range 2 {
		u.Wake()
		fail()
	}
	refusing.Stop()
	u.Wake()
	fail() // nothing listens, again
	serve[*peers.FTPServer](h, "ftpd", nil)
	u.Wake()
	h.waitEmpty(u, 1)
	const failed = "Log Error: Push error for subscription mail_logs: "
	want := []string{
		failed + "Failed to connect to 127.0.0.1: Connection refused",
		failed + "Failed to log in to 127.0.0.1: Login incorrect",
	}
	if d := cmp.Diff(want, h.waitErrors(2)); d != "" {
		t.Error(d)
	}
}

// A file that the server refuses stays, and is sent again as a whole.
func TestRefusedFileIsSentAgain(t *testing.T) {
	for _, test := range []struct {
		kind, refuse, text string
		settings           upload.Settings
	}{
		{"ftpd", "login", "Failed to log in to 127.0.0.1: Login incorrect", ftpTo("127.0.0.1")},
		{"ftpd", "upload", "Failed to transfer " + first + " to 127.0.0.1: " + first +
			": Permission denied", ftpTo("127.0.0.1")},
		{"ftpd", "full", "Failed to transfer " + first + " to 127.0.0.1: No space left on device",
			ftpTo("127.0.0.1")},
		{"scpd", "login",
			"Failed to log in to 127.0.0.1: The server does not accept the appliance's public key for this user", scpTo("127.0.0.1")},
		{"scpd", "upload", "Failed to transfer " + first + " to 127.0.0.1: /logs/" + first +
			": Permission denied", scpTo("127.0.0.1")},
		{"scpd", "full", "Failed to transfer " + first + " to 127.0.0.1: /logs/" + first +
			": No space left on device", scpTo("127.0.0.1")},
	} {
		t.Run(test.kind+" "+test.refuse, func(t *testing.T) {
			h := newHarness(t)
			h.write(first, "one\n")
			h.write(second, "two\n")
			server := serve[peers.Peer](h, test.kind,
				map[string]string{"refuse": test.refuse, "times": "1"}).(uploadServer)
			u := h.newUploader(test.settings)
			if d := cmp.Diff([]string{"Log Error: Push error for subscription mail_logs: " + test.text}, h.waitErrors(1)); d != "" {
				t.Error(d)
			}
			if names, _ := h.waiting(); len(names) != 2 {
				t.Errorf("only %q are left", names)
			}
			h.clock.Advance(time.Minute)
			got := h.wantUploads(server, 2)
			if d := cmp.Diff([]string{"esa /logs/" + first + " one\n", "esa /logs/" + second + " two\n"}, got[len(got)-2:]); d != "" {
				t.Error(d)
			}
			h.waitEmpty(u, 2)
		})
	}
}

func TestErrorTexts(t *testing.T) {
	for _, test := range []struct {
		kind     string
		options  map[string]string
		settings upload.Settings
		want     string
	}{
		{"sink", nil, ftpTo("nowhere.example.com"),
			"Failed to connect to nowhere.example.com: The host name could not be resolved"},
		{"echo", nil, scpTo("127.0.0.1"),
			"Failed to connect to 127.0.0.1: The server does not speak SSH"},
		{"ftpd", map[string]string{"directory": "/else"}, ftpTo("127.0.0.1"),
			"Failed to change to the directory /logs of 127.0.0.1: /logs: No such directory"},
		{"scpd", map[string]string{"directory": "/else"}, scpTo("127.0.0.1"),
			"Failed to transfer " + first + " to 127.0.0.1: /logs: No such file or directory"},
	} {
		h := newHarness(t)
		h.write(first, "one\n")
		serve[peers.Peer](h, test.kind, test.options)
		h.newUploader(test.settings)
		if d := cmp.Diff([]string{"Log Error: Push error for subscription mail_logs: " + test.want}, h.waitErrors(1)); d != "" {
			t.Error(d)
		}
	}
}

func TestHostKeysAreChecked(t *testing.T) {
	other, _, err := upload.ParseKey("logs.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnI8Y1UBF1XvAiR4KyW7tgJY9aBQk5VYBYrHnmQKvS backup")
	if err != nil {
		t.Fatal(err)
	}
	h := newHarness(t)
	h.write(first, "one\n")
	server := serve[*peers.SCPServer](h, "scpd", nil)
	to := scpTo("logs.example.com")
	to.CheckHostKey = true
	u := h.newUploader(to)
	const failed = "Log Error: Push error for subscription mail_logs: Failed to connect to logs.example.com: "
	if got := h.waitErrors(1)[0]; got != failed+"The host key of the server is not known" {
		t.Errorf("reported %q", got)
	}
	know := func(keys ...upload.HostKey) {
		h.mu.Lock()
		h.known = keys
		h.mu.Unlock()
		u.Wake()
	}
	know(upload.HostKey{Host: "logs.example.com", Port: 1000, Key: other})
	h.eventually(func() bool { return u.Stats().LastError == failed+"The host key of the server is not the known one" })
	know(upload.HostKey{Host: "logs.example.com", Port: 22, Key: server.HostKey()})
	h.eventually(func() bool { return u.Stats().LastError == failed+"The host key of the server is not known" })
	know(upload.HostKey{Host: "LOGS.example.com", Port: 1000, Key: other},
		upload.HostKey{Host: "LOGS.example.com", Port: 1000, Key: server.HostKey()})
	h.wantUploads(server, 1)
	h.waitEmpty(u, 1)
}

func TestScan(t *testing.T) {
	h := newHarness(t)
	server := serve[*peers.SCPServer](h, "scpd", nil)
	scanner := upload.Scanner{
		Net: h.host, Lookup: h.options().Lookup,
		ConnectTimeout: time.Minute, IdleTimeout: time.Minute,
	}
	keys, err := scanner.Scan(t.Context(), "logs.example.com", 1000)
	if err != nil || !cmp.Equal(keys, []string{server.HostKey()}) {
		t.Errorf("%q, %v", keys, err)
	}
	for host, want := range map[string]string{"127.0.0.1": "Connection refused", "nowhere.example.com": "The host name could not be resolved"} {
		want = fmt.Sprintf("The host keys of %s:1001 cannot be scanned: %s.", host, want)
		_, err := scanner.Scan(t.Context(), host, 1001)
		if got, _ := refusal.Text(err); got != want {
			t.Errorf("%s: %v, want %s", host, err, want)
		}
	}
}

// LoadOrCreateKey returns the same key as long as its file exists, and replaces one that holds no
// key.
func TestKeyIsCreatedOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	var lines []string
	for seed := range uint64(4) {
		if seed >= 2 {
			if err := os.WriteFile(file, []byte([]string{"", "nonsense"}[seed-2]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		key, err := upload.LoadOrCreateKey(file, entropy.Seeded(seed).Stream("key"),
			slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		line, err := upload.AuthorizedKey(key, "esa")
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if lines[0] != lines[1] || !strings.HasPrefix(lines[0], "ssh-ed25519 ") ||
		!strings.HasSuffix(lines[0], " esa") {
		t.Errorf("%q", lines)
	}
	if lines[2] == lines[0] || lines[3] == lines[2] {
		t.Errorf("a damaged key was not replaced: %q", lines)
	}
}

func TestSCPLogsInWithTheAppliancesKey(t *testing.T) {
	h := newHarness(t)
	h.write(first, "one\n")
	key, err := h.options().Key()
	if err != nil {
		t.Fatal(err)
	}
	line, err := upload.AuthorizedKey(key, "esa")
	if err != nil {
		t.Fatal(err)
	}
	server := serve[*peers.SCPServer](h, "scpd", map[string]string{"key": line})
	h.newUploader(scpTo("127.0.0.1"))
	h.wantUploads(server, 1)
}

// Close does not wait for a server that accepts the connection and sends nothing.
func TestCloseDoesNotWaitForAServer(t *testing.T) {
	for _, settings := range []upload.Settings{ftpTo("127.0.0.1"), scpTo("127.0.0.1")} {
		h := newHarness(t)
		h.write(first, "one\n")
		sink := serve[*peers.Sink](h, "sink", nil)
		u := h.newUploader(settings)
		h.eventually(func() bool { return sink.Report().(peers.SinkReport).Connections == 1 })
		u.Close(context.Background())
		if names, _ := h.waiting(); len(names) != 1 {
			t.Error("the file is gone")
		}
		if got := u.Stats(); got.Failures != 0 {
			t.Errorf("it counts as a failure: %+v", got)
		}
	}
}

func TestSilentServerTimesOut(t *testing.T) {
	for _, settings := range []upload.Settings{ftpTo("127.0.0.1"), scpTo("127.0.0.1")} {
		h := newHarness(t)
		h.write(first, "one\n")
		serve[peers.Peer](h, "sink", nil)
		o := h.options()
		o.IdleTimeout = 50 * time.Millisecond
		u := upload.New(o, settings)
		want := "Log Error: Push error for subscription mail_logs: Failed to connect to 127.0.0.1: Operation timed out"
		if got := h.waitErrors(1)[0]; got != want {
			t.Errorf("reported %q", got)
		}
		u.Close(context.Background())
	}
}

func TestInvalidKeysAreNotParsed(t *testing.T) {
	for _, text := range []string{"", "ssh-ed25519", "ssh-ed25519 !!!", "hello", "ssh-rsa AAAA"} {
		if key, _, err := upload.ParseKey(text); err == nil {
			t.Errorf("%q is parsed as the key %q", text, key)
		}
	}
}
