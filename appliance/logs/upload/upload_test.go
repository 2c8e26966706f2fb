package upload_test

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"net/netip"
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
)

const (
	dir    = "data/pub/mail_logs"
	first  = "mail.@20150625T085003.s"
	second = "mail.@20150625T095003.s"
)

// A bench is a directory of log files, and a network with servers.
type bench struct {
	t     *testing.T
	host  *vnet.Host
	files *files.Store
	clock *clock.Fake
	state string // directory

	mu      sync.Mutex
	trouble []string
	known   []upload.HostKey
	told    chan struct{}
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, clock: clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)), state: t.TempDir(), told: make(chan struct{}, 100)}
	b.host = vnet.NewHost(vnet.Options{Name: "host", Loopback: 1, Rand: entropy.Seeded(1)})
	t.Cleanup(b.host.Close)
	var err error
	if b.files, err = files.Open(t.TempDir(), 0, b.clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.files.Close() })
	if err := b.files.Show(dir); err != nil {
		t.Fatal(err)
	}
	return b
}

// write makes a finished log file.
func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := b.files.WriteFile(path.Join(dir, name), []byte(text)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) waiting() ([]string, error) {
	names, err := b.files.Glob(dir + "/*.s")
	for i, n := range names {
		names[i] = path.Base(n)
	}
	slices.Sort(names)
	return names, err
}

func (b *bench) options() upload.Options {
	return upload.Options{
		Net: b.host, Files: b.files, Dir: dir, Clock: b.clock, Waiting: b.waiting,
		Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
			if name != "logs.example.com" {
				return nil, fmt.Errorf("no %s", name)
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
		Key: func() (crypto.Signer, error) {
			return upload.LoadOrCreateKey(filepath.Join(b.state, "key"), entropy.Seeded(1).Stream("key"))
		},
		HostKeys: func() []upload.HostKey {
			b.mu.Lock()
			defer b.mu.Unlock()
			return slices.Clone(b.known)
		},
		OnError: func(text string) {
			b.mu.Lock()
			b.trouble = append(b.trouble, text)
			b.mu.Unlock()
			b.told <- struct{}{}
		},
		ConnectTimeout: 20 * time.Second, IdleTimeout: 20 * time.Second,
		Backoff: [2]time.Duration{time.Minute, 4 * time.Minute},
	}
}

func (b *bench) push(s upload.Settings) *upload.Uploader {
	p := upload.New(b.options(), s)
	b.t.Cleanup(func() { p.Close(context.Background()) })
	return p
}

// serve runs a server on port 1000 until the test ends.
func serve[P peers.Peer](b *bench, kind string, options map[string]string) P {
	b.t.Helper()
	k, _ := peers.Lookup(kind)
	p := k.New(peers.Config{
		Name: kind, Transport: b.host, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Port: 1000, Options: options,
		Records: &peers.Records{}, Clock: clock.System(), Logger: slog.New(slog.DiscardHandler),
	})
	if err := p.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(p.Stop)
	return p.(P)
}

// uploads is what both servers have.
type uploads interface {
	Await(ctx context.Context, n int) ([]peers.Upload, error)
	AwaitRefusals(ctx context.Context, n int) error
}

// came waits for n whole files and lists all that came.
func (b *bench) came(s uploads, n int) (list []string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	got, err := s.Await(ctx, n)
	if err != nil {
		b.t.Fatal(err)
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

// troubles waits until n were told, and lists them.
func (b *bench) troubles(n int) []string {
	b.t.Helper()
	for {
		b.mu.Lock()
		list := slices.Clone(b.trouble)
		b.mu.Unlock()
		if len(list) >= n {
			return list
		}
		select {
		case <-b.told:
		case <-time.After(30 * time.Second):
			b.t.Fatalf("only %q was told", list)
		}
	}
}

// emptied waits until no file waits any more.
func (b *bench) emptied(p *upload.Uploader, pushed int) {
	b.t.Helper()
	b.await(func() bool { s := p.Stats(); return s.Waiting == 0 && s.Uploaded == pushed })
}

// await waits until something is so that tells nobody.
func (b *bench) await(so func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	for !so() {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			b.t.Fatal("waited in vain")
		}
	}
}

func ftpTo(host string) upload.Settings {
	return upload.Settings{Subscription: "mail_logs", Method: upload.FTP, Host: host, Port: 1000, User: "esa", Password: "secret", Dir: "/logs"}
}

func scpTo(host string) upload.Settings {
	return upload.Settings{Subscription: "mail_logs", Method: upload.SCP, Host: host, Port: 1000, User: "esa", Dir: "/logs"}
}

func TestFilesArriveInOrderAndAreRemoved(t *testing.T) {
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
			b := newBench(t)
			b.write(second, "two\n")
			b.write(first, "one\n")
			server := serve[peers.Peer](b, test.kind, test.options).(uploads)
			p := b.push(test.settings)
			b.emptied(p, 2)
			b.write("mail.@20150625T105003.s", strings.Repeat("x", 100<<10))
			p.Wake()
			want := []string{
				"esa /logs/" + first + " one\n", "esa /logs/" + second + " two\n",
				"esa /logs/mail.@20150625T105003.s " + strings.Repeat("x", 100<<10),
			}
			if d := cmp.Diff(want, b.came(server, 3)); d != "" {
				t.Error(d)
			}
			b.emptied(p, 3)
		})
	}
}

