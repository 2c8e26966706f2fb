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

	"github.com/esasim/esasim/shell"
)

// execute runs a command line over a connection, and returns its output and its
// exit status.
func execute(t testing.TB, c *gossh.Client, line, in string) (out, stderr string, status int) {
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
	app, _ := newBox(t)
	inline := &shell.Command{Name: "inline", Batch: true, Run: func(_ context.Context, env *shell.Env) error {
		env.Printf("%v %d\n", env.Inline, len(env.Args))
		return nil
	}}
	invalid := &shell.Command{Name: "telnet", Batch: true, Run: func(_ context.Context, env *shell.Env) error {
		return shell.InvalidArgumentf(env.Args[0], "The address must be a hostname or an IPv4/IPv6 address.")
	}}
	crash := &shell.Command{Name: "crash", Run: func(context.Context, *shell.Env) error { panic("boom") }}
	c := dial(t, start(t, app, nil, say, silent, leave, rename, inline, invalid, crash, ask, long))
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
		{"uname -a", "", "\nUnknown command or missing feature key: uname\n", 1},
		{"uname; say on; uname -r", "", "\nUnknown command or missing feature key: uname\non\n\nUnknown command or missing feature key: uname\n", 1},
		{"telnet 127.0.0.1", "", "\nInvalid arguments when processing telnet:\nThe address must be a hostname or an IPv4/IPv6 address.\n: '127.0.0.1'\n", 1},
		{`say "a\n"`, "", "Command contained invalid escape character: \\n\n", 1},
		{`say "a`, "", "Command contained invalid escape character: \"\n", 1},
		{`say "a\`, "", "Command contained invalid escape character: \\\n", 1},
		{"crash", "", "An internal error ended the command. It has been logged.\n", 1},
		{"say a; exit; say b", "", "a\n", 0},
		{"rename x.example.com; exit", "", "", 0},
		{"ask", "Bob\nsecret\n", "Name:\n[]> \nPassphrase: \n\nBob, secret\n", 0},
		{"ask", "Bob\r\nsecret", "Name:\n[]> \nPassphrase: \n\nBob, secret\n", 0},
		{"ask", "Bob\n", "Name:\n[]> \nPassphrase: \n", 1},
	} {
		out, stderr, status := execute(t, c, tc.line, tc.in)
		if out != tc.want || status != tc.status || stderr != "" {
			t.Errorf("%q: status %d, %q on stderr,\n got %q\nwant %q, status %d", tc.line, status, stderr, out, tc.want, tc.status)
		}
	}
	if out, _, _ := execute(t, c, "long", ""); strings.Contains(out, "Press") || strings.Count(out, "\n") != 30 {
		t.Errorf("without a terminal there are no pages: %q", out)
	}
	if app.Hostname() != "example.com" {
		t.Error("an uncommitted change took effect")
	}
}

func TestCommandLineWithATerminal(t *testing.T) {
	app, _ := newBox(t)
	s, err := dial(t, start(t, app, nil, long, ask)).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, Session: s}
	v.in, _ = s.StdinPipe()
	v.out, _ = s.StdoutPipe()
	if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Start("long"); err != nil {
		t.Fatal(err)
	}
	got := v.hear("-Press Any Key For More-")
	if !strings.HasPrefix(got, "line 1\r\nline 2\r\n") || strings.Count(got, "\n") != 23 {
		t.Errorf("first page: %q", got)
	}
	v.say("\n")
	if got := v.rest(); got != "\r                         \rline 24\r\nline 25\r\nline 26\r\nline 27\r\nline 28\r\nline 29\r\nline 30\r\n" {
		t.Errorf("second page: %q", got)
	}
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

func TestInterruptedCommandLine(t *testing.T) {
	app, _ := newBox(t)
	c := dial(t, start(t, app, nil, wait, say))
	for _, how := range []string{"Ctrl-C", "signal"} {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		v := &visitor{t: t, Session: s}
		v.in, _ = s.StdinPipe()
		v.out, _ = s.StdoutPipe()
		want := "--- statistics ---\n"
		if how == "Ctrl-C" {
			want = "^C\r\n--- statistics ---\r\n"
			if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Start("wait; say more"); err != nil {
			t.Fatal(err)
		}
		v.hear("stop.\n", "stop.\r\n")
		if how == "Ctrl-C" {
			v.say("\x03")
		} else if err := s.Signal(gossh.SIGINT); err != nil {
			t.Fatal(err)
		}
		if got := v.rest(); got != want {
			t.Errorf("%s: %q", how, got)
		}
		var exit *gossh.ExitError
		if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 130 {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// A script ends its session with its last line; a command that runs then goes on to
// its end.
func TestScriptedSession(t *testing.T) {
	app, _ := newBox(t)
	started, ended := make(chan bool), make(chan bool)
	slow := &shell.Command{Name: "slow", Run: func(ctx context.Context, env *shell.Env) error {
		started <- true
		<-ended
		env.Printf("%v\n", ctx.Err())
		return nil
	}}
	c := dial(t, start(t, app, nil, say, ask, slow))
	v := channelHandler(t, c, -1, 0)
	welcome := v.hear(prompt)
	if strings.Contains(welcome, "\r\n") {
		t.Errorf("line ends of a terminal without one: %q", welcome)
	}
	v.say("say a\nask\nBob\nsecret\nslow\n")
	v.in.(io.Closer).Close()
	<-started
	ended <- true
	want := "\n\na\n" + prompt + "\n\nName:\n[]> \nPassphrase: \n\nBob, secret\n" + prompt + "\n\n<nil>\n" + prompt + "\n"
	if got := v.rest(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if err := v.Wait(); err != nil {
		t.Error(err)
	}
}

func TestALongScriptIsNotLost(t *testing.T) {
	app, _ := newBox(t)
	v := channelHandler(t, dial(t, start(t, app, nil, say)), -1, 0)
	v.hear(prompt)
	const n = 20000
	go func() {
		for i := range n {
			fmt.Fprintf(v.in, "say %d\n", i)
		}
		v.in.(io.Closer).Close()
	}()
	if got := v.rest(); strings.Count(got, prompt) != n || !strings.Contains(got, fmt.Sprintf("\n%d\n", n-1)) {
		t.Errorf("%d prompts", strings.Count(got, prompt))
	}
}

func TestOutputStreams(t *testing.T) {
	app, _ := newBox(t)
	next := make(chan bool)
	stream := &shell.Command{Name: "stream", Run: func(_ context.Context, env *shell.Env) error {
		for range 3 {
			env.Printf("tick\n")
			<-next
		}
		env.Printf("%s\n", strings.Repeat("x", 1<<16))
		return nil
	}}
	c := dial(t, start(t, app, nil, stream))
	for _, columns := range []int{80, -1} {
		v := channelHandler(t, c, columns, 24)
		v.hear(prompt)
		v.say("stream\n")
		for range 3 {
			v.hear("tick\r\n", "tick\n") // seen although the command goes on
			next <- true
		}
		if got := v.hear(prompt); strings.Count(got, "x") < 1<<16 {
			t.Errorf("%d of the long line came", strings.Count(got, "x"))
		}
	}
}
