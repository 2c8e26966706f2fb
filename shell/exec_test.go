package shell_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// execute runs a command line without a terminal, with the given input.
func execute(t testing.TB, c *gossh.Client, line, in string) (stdout, stderr string, status int) {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var o, e bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader(in), &o, &e
	err = s.Run(line)
	var exit *gossh.ExitError
	if errors.As(err, &exit) {
		return o.String(), e.String(), exit.ExitStatus()
	}
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return o.String(), e.String(), 0
}

func TestCommandLinesOverSSH(t *testing.T) {
	app, _ := newAppliance(t)
	inline := inlineCommand("inline", func(_ context.Context, env *shell.Env) error {
		env.Printf("%v %d\n", env.Inline, len(env.Args))
		return nil
	})
	invalid := inlineCommand("telnet", func(_ context.Context, env *shell.Env) error {
		return shell.InvalidArgumentf(env.Args[0],
			"The address must be a hostname or an IPv4/IPv6 address.")
	})
	crash := command("crash", func(context.Context, *shell.Env) error { panic("boom") })
	c := dial(t, startServer(t, app, nil, sayCommand, silentCommand, exitCommand, renameCommand,
		inline, invalid, crash, askCommand, longCommand))
	const (
		unknown   = "\nUnknown command or missing feature key: uname\n"
		badEscape = "Command contained invalid escape character: "
		internal  = "An internal error ended the command. It has been logged.\n"
		dialogue  = "Name:\n[]> \nPassphrase: \n"
	)
	for _, tc := range []struct {
		line, in, want string
		status         int
	}{
		{"say hello", "", "hello\n", 0},
		{`say "two words";say "a;b";`, "", "two words\na;b\n", 0},
		{"say one\nsay two", "", "one\ntwo\n", 0},
		{"silent", "", "", 0},
		{" ; ;", "", "", 0},
		{"inline", "", "true 0\n", 0},
		{"uname -a", "", unknown, 1},
		{"trace status", "", "\nThe command trace exists in AsyncOS, but it is not simulated here. " +
			"Type help for a list of the commands that are.\n", 1},
		{"clustermode cluster", "",
			"\nUnknown command or missing feature key: clustermode\n", 1}, // which needs a key
		{"uname; say on; uname -r", "", unknown + "on\n" + unknown, 1},
		{"telnet 127.0.0.1", "", "\nInvalid arguments when processing telnet:\n" +
			"The address must be a hostname or an IPv4/IPv6 address.\n: '127.0.0.1'\n", 1},
		{`say "a\n"`, "", badEscape + "\\n\n", 1},
		{`say "a`, "", badEscape + "\"\n", 1},
		{`say "a\`, "", badEscape + "\\\n", 1},
		{"crash", "", internal, 1},
		{"say a; exit; say b", "", "a\n", 0},
		{"rename x.example.com; exit", "", "", 0},
		{"ask", "Bob\nsecret\n", dialogue + "\nBob, secret\n", 0},
		{"ask", "Bob\r\nsecret", dialogue + "\nBob, secret\n", 0},
		{"ask", "Bob\n", dialogue, 1},
	} {
		out, stderr, status := execute(t, c, tc.line, tc.in)
		if out != tc.want || status != tc.status || stderr != "" {
			t.Errorf("%q: status %d, %q on stderr,\n got %q\nwant %q, status %d",
				tc.line, status, stderr, out, tc.want, tc.status)
		}
	}
	out, _, _ := execute(t, c, "long", "")
	if strings.Contains(out, "Press") || strings.Count(out, "\n") != 30 {
		t.Errorf("output without a terminal is divided into pages: %q", out)
	}
	if app.Hostname() != "example.com" {
		t.Error("an uncommitted change took effect")
	}
}

// A program that writes commands to a shell without a terminal learns from the exit status whether
// all of them could be done.
func TestExitStatusOfPipedCommands(t *testing.T) {
	app, _ := newAppliance(t)
	refuse := command("refuse", func(context.Context, *shell.Env) error {
		return refusal.New("No.")
	})
	c := dial(t, startServer(t, app, nil, sayCommand, exitCommand, askCommand, refuse))
	for _, tc := range []struct {
		in     string
		status int
	}{
		{"", 0},
		{"say hello\n", 0},
		{"say hello\nexit\n", 0},
		{"ask\nBob\nsecret\n", 0},
		{"ask\nBob\n", 1}, // the input ends in a question
		{"ask\n", 1},
		{"uname -a\n", 1},
		{"uname -a\nsay hello\nexit\n", 1},
		{"refuse\n", 1},
		{"say \"a\n", 1},
	} {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		s.Stdin = strings.NewReader(tc.in)
		if err := s.Shell(); err != nil {
			t.Fatal(err)
		}
		var exit *gossh.ExitError
		status := 0
		if err := s.Wait(); errors.As(err, &exit) {
			status = exit.ExitStatus()
		} else if err != nil {
			t.Fatal(err)
		}
		if status != tc.status {
			t.Errorf("%q: status %d, want %d", tc.in, status, tc.status)
		}
		s.Close()
	}
}

func TestCommandLineWithTerminal(t *testing.T) {
	app, _ := newAppliance(t)
	sh := newShellClient(t, dial(t, startServer(t, app, nil, longCommand, askCommand)))
	if err := sh.RequestPty("vt100", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if err := sh.Start("long"); err != nil {
		t.Fatal(err)
	}
	got := sh.readUntil("-Press Any Key For More-")
	if !strings.HasPrefix(got, "line 1\r\nline 2\r\n") || strings.Count(got, "\n") != 23 {
		t.Errorf("first page: %q", got)
	}
	sh.typeKeys("\n")
	const secondPage = "\r                         \r" + "line 24\r\nline 25\r\nline 26\r\n" +
		"line 27\r\nline 28\r\nline 29\r\nline 30\r\n"
	if got := sh.readAll(); got != secondPage {
		t.Errorf("second page: %q", got)
	}
	if err := sh.Wait(); err != nil {
		t.Error(err)
	}
}

func TestInterruptedCommandLine(t *testing.T) {
	app, _ := newAppliance(t)
	c := dial(t, startServer(t, app, nil, waitCommand, sayCommand))
	for _, how := range []string{"Ctrl-C", "signal"} {
		sh := newShellClient(t, c)
		want := "--- statistics ---\n"
		if how == "Ctrl-C" {
			want = "^C\r\n--- statistics ---\r\n"
			if err := sh.RequestPty("vt100", 24, 80, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := sh.Start("wait; say more"); err != nil {
			t.Fatal(err)
		}
		sh.readUntil("stop.\n", "stop.\r\n")
		if how == "Ctrl-C" {
			sh.typeKeys("\x03")
		} else if err := sh.Signal(gossh.SIGINT); err != nil {
			t.Fatal(err)
		}
		if got := sh.readAll(); got != want {
			t.Errorf("%s: %q", how, got)
		}
		var exit *gossh.ExitError
		if err := sh.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 130 {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// A script that has ended does not interrupt the command of its last line.
func TestScriptedSession(t *testing.T) {
	app, _ := newAppliance(t)
	started, ended := make(chan bool), make(chan bool)
	slow := command("slow", func(ctx context.Context, env *shell.Env) error {
		started <- true
		<-ended
		env.Printf("%v\n", ctx.Err())
		return nil
	})
	c := dial(t, startServer(t, app, nil, sayCommand, askCommand, slow))
	sh := openShell(t, c, -1, 0)
	welcome := sh.readUntil(prompt)
	if strings.Contains(welcome, "\r\n") {
		t.Errorf("carriage returns without a terminal: %q", welcome)
	}
	sh.typeKeys("say a\nask\nBob\nsecret\nslow\n")
	sh.in.(io.Closer).Close()
	<-started
	ended <- true
	want := "\n\na\n" + prompt + "\n\nName:\n[]> \nPassphrase: \n\nBob, secret\n" +
		prompt + "\n\n<nil>\n" + prompt + "\n"
	if got := sh.readAll(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if err := sh.Wait(); err != nil {
		t.Error(err)
	}
}

func TestLongScriptIsReadCompletely(t *testing.T) {
	app, _ := newAppliance(t)
	sh := openShell(t, dial(t, startServer(t, app, nil, sayCommand)), -1, 0)
	sh.readUntil(prompt)
	const n = 20000
	go func() {
		for i := range n {
			fmt.Fprintf(sh.in, "say %d\n", i)
		}
		sh.in.(io.Closer).Close()
	}()
	got, last := sh.readAll(), fmt.Sprintf("\n%d\n", n-1)
	if strings.Count(got, prompt) != n || !strings.Contains(got, last) {
		t.Errorf("%d prompts", strings.Count(got, prompt))
	}
}

func TestOutputIsSentWhileCommandRuns(t *testing.T) {
	app, _ := newAppliance(t)
	next := make(chan bool)
	stream := command("stream", func(_ context.Context, env *shell.Env) error {
		for range 3 {
			env.Printf("tick\n")
			<-next
		}
		env.Printf("%s\n", strings.Repeat("x", 1<<16))
		return nil
	})
	c := dial(t, startServer(t, app, nil, stream))
	for _, columns := range []int{80, -1} {
		sh := openShell(t, c, columns, 24)
		sh.readUntil(prompt)
		sh.typeKeys("stream\n")
		for range 3 {
			sh.readUntil("tick\r\n", "tick\n") // arrives while the command is running
			next <- true
		}
		if got := sh.readUntil(prompt); strings.Count(got, "x") < 1<<16 {
			t.Errorf("%d bytes of the long line arrived", strings.Count(got, "x"))
		}
	}
}