func TestAnEmptyDirectoryOpensNoConnection(t *testing.T) {
	b := newBench(t)
	p := b.push(ftpTo("127.0.0.1")) // where nobody listens
	p.Wake()
	p.Close(context.Background())
	if s := p.Stats(); s != (upload.Stats{}) {
		t.Errorf("%+v", s)
	}
}

// A server that is not there is told once, and tried again after a growing time.
func TestAServerThatIsAwayIsTriedAgain(t *testing.T) {
	b := newBench(t)
	b.write(first, "one\n")
	p := b.push(ftpTo("127.0.0.1"))
	want := []string{"Log Error: Push error for subscription mail_logs: Failed to connect to 127.0.0.1: Connection refused"}
	if d := cmp.Diff(want, b.troubles(1)); d != "" {
		t.Error(d)
	}
	for attempts, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 4 * time.Minute} {
		b.clock.Advance(wait - time.Second)
		if s := p.Stats(); s.Failures != attempts+1 || s.Waiting != 1 {
			t.Errorf("before %v have passed: %+v", wait, s)
		}
		b.clock.Advance(time.Second)
		b.await(func() bool { return p.Stats().Failures == attempts+2 })
	}
	b.write(second, "two\n")
	server := serve[*peers.FTPServer](b, "ftpd", nil)
	p.Wake() // by a roll-over, which does not wait for the time
	if d := cmp.Diff([]string{"esa /logs/" + first + " one\n", "esa /logs/" + second + " two\n"}, b.came(server, 2)); d != "" {
		t.Error(d)
	}
	b.emptied(p, 2)
	server.Stop()
	b.write("mail.@20150625T105003.s", "three\n")
	p.Wake()
	if got := b.troubles(2); len(got) != 2 { // the second break
		t.Errorf("told %q", got)
	}
}

