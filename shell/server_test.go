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
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// addUser commits an account, with one key if key is not nil.
func addUser(
	t testing.TB, app *appliance.Appliance,
	name, passphrase string, role users.Role, key gossh.PublicKey,
) {
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
	add := func(v *users.Accounts) error { v.List = append(v.List, a); return nil }
	if err := users.Section.Edit(d, add); err != nil {
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

var whoamiCommand = command("whoami", func(_ context.Context, env *shell.Env) error {
	env.Printf("%s from %v as %s\n", env.Account.Name, env.ClientAddr, env.Account.Role)
	return nil
})

// login tries to log in, and returns the output of whoami.
func login(
	t testing.TB, s *shell.Server, user string, methods ...gossh.AuthMethod,
) (output string, err error) {
	t.Helper()
	config := &gossh.ClientConfig{
		User: user, Auth: methods, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	}
	c, err := gossh.Dial("tcp", s.Addr().String(), config)
	if err != nil {
		return "", err
	}
	defer c.Close()
	out, _, _ := execute(t, c, "whoami", "")
	return out, nil
}

func TestLoginMethods(t *testing.T) {
	app, _ := newAppliance(t)
	mine, other := newSigner(t, 1), newSigner(t, 2)
	addUser(t, app, "kim", "passphrase1", users.Operator, mine.PublicKey())
	s := startServer(t, app, nil, whoamiCommand)
	var asked []string
	answer := func(text string) gossh.AuthMethod {
		challenge := func(_, _ string, questions []string, echo []bool) ([]string, error) {
			asked = append(asked, fmt.Sprint(questions, echo))
			return []string{text}, nil
		}
		return gossh.KeyboardInteractive(challenge)
	}
	admin, kim := "admin from 127.0.0.1 as Administrator\n", "kim from 127.0.0.1 as Operator\n"
	for _, c := range []struct {
		what, user string
		methods    []gossh.AuthMethod
		want       string
	}{
		{"password", "admin", []gossh.AuthMethod{gossh.Password("ironport")}, admin},
		{"keyboard-interactive", "kim", []gossh.AuthMethod{answer("passphrase1")}, kim},
		{"key", "kim", []gossh.AuthMethod{gossh.PublicKeys(mine)}, kim},
		{"second key", "kim", []gossh.AuthMethod{gossh.PublicKeys(other, mine)}, kim},
		{"wrong passphrase", "admin", []gossh.AuthMethod{gossh.Password("ironpore")}, ""},
		{"wrong answer", "kim", []gossh.AuthMethod{answer("ironport")}, ""},
		{"key of another user", "admin", []gossh.AuthMethod{gossh.PublicKeys(mine)}, ""},
		{"unknown user", "nobody", []gossh.AuthMethod{gossh.Password("ironport")}, ""},
		{"no method", "admin", nil, ""},
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

func TestFailedLoginsAreDelayedLoggedAndBlocked(t *testing.T) {
	var written logBuffer
	app, fake := newAppliance(t, withLogger(&written), func(o *appliance.Options) {
		o.LoginLimits = users.Limits{
			MaxFailures: 3, Window: time.Hour, BlockTime: time.Hour,
			DelayStep: time.Second, MaxDelay: time.Minute,
		}
	})
	s := startServer(t, app, nil, whoamiCommand)
	before := app.Clock.Now()
	for range 4 {
		if _, err := login(t, s, "ad\nmin", gossh.Password("x")); err == nil {
			t.Fatal("logged in")
		}
	}
	if d := app.Clock.Now().Sub(before); d != (1+2+3+4)*time.Second {
		t.Errorf("four failures were delayed by %v", d)
	}
	if _, err := login(t, s, "admin", gossh.Password("ironport")); err == nil {
		t.Error("a blocked address was admitted")
	}
	fake.Advance(time.Hour)
	if _, err := login(t, s, "admin", gossh.Password("ironport")); err != nil {
		t.Errorf("after the block: %v", err)
	}
	for range 4 {
		login(t, s, "admin", gossh.Password("x")) //nolint:errcheck // meant to fail
	}
	if _, err := login(t, s, "admin", gossh.Password("ironport")); err != nil {
		t.Errorf("an address that has logged in before was blocked: %v", err)
	}
	for _, want := range []string{
		`An authentication attempt by the user ad\\nmin from 127.0.0.1 failed using an SSH connection.`,
		"The address 127.0.0.1 is blocked",
		"The user admin successfully logged on from 127.0.0.1 " +
			"with privilege admin using an SSH connection.",
	} {
		if !strings.Contains(written.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, written.String())
		}
	}
}

func TestSixAuthTriesPerConnection(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, nil)
	tries := 0
	wrongPassword := gossh.PasswordCallback(func() (string, error) {
		tries++
		return "wrong", nil
	})
	_, err := login(t, s, "admin", gossh.RetryableAuthMethod(wrongPassword, 0))
	if err == nil || tries != 6 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestWeakAlgorithmsAreRejected(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, nil)
	for _, old := range []gossh.Config{
		{Ciphers: []string{gossh.InsecureCipherAES128CBC, gossh.InsecureCipherRC4}},
		{KeyExchanges: []string{gossh.InsecureKeyExchangeDH14SHA1}},
		{MACs: []string{gossh.InsecureHMACSHA196}, Ciphers: []string{gossh.CipherAES128CTR}},
	} {
		c := clientConfig("admin", "ironport")
		c.Config = old
		if c, err := gossh.Dial("tcp", s.Addr().String(), c); err == nil {
			c.Close()
			t.Errorf("%+v was accepted", old)
		}
	}
	ciphers := shell.DefaultAlgorithms(app.Product.Version).Ciphers
	if ciphers[0] != gossh.CipherAES128GCM || ciphers[1] != gossh.CipherAES256GCM {
		t.Errorf("AES-GCM is not the first choice: %v", ciphers)
	}
}

func TestForwardingIsRejected(t *testing.T) {
	app, _ := newAppliance(t)
	c := dial(t, startServer(t, app, nil))
	if conn, err := c.Dial("tcp", "127.0.0.1:22"); err == nil {
		conn.Close()
		t.Error("a TCP connection was forwarded")
	}
	if l, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
		t.Error("a port was opened for the client")
	}
	for _, kind := range []string{
		"direct-streamlocal@openssh.com", "x11", "auth-agent@openssh.com", "tun@openssh.com",
	} {
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
	app, _ := newAppliance(t)
	limits := func(s *shell.Server) { s.Limits = shell.Limits{Connections: 2, Sessions: 3} }
	s := startServer(t, app, limits, sayCommand)
	c := dial(t, s)
	for range 3 {
		openShell(t, c, 80, 24).readUntil(prompt)
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("a fourth session was opened")
	}
	silent, err := net.Dial("tcp", s.Addr().String()) // sends nothing and takes the second place
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := silent.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	second := dial(t, s) // displaces the connection that has not logged in
	if _, err := io.ReadAll(silent); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	if c, err := gossh.Dial("tcp", s.Addr().String(), clientConfig("admin", "ironport")); err == nil {
		c.Close()
		t.Error("a third connection was admitted")
	}
	const line = "The limit of 2 SSH connections is reached: the oldest without a login is closed."
	log := logText(t, app, "authentication", "authentication")
	if strings.Count(log, "The limit of") != 1 || !strings.Contains(log, line) {
		t.Errorf("the log:\n%s", log)
	}
	second.Close()
	second.Wait() //nolint:errcheck // the test has closed it
}

func TestHandshakeTimeout(t *testing.T) {
	app, _ := newAppliance(t)
	clk := clock.NewFake(time.Now())
	s := startServer(t, app, func(s *shell.Server) { s.SetConnClock(clk) }, sayCommand)
	sh := openShell(t, dial(t, s), 80, 24)
	sh.readUntil(prompt)
	silent, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed := make(chan error)
	go func() {
		_, err := io.ReadAll(silent)
		closed <- err
	}()
	for advanced := false; ; advanced = true {
		select {
		case err := <-closed:
			if err != nil && !strings.Contains(err.Error(), "reset") {
				t.Error(err)
			}
			if !advanced {
				t.Error("the connection was closed before the timeout")
			}
			waitForLog(t, app, "The SSH connection from 127.0.0.1 has ended: "+
				"nobody has logged in within 2m0s")
			// The timeout does not apply after the login.
			sh.exchange("after the timeout", "say x\r", "say x\r\r\n\r\nx\r\n"+prompt)
			return
		default:
			clk.Advance(2 * time.Minute) // again, because the server may not have accepted yet
		}
	}
}

func TestKeepalives(t *testing.T) {
	app, _ := newAppliance(t)
	clk := clock.NewFake(time.Now())
	s := startServer(t, app, func(s *shell.Server) { s.SetConnClock(clk) }, sayCommand)
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, channels, requests, err := gossh.NewClientConn(conn, "", clientConfig("admin", "ironport"))
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	var silent atomic.Bool
	ignored := make(chan struct{})
	go func() {
		for req := range requests {
			if req.Type != "keepalive@openssh.com" || !req.WantReply {
				t.Errorf("request %q", req.Type)
			}
			asked.Add(1)
			if silent.Load() {
				close(ignored)
				return
			}
			req.Reply(false, nil) //nolint:errcheck // a test
		}
	}()
	noRequests := make(chan *gossh.Request)
	close(noRequests)
	sh := openShell(t, gossh.NewClient(c, channels, noRequests), 80, 24)
	sh.readUntil(prompt)
	for range 3 { // Advance returns when a request has been answered, or none has been sent
		sh.exchange("busy", "say x\r", "say x\r\r\n\r\nx\r\n"+prompt)
		clk.Advance(time.Minute)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("a busy client was asked %d times", n)
	}
	for range 3 {
		clk.Advance(time.Minute)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("a silent client was asked %d times in 3 minutes", n)
	}
	silent.Store(true)
	advanced := make(chan struct{})
	go func() {
		defer close(advanced)
		clk.Advance(time.Minute) // returns at the end of the connection
	}()
	<-ignored
	clk.Advance(time.Minute)
	c.Wait() //nolint:errcheck // returns when the server has closed the connection
	<-advanced
	waitForLog(t, app, "The SSH connection of user admin from 127.0.0.1 has ended: "+
		"the client has not answered for 1m0s")
}

func TestSubsystemsAndExec(t *testing.T) {
	app, _ := newAppliance(t)
	addUser(t, app, "guest", "passphrase1", users.Guest, nil)
	s := startServer(t, app, func(s *shell.Server) {
		s.Subsystems = map[string]func(context.Context, shell.Channel){
			"echo": func(_ context.Context, ch shell.Channel) {
				fmt.Fprintf(ch.Stderr(), "%s %v\n", ch.Account().Name, ch.RemoteAddr())
				io.Copy(ch, ch) //nolint:errcheck // a test
			},
			"panic": func(context.Context, shell.Channel) { panic("boom") },
		}
		s.Exec = func(line string) func(context.Context, shell.Channel) {
			if line == "panic" {
				panic("boom")
			}
			if !strings.HasPrefix(line, "scp ") {
				return nil
			}
			return func(_ context.Context, ch shell.Channel) {
				io.WriteString(ch, "exec\n") //nolint:errcheck // a test
				ch.Exit(3)                   //nolint:errcheck // a test
			}
		}
	}, sayCommand)
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
	gotOut, _ := io.ReadAll(out)
	gotErr, _ := io.ReadAll(stderr)
	if string(gotOut) != "hello" || string(gotErr) != "admin 127.0.0.1\n" {
		t.Errorf("echo: stdout %q, stderr %q", gotOut, gotErr)
	}
	if out, _, status := execute(t, c, "scp -t /", ""); out != "exec\n" || status != 3 {
		t.Errorf("scp: %q, %d", out, status)
	}
	if out, _, status := execute(t, c, "say x", ""); out != "x\n" || status != 0 {
		t.Errorf("a line that Exec does not serve: %q, %d", out, status)
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
		t.Errorf("a guest may start a subsystem: %v", err)
	}
	output, _, status := execute(t, g, "scp -t /", "")
	if output != "\nUnknown command or missing feature key: scp\n" || status != 1 {
		t.Errorf("a guest's scp: %q, %d", output, status)
	}
}

func TestManyWindowChanges(t *testing.T) {
	app, _ := newAppliance(t)
	sh := newShellClient(t, dial(t, startServer(t, app, nil, sayCommand)))
	if err := sh.RequestPty("vt100", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	changeWindow := func() {
		for i := range 100 {
			if err := sh.WindowChange(24, 80+i); err != nil {
				t.Fatal(err)
			}
		}
	}
	changeWindow() // before the shell is started
	if err := sh.Shell(); err != nil {
		t.Fatal(err)
	}
	sh.readUntil(prompt)
	changeWindow() // while the session waits for input
	sh.typeKeys("say x\r")
	got := sh.readUntil("x\r\n" + prompt)
	if !strings.HasSuffix(got, "say x\r\r\n\r\nx\r\n"+prompt) {
		t.Errorf("after the changes: %q", got)
	}
}

func TestStopTellsSessionsAndLeavesNoGoroutine(t *testing.T) {
	app, _ := newAppliance(t)
	var sessionCause atomic.Value
	keep := command("keep", func(_ context.Context, env *shell.Env) error {
		ctx := env.SessionContext
		context.AfterFunc(ctx, func() { sessionCause.Store(context.Cause(ctx)) })
		return nil
	})
	for range 10 {
		s := startServer(t, app, nil, waitCommand, askCommand, keep)
		c := dial(t, s)
		const end = "\r\n\r\nThe system is rebooting.\r\n"
		states := []struct {
			keys, output string // what the user types, and what is shown then
			want         string // what is shown when the server stops
			sh           *shellClient
		}{
			{keys: "keep\r", output: prompt, want: end},
			{keys: "half a li", output: "half a li", want: end},
			{keys: "ask\r", output: "[]> ", want: end},
			{keys: "wait\r", output: "stop.\r\n", want: "--- statistics ---\r\n\r\nThe system is rebooting.\r\n"},
		}
		for i, state := range states {
			sh := openShell(t, c, 80, 24)
			sh.readUntil(prompt)
			sh.typeKeys(state.keys)
			sh.readUntil(state.output)
			states[i].sh = sh
		}
		idle := dial(t, s) // a connection without a session
		raw, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		raw.Read(make([]byte, 1)) //nolint:errcheck // waits until the server has accepted it
		ctx := appliance.WithStopReason(t.Context(), appliance.ReasonReboot)
		ctx, cancel := context.WithTimeout(ctx, maxWait)
		if err := s.Stop(ctx); err != nil {
			t.Error("stop:", err)
		}
		cancel()
		wantNoGoroutines(t)
		for _, state := range states {
			if got := state.sh.readAll(); got != state.want {
				t.Errorf("after %q: %q, want %q", state.keys, got, state.want)
			}
		}
		idle.Wait() //nolint:errcheck // the server has closed it
		c.Close()
		raw.Close()
		if err := s.Stop(t.Context()); err != nil {
			t.Error("second Stop:", err)
		}
		if s.Addr() != nil {
			t.Error("a stopped server has an address")
		}
	}
	cause, _ := sessionCause.Load().(error)
	if cause == nil || !strings.Contains(cause.Error(), "rebooting") {
		t.Errorf("the cause of the session's context is %v", cause)
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
		runtime.Gosched() // a goroutine may be about to exit
	}
	t.Errorf("goroutines of the server after Stop:\n%s", stacks[:runtime.Stack(stacks, true)])
}

func TestStopClosesConnectionsWhenItsContextEnds(t *testing.T) {
	app, _ := newAppliance(t)
	release := make(chan bool)
	block := command("block", func(context.Context, *shell.Env) error {
		<-release // ignores its context
		return nil
	})
	s := startServer(t, app, nil, block)
	sh := openShell(t, dial(t, s), 80, 24)
	sh.readUntil(prompt)
	sh.typeKeys("block\r")
	sh.readUntil("block\r\r\n")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	sh.readAll()
	close(release)
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("second Stop, after the command has ended: %v", err)
	}
}

func TestServerRestarts(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, nil, sayCommand)
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

func TestStopAfterFailedStart(t *testing.T) {
	app, _ := newAppliance(t)
	s := &shell.Server{Appliance: app, HostKey: ed25519.NewKeyFromSeed(make([]byte, 32)),
		Listen: func(context.Context) (net.Listener, error) { return nil, errors.New("in use") }}
	if err := s.Start(t.Context()); err == nil || s.Addr() != nil {
		t.Error("started without a port")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
