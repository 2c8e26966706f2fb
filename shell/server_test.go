package shell_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// addUser commits an account, with one key if key is not nil.
func addUser(t testing.TB, app *appliance.Appliance, name, passphrase string, role users.Role, key gossh.PublicKey) {
	t.Helper()
	hash, err := users.HashPassphrase(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	a := users.Account{Name: name, FullName: name, Role: role, Hash: hash}
	if key != nil {
		a.Keys = []string{strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key)))}
	}
	d := app.Config.NewDraft()
	if err := users.Section.Edit(d, func(v *users.Accounts) error { v.List = append(v.List, a); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
}

func newSigner(t testing.TB, seed byte) gossh.Signer {
	t.Helper()
	b := make([]byte, ed25519.SeedSize)
	b[0] = seed
	s, err := gossh.NewSignerFromKey(ed25519.NewKeyFromSeed(b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var whoami = &shell.Command{Name: "whoami", Run: func(_ context.Context, env *shell.Env) error {
	env.Printf("%s from %v as %s\n", env.Account.Name, env.ClientAddr, env.Account.Role)
	return nil
}}

// login tries to log in, and returns what whoami says.
func login(t testing.TB, s *shell.Server, user string, methods ...gossh.AuthMethod) (string, error) {
	t.Helper()
	c, err := gossh.Dial("tcp", s.Addr().String(), &gossh.ClientConfig{User: user, Auth: methods, HostKeyCallback: gossh.InsecureIgnoreHostKey()})
	if err != nil {
		return "", err
	}
	defer c.Close()
	out, _, _ := execute(t, c, "whoami", "")
	return out, nil
}

func TestMethodsOfLogin(t *testing.T) {
	app, _ := newBox(t)
	mine, other := newSigner(t, 1), newSigner(t, 2)
	addUser(t, app, "kim", "passphrase1", users.Operator, mine.PublicKey())
	s := start(t, app, nil, whoami)
	var asked []string
	answer := func(text string) gossh.AuthMethod {
		return gossh.KeyboardInteractive(func(_, _ string, questions []string, echo []bool) ([]string, error) {
			asked = append(asked, fmt.Sprint(questions, echo))
			return []string{text}, nil
		})
	}
	for _, c := range []struct {
		what, user string
		methods    []gossh.AuthMethod
		want       string
	}{
		{"password", "admin", []gossh.AuthMethod{gossh.Password("ironport")}, "admin from 127.0.0.1 as Administrator\n"},
		{"keyboard-interactive", "kim", []gossh.AuthMethod{answer("passphrase1")}, "kim from 127.0.0.1 as Operator\n"},
		{"key", "kim", []gossh.AuthMethod{gossh.PublicKeys(mine)}, "kim from 127.0.0.1 as Operator\n"},
		{"second key", "kim", []gossh.AuthMethod{gossh.PublicKeys(other, mine)}, "kim from 127.0.0.1 as Operator\n"},
		{"wrong passphrase", "admin", []gossh.AuthMethod{gossh.Password("ironpore")}, ""},
		{"wrong answer", "kim", []gossh.AuthMethod{answer("ironport")}, ""},
		{"somebody else's key", "admin", []gossh.AuthMethod{gossh.PublicKeys(mine)}, ""},
		{"unknown user", "nobody", []gossh.AuthMethod{gossh.Password("ironport")}, ""},
		{"nothing", "admin", nil, ""},
	} {
		got, err := login(t, s, c.user, c.methods...)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", c.what, got, err, c.want)
		}
	}
	if len(asked) == 0 || asked[0] != "[Password:] [false]" {
		t.Errorf("asked %q", asked)
	}
}

func TestFailuresAreSlowedLoggedAndBlocked(t *testing.T) {
	var written log
	app, fake := newBox(t, loggedTo(&written), func(o *appliance.Options) {
		o.Limits = users.Limits{MaxFailures: 3, Window: time.Hour, BlockTime: time.Hour, DelayStep: time.Second, MaxDelay: time.Minute}
	})
	s := start(t, app, nil, whoami)
	before := app.Clock.Now()
	for range 4 {
		if _, err := login(t, s, "ad\nmin", gossh.Password("x")); err == nil {
			t.Fatal("logged in")
		}
	}
	if d := app.Clock.Now().Sub(before); d != (1+2+3+4)*time.Second {
		t.Errorf("four failures were held back for %v", d)
	}
	if _, err := login(t, s, "admin", gossh.Password("ironport")); err == nil {
		t.Error("a blocked address was let in")
	}
	fake.Advance(time.Hour)
	if _, err := login(t, s, "admin", gossh.Password("ironport")); err != nil {
		t.Errorf("after the block: %v", err)
	}
	for range 4 {
		login(t, s, "admin", gossh.Password("x")) //nolint:errcheck // meant to fail
	}
	if _, err := login(t, s, "admin", gossh.Password("ironport")); err != nil {
		t.Errorf("an address that has logged in successfully is spared: %v", err)
	}
	for _, want := range []string{
		`An authentication attempt by the user ad\\nmin from 127.0.0.1 failed using an SSH connection.`,
		"The address 127.0.0.1 is blocked",
		"The user admin successfully logged on from 127.0.0.1 with privilege admin using an SSH connection.",
	} {
		if !strings.Contains(written.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, written.String())
		}
	}
}

func TestSixTriesAConnection(t *testing.T) {
	app, _ := newBox(t)
	s := start(t, app, nil)
	tries := 0
	_, err := login(t, s, "admin", gossh.RetryableAuthMethod(gossh.PasswordCallback(func() (string, error) {
		tries++
		return "wrong", nil
	}), 0))
	if err == nil || tries != 6 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestModernAlgorithmsOnly(t *testing.T) {
	app, _ := newBox(t)
	s := start(t, app, nil)
	for _, old := range []gossh.Config{
		{Ciphers: []string{gossh.InsecureCipherAES128CBC, gossh.InsecureCipherRC4}},
		{KeyExchanges: []string{gossh.InsecureKeyExchangeDH14SHA1}},
		{MACs: []string{gossh.InsecureHMACSHA196}, Ciphers: []string{gossh.CipherAES128CTR}},
	} {
		c := clientConfig("admin", "ironport")
		c.Config = old
		if c, err := gossh.Dial("tcp", s.Addr().String(), c); err == nil {
			c.Close()
			t.Errorf("%+v was agreed on", old)
		}
	}
	if a := shell.SSHAlgorithms(); a.Ciphers[0] != gossh.CipherAES128GCM || a.Ciphers[1] != gossh.CipherAES256GCM {
		t.Errorf("AES-GCM is not the first choice: %v", a.Ciphers)
	}
}

func TestNothingIsForwarded(t *testing.T) {
	app, _ := newBox(t)
	c := dial(t, start(t, app, nil))
	if conn, err := c.Dial("tcp", "127.0.0.1:22"); err == nil {
		conn.Close()
		t.Error("a TCP connection was forwarded")
	}
	if l, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
		t.Error("a port was opened for the client")
	}
	for _, kind := range []string{"direct-streamlocal@openssh.com", "x11", "auth-agent@openssh.com", "tun@openssh.com"} {
		if _, _, err := c.OpenChannel(kind, nil); err == nil {
			t.Errorf("a channel %s was opened", kind)
		}
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, kind := range []string{"auth-agent-req@openssh.com", "x11-req", "env"} {
		if ok, err := s.SendRequest(kind, true, nil); ok || err != nil {
			t.Errorf("%s: %v, %v", kind, ok, err)
		}
	}
}

func TestLimitsOfConnectionsAndSessions(t *testing.T) {
	app, _ := newBox(t)
	s := start(t, app, func(s *shell.Server) { s.Limits = shell.Limits{Connections: 2, Sessions: 3} }, say)
	c := dial(t, s)
	for range 3 {
		channelHandler(t, c, 80, 24).hear(prompt)
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("a fourth session was opened")
	}
	silent, err := net.Dial("tcp", s.Addr().String()) // says nothing and holds the second place
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := silent.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	second := dial(t, s) // who logs in is worth more than who does not
	if _, err := io.ReadAll(silent); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	if c, err := gossh.Dial("tcp", s.Addr().String(), clientConfig("admin", "ironport")); err == nil {
		c.Close()
		t.Error("a third connection was let in")
	}
	second.Close()
	second.Wait() //nolint:errcheck // closed by us
}

func TestHandshakeTimeout(t *testing.T) {
	app, _ := newBox(t)
	s := start(t, app, func(s *shell.Server) { s.Limits.HandshakeTimeout = 50 * time.Millisecond }, say)
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	// Who has logged in stays.
	v := channelHandler(t, dial(t, s), 80, 24)
	v.hear(prompt)
	silent, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.ReadAll(silent) //nolint:errcheck // ends later than v's time would have
	v.exchange("after the time of the handshake", "say x\r", "say x\r\r\n\r\nx\r\n"+prompt)
}

func TestKeepalives(t *testing.T) {
	app, _ := newBox(t)
	s := start(t, app, func(s *shell.Server) { s.Limits.KeepaliveInterval = 20 * time.Millisecond }, say)
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, channels, requests, err := gossh.NewClientConn(conn, "", clientConfig("admin", "ironport"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for n := range channels {
			n.Reject(gossh.Prohibited, "") //nolint:errcheck // a test
		}
	}()
	_, own, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go gossh.DiscardRequests(own)
	for range 3 {
		req := <-requests
		if req.Type != "keepalive@openssh.com" || !req.WantReply {
			t.Errorf("request %q", req.Type)
		}
		req.Reply(false, nil) //nolint:errcheck // a test
	}
	<-requests // not answered
	if err := c.Wait(); err == nil {
		t.Error("the connection of a client that does not answer goes on")
	}
}

func TestSubsystemsAndCommandsOfOthers(t *testing.T) {
	app, _ := newBox(t)
	addUser(t, app, "guest", "passphrase1", users.Guest, nil)
	s := start(t, app, func(s *shell.Server) {
		s.Subsystems = map[string]func(context.Context, shell.Channel){
			"echo": func(_ context.Context, ch shell.Channel) {
				fmt.Fprintf(ch.Stderr(), "%s %v\n", ch.Account().Name, ch.RemoteAddr())
				io.Copy(ch, ch) //nolint:errcheck // a test
			},
			"panic": func(context.Context, shell.Channel) { panic("boom") },
		}
		s.Exec = func(_ context.Context, line string, ch shell.Channel) bool {
			if line == "panic" {
				panic("boom")
			}
			if !strings.HasPrefix(line, "scp ") {
				return false
			}
			io.WriteString(ch, "taken\n") //nolint:errcheck // a test
			ch.Exit(3)                    //nolint:errcheck // a test
			return true
		}
	}, say)
	c := dial(t, s)
	sess, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, _ := sess.StdinPipe()
	out, _ := sess.StdoutPipe()
	stderr, _ := sess.StderrPipe()
	if err := sess.RequestSubsystem("echo"); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "hello") //nolint:errcheck // a test
	in.Close()
	said, _ := io.ReadAll(out)
	who, _ := io.ReadAll(stderr)
	if string(said) != "hello" || string(who) != "admin 127.0.0.1\n" {
		t.Errorf("echo said %q and %q", said, who)
	}
	if out, _, status := execute(t, c, "scp -t /", ""); out != "taken\n" || status != 3 {
		t.Errorf("scp: %q, %d", out, status)
	}
	if out, _, status := execute(t, c, "say x", ""); out != "x\n" || status != 0 {
		t.Errorf("a command that is not taken: %q, %d", out, status)
	}
	if _, _, status := execute(t, c, "panic", ""); status != 1 {
		t.Errorf("a panic: status %d", status)
	}
	for _, name := range []string{"panic", "nonsense"} {
		sess, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := sess.RequestSubsystem(name); (err == nil) != (name == "panic") {
			t.Errorf("%s: %v", name, err)
		}
		sess.Close()
	}

	g, err := gossh.Dial("tcp", s.Addr().String(), clientConfig("guest", "passphrase1"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if sess, err := g.NewSession(); err != nil || sess.RequestSubsystem("echo") == nil {
		t.Errorf("a guest has a subsystem: %v", err)
	}
	if out, _, status := execute(t, g, "scp -t /", ""); out != "\nUnknown command or missing feature key: scp\n" || status != 1 {
		t.Errorf("a guest's scp: %q, %d", out, status)
	}
}

func TestWindowChangesDisturbNobody(t *testing.T) {
	app, _ := newBox(t)
	c := dial(t, start(t, app, nil, say))
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 100 { // before the shell
		if err := s.WindowChange(24, 80+i); err != nil {
			t.Fatal(err)
		}
	}
	v := &visitor{t: t, Session: s}
	v.in, _ = s.StdinPipe()
	v.out, _ = s.StdoutPipe()
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	v.hear(prompt)
	for i := range 100 { // while nobody reads them
		if err := s.WindowChange(24, 80+i); err != nil {
			t.Fatal(err)
		}
	}
	v.say("say x\r")
	if got := v.hear("x\r\n" + prompt); !strings.HasSuffix(got, "say x\r\r\n\r\nx\r\n"+prompt) {
		t.Errorf("after them: %q", got)
	}
}

func TestStopTellsSessionsAndLeavesNothing(t *testing.T) {
	app, _ := newBox(t)
	var life atomic.Value
	keep := &shell.Command{Name: "keep", Run: func(_ context.Context, env *shell.Env) error {
		context.AfterFunc(env.SessionContext, func() { life.Store(context.Cause(env.SessionContext)) })
		return nil
	}}
	for range 10 {
		s := start(t, app, nil, wait, ask, keep)
		c := dial(t, s)
		const end = "\r\n\r\nThe system is rebooting.\r\n"
		at := func(keys, heard, want string) (*visitor, string) {
			v := channelHandler(t, c, 80, 24)
			v.hear(prompt)
			v.say(keys)
			v.hear(heard)
			return v, want
		}
		type told struct {
			v    *visitor
			want string
		}
		var all []told
		for _, w := range [][3]string{
			{"keep\r", prompt, end},
			{"half a li", "half a li", end},
			{"ask\r", "[]> ", end},
			{"wait\r", "stop.\r\n", "--- statistics ---\r\n\r\nThe system is rebooting.\r\n"},
		} {
			v, want := at(w[0], w[1], w[2])
			all = append(all, told{v, want})
		}
		idle := dial(t, s) // no session
		raw, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		raw.Read(make([]byte, 1)) //nolint:errcheck // the server has taken it
		ctx, cancel := context.WithTimeout(appliance.WithStopReason(t.Context(), appliance.ReasonReboot), 10*time.Second)
		if err := s.Stop(ctx); err != nil {
			t.Error("stop:", err)
		}
		cancel()
		wantNoGoroutines(t)
		for _, a := range all {
			if got := a.v.rest(); got != a.want {
				t.Errorf("the session was told %q, want %q", got, a.want)
			}
		}
		idle.Wait() //nolint:errcheck // cut
		c.Close()
		raw.Close()
		if err := s.Stop(t.Context()); err != nil {
			t.Error("second Stop:", err)
		}
		if s.Addr() != nil {
			t.Error("a stopped server has an address")
		}
	}
	if err, _ := life.Load().(error); err == nil || !strings.Contains(err.Error(), "rebooting") {
		t.Errorf("the session's life ended because of %v", err)
	}
}

// wantNoGoroutines fails if a goroutine that package shell has started, or that runs its code,
// exists. Goroutines of the SSH library end soon after their connection and do not count.
func wantNoGoroutines(t *testing.T) {
	t.Helper()
	const pkg = "github.com/esasim/esasim/shell."
	stacks := make([]byte, 1<<20)
	for range 1000 {
		all := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(all, "\n"+pkg) && !strings.Contains(all, "created by "+pkg) {
			return
		}
		runtime.Gosched() // it may be between its last statement and its end
	}
	t.Errorf("goroutines of the server after Stop:\n%s", stacks[:runtime.Stack(stacks, true)])
}

func TestStopCutsWhatDoesNotEnd(t *testing.T) {
	app, _ := newBox(t)
	release := make(chan bool)
	deaf := &shell.Command{Name: "deaf", Run: func(context.Context, *shell.Env) error { <-release; return nil }}
	s := start(t, app, nil, deaf)
	v := channelHandler(t, dial(t, s), 80, 24)
	v.hear(prompt)
	v.say("deaf\r")
	v.hear("deaf\r\r\n")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	v.rest()
	close(release)
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("a second Stop, once the command has ended: %v", err)
	}
}

func TestAServerStartsAgain(t *testing.T) {
	app, _ := newBox(t)
	s := start(t, app, nil, say)
	if err := s.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
	for range 2 {
		out, _, _ := execute(t, dial(t, s), "say x", "")
		if out != "x\n" {
			t.Errorf("%q", out)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStartThatFailsLeavesNothing(t *testing.T) {
	app, _ := newBox(t)
	s := &shell.Server{Appliance: app, HostKey: ed25519.NewKeyFromSeed(make([]byte, 32)),
		Listen: func(context.Context) (net.Listener, error) { return nil, errors.New("in use") }}
	if err := s.Start(t.Context()); err == nil || s.Addr() != nil {
		t.Error("started without a port")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