// What a server refuses stays, and is sent again whole.
func TestWhatIsRefusedStaysUntilItIsTaken(t *testing.T) {
	for _, test := range []struct {
		kind, refuse, text string
		settings           upload.Settings
	}{
		{"ftpd", "login", "Failed to log in to 127.0.0.1: Login incorrect", ftpTo("127.0.0.1")},
		{"ftpd", "upload", "Failed to transfer " + first + " to 127.0.0.1: " + first + ": Permission denied", ftpTo("127.0.0.1")},
		{"ftpd", "full", "Failed to transfer " + first + " to 127.0.0.1: No space left on device", ftpTo("127.0.0.1")},
		{"scpd", "login", "Failed to log in to 127.0.0.1: The server does not accept the appliance's public key for this user", scpTo("127.0.0.1")},
		{"scpd", "upload", "Failed to transfer " + first + " to 127.0.0.1: /logs/" + first + ": Permission denied", scpTo("127.0.0.1")},
		{"scpd", "full", "Failed to transfer " + first + " to 127.0.0.1: /logs/" + first + ": No space left on device", scpTo("127.0.0.1")},
	} {
		t.Run(test.kind+" "+test.refuse, func(t *testing.T) {
			b := newBench(t)
			b.write(first, "one\n")
			b.write(second, "two\n")
			server := serve[peers.Peer](b, test.kind, map[string]string{"refuse": test.refuse, "times": "1"}).(uploads)
			p := b.push(test.settings)
			if d := cmp.Diff([]string{"Log Error: Push error for subscription mail_logs: " + test.text}, b.troubles(1)); d != "" {
				t.Error(d)
			}
			if names, _ := b.waiting(); len(names) != 2 {
				t.Errorf("only %q stay", names)
			}
			b.clock.Advance(time.Minute)
			got := b.came(server, 2)
			if d := cmp.Diff([]string{"esa /logs/" + first + " one\n", "esa /logs/" + second + " two\n"}, got[len(got)-2:]); d != "" {
				t.Error(d)
			}
			b.emptied(p, 2)
		})
	}
}

func TestWhyNothingIsPushed(t *testing.T) {
	for _, test := range []struct {
		kind     string
		options  map[string]string
		settings upload.Settings
		want     string
	}{
		{"sink", nil, ftpTo("nowhere.example.com"), "Failed to connect to nowhere.example.com: The host name could not be resolved"},
		{"echo", nil, scpTo("127.0.0.1"), "Failed to connect to 127.0.0.1: The server does not speak SSH"},
		{"ftpd", map[string]string{"directory": "/else"}, ftpTo("127.0.0.1"), "Failed to change to the directory /logs of 127.0.0.1: /logs: No such directory"},
		{"scpd", map[string]string{"directory": "/else"}, scpTo("127.0.0.1"), "Failed to transfer " + first + " to 127.0.0.1: /logs: No such file or directory"},
	} {
		b := newBench(t)
		b.write(first, "one\n")
		serve[peers.Peer](b, test.kind, test.options)
		b.push(test.settings)
		if d := cmp.Diff([]string{"Log Error: Push error for subscription mail_logs: " + test.want}, b.troubles(1)); d != "" {
			t.Error(d)
		}
	}
}

func TestHostKeysAreChecked(t *testing.T) {
	other, _, err := upload.ParseKey("logs.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnI8Y1UBF1XvAiR4KyW7tgJY9aBQk5VYBYrHnmQKvS backup")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.write(first, "one\n")
	server := serve[*peers.SCPServer](b, "scpd", nil)
	to := scpTo("logs.example.com")
	to.CheckHostKey = true
	p := b.push(to)
	const failed = "Log Error: Push error for subscription mail_logs: Failed to connect to logs.example.com: "
	if got := b.troubles(1)[0]; got != failed+"The host key of the server is not known" {
		t.Errorf("told %q", got)
	}
	know := func(keys ...upload.HostKey) {
		b.mu.Lock()
		b.known = keys
		b.mu.Unlock()
		p.Wake()
	}
	know(upload.HostKey{Host: "logs.example.com", Port: 1000, Key: other})
	b.await(func() bool { return p.Stats().LastError == failed+"The host key of the server is not the known one" })
	know(upload.HostKey{Host: "logs.example.com", Port: 22, Key: server.HostKey()})
	b.await(func() bool { return p.Stats().LastError == failed+"The host key of the server is not known" })
	know(upload.HostKey{Host: "LOGS.example.com", Port: 1000, Key: other}, upload.HostKey{Host: "LOGS.example.com", Port: 1000, Key: server.HostKey()})
	b.came(server, 1)
	b.emptied(p, 1)
}

