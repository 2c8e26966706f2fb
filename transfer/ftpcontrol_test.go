package transfer_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/transfer"
)

func TestFTPIdleTimeout(t *testing.T) {
	clk := clock.NewFake(time.Date(2015, 6, 25, 0, 0, 0, 0, time.UTC))
	s := newStore(t, 0)
	addBigFile(t, s)
	f := startFTP(t, s, func(o *transfer.FTPOptions) { o.Clock = clk })
	c := connectAndLogin(t, f)
	conn := c.passive()
	c.command("RETR captures/big.cap", "150")
	clk.Advance(10 * time.Minute) // has no effect during a transfer
	if n, err := io.Copy(io.Discard, conn); n != 32<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	c.expect("226")
	c.command("NOOP", "200")
	advanceUntilReply(t, clk, c, "421 Timeout (300 seconds): closing control connection.")
}

// advanceUntilReply advances the clock until the reply want arrives. Once is not enough, because
// the session may not have set its idle timer yet.
func advanceUntilReply(t *testing.T, clk *clock.Fake, c *controlConn, want string) {
	t.Helper()
	got := make(chan string)
	go func() { got <- c.reply() }()
	for {
		select {
		case reply := <-got:
			if reply != want {
				t.Errorf("got %q", reply)
			}
			return
		default:
			clk.Advance(time.Minute)
		}
	}
}

// refusal connects from an address and returns what the server sends until it closes the
// connection.
func refusal(t *testing.T, f *ftpServer, from string) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", f.addr)
	if err != nil {
		t.Skip("this system has one loopback address only:", err)
	}
	defer conn.Close()
	b, _ := io.ReadAll(conn)
	return string(b)
}

// Sessions that have logged in are never displaced.
func TestFTPLimitsOfSessions(t *testing.T) {
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) {
		o.MaxSessions, o.MaxPerAddr = 3, 2
	})
	first := connectAndLogin(t, f)
	connectAndLogin(t, f)
	const ofAddr = "421 Too many connections from your address.\r\n"
	for range 3 {
		if got := refusal(t, f, "127.0.0.1"); got != ofAddr {
			t.Errorf("a third connection from one address: %q", got)
		}
	}
	second := connect(t, f, "127.0.0.2")
	second.command("USER admin", "331")
	second.command("PASS ironport", "230")
	if got := refusal(t, f, "127.0.0.3"); got != "421 Too many connections, try again later.\r\n" {
		t.Errorf("a fourth connection: %q", got)
	}
	const line = "The limit of 2 connections from 127.0.0.1 is reached: new ones are refused"
	if got := f.logged("The limit of"); len(got) != 1 || got[0] != line {
		t.Errorf("logged: %q", got)
	}
	if _, err := first.conn.Write([]byte("NOOP" + strings.Repeat("x", 5000))); err != nil {
		t.Fatal(err)
	}
	first.expect("421 Command line too long.")
}

// Connections that do not log in give way to new ones, the oldest first.
func TestFTPSilentConnectionsAreDisplaced(t *testing.T) {
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) {
		o.MaxSessions, o.MaxPerAddr = 4, 3
	})
	const displaced = "421 Too many connections: closing the oldest one without a login."
	user := connectAndLogin(t, f)
	silent := []*controlConn{connect(t, f, "127.0.0.1"), connect(t, f, "127.0.0.1")}
	for range 20 {
		silent = append(silent, connect(t, f, "127.0.0.1"))
		silent[0].expect(displaced)
		silent = silent[1:]
	}
	other := connect(t, f, "127.0.0.2") // the fourth
	silent = append(silent, connect(t, f, "127.0.0.3"))
	silent[0].expect(displaced)
	other.command("USER admin", "331")
	other.command("PASS ironport", "230")
	user.command("NOOP", "200")
	const line = "The limit of 3 connections from 127.0.0.1 is reached: " +
		"the oldest without a login is closed"
	if got := f.logged("The limit of"); len(got) != 1 || got[0] != line {
		t.Errorf("logged: %q", got)
	}
}

func TestFTPLoginTimeout(t *testing.T) {
	clk := clock.NewFake(time.Date(2015, 6, 25, 0, 0, 0, 0, time.UTC))
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) {
		o.Clock, o.IdleTimeout = clk, 200*365*24*time.Hour
	})
	user := connectAndLogin(t, f)
	silent := connect(t, f, "127.0.0.1")
	silent.command("USER admin", "331")
	const text = "Login timeout (60 seconds): closing control connection."
	advanceUntilReply(t, clk, silent, "421 "+text)
	user.command("NOOP", "200")
	if got := f.logged("No login within 60 seconds"); len(got) != 1 {
		t.Errorf("logged: %q", got)
	}
}