func TestScanFindsAServersKeys(t *testing.T) {
	b := newBench(t)
	server := serve[*peers.SCPServer](b, "scpd", nil)
	scanner := upload.Scanner{Net: b.host, Lookup: b.options().Lookup, ConnectTimeout: 20 * time.Second, IdleTimeout: 20 * time.Second}
	keys, err := scanner.Scan(t.Context(), "logs.example.com", 1000)
	if err != nil || !cmp.Equal(keys, []string{server.HostKey()}) {
		t.Errorf("%q, %v", keys, err)
	}
	for host, want := range map[string]string{"127.0.0.1": "Connection refused", "nowhere.example.com": "The host name could not be resolved"} {
		if _, err := scanner.Scan(t.Context(), host, 1001); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", host, err, want)
		}
	}
}

// The key pair is the same as long as its file is.
func TestTheKeyIsMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	var lines []string
	for seed := range uint64(2) {
		key, err := upload.LoadOrCreateKey(file, entropy.Seeded(seed).Stream("key"))
		if err != nil {
			t.Fatal(err)
		}
		line, err := upload.AuthorizedKey(key, "esa")
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if lines[0] != lines[1] || !strings.HasPrefix(lines[0], "ssh-ed25519 ") || !strings.HasSuffix(lines[0], " esa") {
		t.Errorf("%q", lines)
	}
}

func TestAServerLogsInWhomItKnows(t *testing.T) {
	b := newBench(t)
	b.write(first, "one\n")
	key, err := b.options().Key()
	if err != nil {
		t.Fatal(err)
	}
	line, err := upload.AuthorizedKey(key, "esa")
	if err != nil {
		t.Fatal(err)
	}
	server := serve[*peers.SCPServer](b, "scpd", map[string]string{"key": line})
	b.push(scpTo("127.0.0.1"))
	b.came(server, 1)
}

// A server that accepts and says nothing holds up the end for nobody.
func TestCloseDoesNotWaitForAServer(t *testing.T) {
	for _, settings := range []upload.Settings{ftpTo("127.0.0.1"), scpTo("127.0.0.1")} {
		b := newBench(t)
		b.write(first, "one\n")
		sink := serve[*peers.Sink](b, "sink", nil)
		p := b.push(settings)
		b.await(func() bool { return sink.Report().(peers.SinkReport).Connections == 1 })
		p.Close(context.Background())
		if names, _ := b.waiting(); len(names) != 1 {
			t.Error("the file is gone")
		}
		if got := p.Stats(); got.Failures != 0 {
			t.Errorf("that is no failure: %+v", got)
		}
	}
}

func TestASilentServerIsGivenUp(t *testing.T) {
	for _, settings := range []upload.Settings{ftpTo("127.0.0.1"), scpTo("127.0.0.1")} {
		b := newBench(t)
		b.write(first, "one\n")
		serve[peers.Peer](b, "sink", nil)
		o := b.options()
		o.IdleTimeout = 50 * time.Millisecond
		p := upload.New(o, settings)
		want := "Log Error: Push error for subscription mail_logs: Failed to connect to 127.0.0.1: Operation timed out"
		if got := b.troubles(1)[0]; got != want {
			t.Errorf("told %q", got)
		}
		p.Close(context.Background())
	}
}

func TestWhatIsNoKeyIsNotTaken(t *testing.T) {
	for _, text := range []string{"", "ssh-ed25519", "ssh-ed25519 !!!", "hello", "ssh-rsa AAAA"} {
		if key, _, err := upload.ParseKey(text); err == nil {
			t.Errorf("%q is taken for the key %q", text, key)
		}
	}
}