func TestFTPBanner(t *testing.T) {
	greeting := func(banner string) string {
		t.Helper()
		f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) {
			o.Banner = func() string { return banner }
		})
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "QUIT\r\n"); err != nil {
			t.Fatal(err)
		}
		output, _ := io.ReadAll(conn)
		before, _, _ := strings.Cut(string(output), "221 ")
		return before
	}
	plain := greeting("")
	if !strings.HasPrefix(plain, "220 ") || strings.Count(plain, "\n") != 1 {
		t.Errorf("without a banner: %q", plain)
	}
	got := greeting("Authorized users only.\n530 looks like a reply.")
	if want := "220-Authorized users only.\r\n220-530 looks like a reply.\r\n" + plain; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFTPRefusesAddress(t *testing.T) {
	logged := make(chan string, 1)
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) {
		o.Admit = func(addr netip.Addr) bool { return addr != netip.MustParseAddr("127.0.0.1") }
		o.Log = func(text string) { logged <- text }
	})
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if b, _ := io.ReadAll(conn); string(b) != "421 Access is not permitted from your address.\r\n" {
		t.Errorf("%q", b)
	}
	const want = "Connection from 127.0.0.1 refused: access is not permitted from this address"
	if got := <-logged; got != want {
		t.Errorf("logged %q", got)
	}
}

// countingGuard counts results and blocks after the second failure.
type countingGuard struct {
	mu                sync.Mutex
	failed, succeeded int
}

func (g *countingGuard) Admit(netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed < 2
}

func (g *countingGuard) Failed(netip.Addr) (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed++
	return time.Second, g.failed == 2
}

func (g *countingGuard) Begin(_ context.Context, addr netip.Addr) bool { return g.Admit(addr) }

func (g *countingGuard) End(netip.Addr) {}

func (g *countingGuard) Succeeded(netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.succeeded++
}

func TestFTPFailedLogins(t *testing.T) {
	clk := clock.NewFake(time.Date(2015, 6, 25, 0, 0, 0, 0, time.UTC))
	g := &countingGuard{}
	f := startFTP(t, newStore(t, 0), func(o *transfer.FTPOptions) { o.Guard, o.Clock = g, clk })
	c := connectAndLogin(t, f)
	c.command("RETR /captures/a.cap", "425")
	c.command("QUIT", "221")
	c = connect(t, f, "127.0.0.1")
	before := clk.Now()
	c.command("USER admin", "331")
	c.command("PASS wrong", "530")
	c.command("PASS wrong", "503")
	c.command("USER admin", "331")
	c.command("PASS ", "530")
	c.expect("421 Too many failed logins.") // the guard has blocked the address
	if passed := clk.Now().Sub(before); passed != 2*time.Second || g.succeeded != 1 {
		t.Errorf("answers were delayed by %v, %d logins succeeded", passed, g.succeeded)
	}
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if b, _ := io.ReadAll(conn); !strings.HasPrefix(string(b), "421 ") {
		t.Errorf("a blocked address received %q", b)
	}
}

func TestFTPLimitsFailedLoginsOfSession(t *testing.T) {
	c := connect(t, startFTP(t, newStore(t, 0), nil), "127.0.0.1")
	for range 3 {
		c.command("USER admin", "331")
		c.command("PASS wrong", "530")
	}
	c.expect("421 Too many failed logins.")
}

func TestFTPLog(t *testing.T) {
	f := startFTP(t, newStore(t, 0), nil)
	c := connectAndLogin(t, f)
	c.fetch("RETR captures/a.cap")
	c.store("STOR configuration/up", "12345", "226")
	c.command("DELE configuration/up", "250")
	c.command("QUIT", "221")
	if err := f.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ID:1 Connection from 127.0.0.1 on 127.0.0.1",
		"ID:1 User admin login SUCCESS",
		"ID:1 Download captures/a.cap 9 bytes",
		"ID:1 Upload configuration/up 5 bytes",
		"ID:1 Delete configuration/up",
		"ID:1 User admin logout",
	}
	if diff := cmp.Diff(want, f.log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestFTPStop(t *testing.T) {
	s := newStore(t, 0)
	addBigFile(t, s)
	f := startFTP(t, s, func(o *transfer.FTPOptions) {
		o.StopReason = func(context.Context) string { return "The system is going down." }
	})
	idle, busy := connectAndLogin(t, f), connectAndLogin(t, f)
	conn := busy.passive()
	busy.command("RETR captures/big.cap", "150")
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	idle.expect("421 The system is going down.")
	busy.expect("426")
	busy.expect("421 The system is going down.")
	if _, err := net.Dial("tcp", f.addr); err == nil {
		t.Error("the port is still open")
	}
	if err := f.Stop(context.Background()); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestFTPStopWithoutStart(t *testing.T) {
	if err := transfer.NewFTPServer(transfer.FTPOptions{}).Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// Commands that arrive while another one runs are executed in order.
func TestFTPPipelinedCommands(t *testing.T) {
	c := connectAndLogin(t, startFTP(t, newStore(t, 0), nil))
	if _, err := io.WriteString(c.conn, strings.Repeat("NOOP\r\n", 20_000)+"PWD\r\n"); err != nil {
		t.Fatal(err)
	}
	for range 20_000 {
		c.expect("200")
	}
	c.expect("257")
}

func TestFTPStopLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	s := newStore(t, 0)
	for range 20 {
		f := startFTP(t, s, nil)
		for range 3 {
			c := connectAndLogin(t, f)
			c.command("PASV", "227")
		}
		if err := f.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	// A goroutine that Stop has waited for may have a few instructions left.
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}
