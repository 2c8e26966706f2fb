package commands_test

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/clock"
)

// These tests do what published automation programs do with an appliance. Each program has its
// own terminal, its own pattern for the prompt, and its own way to answer the pager.

func logIn(t *testing.T, addr string) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{User: "admin", Auth: []ssh.AuthMethod{ssh.Password("ironport")}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// An automationClient is a program that uses a terminal.
type automationClient struct {
	t    *testing.T
	s    *ssh.Session
	in   io.Writer
	out  io.Reader
	seen string // output since the last send
}

func newAutomationClient(t *testing.T, c *ssh.Client, columns, rows int) *automationClient {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r := &automationClient{t: t, s: s}
	r.in, _ = s.StdinPipe()
	r.out, _ = s.StdoutPipe()
	if err := s.RequestPty("vt100", rows, columns, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *automationClient) shell() *automationClient {
	r.t.Helper()
	if err := r.s.Shell(); err != nil {
		r.t.Fatal(err)
	}
	return r
}

func (r *automationClient) send(text string) {
	r.seen = ""
	io.WriteString(r.in, text) //nolint:errcheck // until notices missing output
}

// until reads until the output since the last send matches one of the expressions, and returns
// its index.
func (r *automationClient) until(expressions ...string) int {
	r.t.Helper()
	stop := clock.System().AfterFunc(replyTimeout, func() { r.s.Close() })
	defer stop()
	b := make([]byte, 4096)
	for {
		for i, e := range expressions {
			if regexp.MustCompile(e).MatchString(r.seen) {
				return i
			}
		}
		n, err := r.out.Read(b)
		r.seen += string(b[:n])
		if err != nil {
			r.t.Fatalf("%v, waiting for %q, after\n%q", err, expressions, r.seen)
		}
	}
}

// page reads to the prompt, sends key at the end of each page, and returns the output.
func (r *automationClient) page(prompt, key string) (text string) {
	r.t.Helper()
	for r.until(`-Press Any Key For More-$`, prompt) == 0 {
		text += r.seen
		r.send(key)
	}
	return text + r.seen
}

func TestOxidized(t *testing.T) {
	const prompt = `(?m)^\r*\(?[\w.\- ]+\)?[#>]\s+\z`
	r := newAutomationClient(t, logIn(t, appliancetest.Start(t).SSHAddr), 80, 24).shell()
	r.until(prompt)
	r.send("version\n")
	r.until(prompt)
	if !strings.Contains(r.seen, "Model: C100V\r\n") {
		t.Errorf("version: %q", r.seen)
	}
	r.send("showconfig\n")
	r.until(`\[.*\]>\s\z`)
	r.send("1\n")
	config := r.page(prompt, " ")
	config = regexp.MustCompile(`-Press Any Key For More-\r {25}\r`).ReplaceAllString(config, "")
	if !strings.Contains(config, "</config>\r\n") || strings.Contains(config, "Press") {
		t.Errorf("showconfig: %q", config)
	}
	r.send("exit\n")
	if _, err := io.Copy(io.Discard, r.out); err != nil {
		t.Error(err)
	}
	if err := r.s.Wait(); err != nil {
		t.Error(err)
	}
}

func TestNetshot(t *testing.T) {
	const prompt = `(?m)^([a-zA-Z0-9\-_.]+|\((Cluster|Machine) [^)]*\) ?)> \z`
	r := newAutomationClient(t, logIn(t, appliancetest.Start(t).SSHAddr), 16777215, 16777215).shell()
	r.until(prompt)
	r.send("version\r")
	r.until(prompt)
	for _, e := range []string{`(?m)^Version: ([0-9.-]+)`, `(?m)^CPUs:.* ([0-9]+) allocated`, `(?m)^Memory:.* ([0-9]+) MB allocated`, `(?m)^Model: (.+)`, `(?m)^Serial #: ([0-9A-Z-]+)`} {
		if !regexp.MustCompile(e).MatchString(r.seen) {
			t.Errorf("version lacks %s: %q", e, r.seen)
		}
	}
	r.send("showconfig\r")
	r.until(`(?m)^\[1\]>`)
	r.send("\r")
	config := r.page(prompt, " ")
	if !strings.Contains(config, "<?xml") || !strings.Contains(config, "<hostname>") {
		t.Errorf("showconfig: %q", config)
	}
	r.send("nonsense\r")
	r.until(prompt)
	if !regexp.MustCompile(`(?m)^Unknown command`).MatchString(r.seen) {
		t.Errorf("an unknown command: %q", r.seen)
	}
	r.send("clear\r")
	r.until(prompt, `\[Y\]> \z`)
}

// The scripts of openmsa are written for expect.
func TestOpenMSA(t *testing.T) {
	r := newAutomationClient(t, logIn(t, appliancetest.Start(t).SSHAddr), 80, 24).shell()
	r.until(`> \z`)
	r.send("saveconfig\r")
	if r.until(`\[Y\]>`, `\[1\]>`) == 1 {
		r.send("2\r")
	} else {
		r.send("n\r")
	}
	r.until(`example\.com> \z`)
	words := strings.Split(regexp.MustCompile(`(?s)File written.*`).FindString(r.seen), " ")
	if len(words) < 8 || !strings.Contains(words[7], "\"/configuration/C100V-") {
		t.Fatalf("the 8th word is not a path: %q", words)
	}
	r.send("sethostname mail.example.com\r")
	r.until(`example\.com> \z`)
	r.send("commit\r")
	r.until(`\[\]>`)
	r.send("renamed\r")
	if r.until(`rollback\?`, `Changes committed`) == 0 {
		r.send("\r")
		r.until(`Changes committed`)
	}
	r.until(`mail\.example\.com> \z`)
	r.send("commit\r")
	r.until(`There is no data to commit\.`)
	r.send("passwd\r")
	r.until(`Old (password|passphrase):`)
	r.send("\x03")
	r.until(`mail\.example\.com> \z`)
}

// A SOAR connector runs command lines with a terminal, and types the passphrase after the first
// output, even if that output is not a question.
func TestSOARConnector(t *testing.T) {
	c := logIn(t, appliancetest.Start(t).SSHAddr)
	for _, cmd := range []struct {
		line, want string
		status     int
	}{
		{"whoami", "Username: admin", 0},
		{"help", "whoami", 0},
		{`sethostname mail.example.com; commit "msg" Y`, "", 0},
		{"nonsense", "Unknown command or missing feature key: nonsense", 1},
		{"help a b", "Invalid arguments", 1},
		{`commit "\q"`, "Command contained invalid escape character:", 1},
	} {
		r := newAutomationClient(t, c, 80, 24)
		if err := r.s.Start(cmd.line); err != nil {
			t.Fatal(err)
		}
		var said []byte
		b := make([]byte, 4096)
		for first := true; ; first = false {
			n, err := r.out.Read(b)
			said = append(said, b[:n]...)
			if first {
				io.WriteString(r.in, "ironport\n") //nolint:errcheck // as above
			} else if bytes.HasSuffix(said, []byte("-Press Any Key For More-")) {
				io.WriteString(r.in, "\n") //nolint:errcheck // as above
			}
			if err != nil {
				break
			}
		}
		text := strings.TrimSpace(string(said))
		if cmd.want == "" && text != "" || !strings.Contains(text, cmd.want) {
			t.Errorf("%s: %q", cmd.line, said)
		}
		var exit *ssh.ExitError
		err := r.s.Wait()
		if got := map[bool]int{true: 0, false: 1}[err == nil]; got != cmd.status || err != nil && !errors.As(err, &exit) {
			t.Errorf("%s: %v", cmd.line, err)
		}
	}
}

// A client in C# reads a stream and joins its lines.
func TestShellStream(t *testing.T) {
	r := newAutomationClient(t, logIn(t, appliancetest.Start(t).SSHAddr), 80, 24).shell()
	r.until(`example\.com>`)
	r.send("whoami\n")
	r.until(`example\.com> \z`)
	text := strings.ReplaceAll(strings.ReplaceAll(r.seen, "\r\r\n", ""), "\r\n\r\n", "\n")
	if !slices.Contains(strings.FieldsFunc(text, func(c rune) bool { return c == '\r' || c == '\n' }), "Username: admin") {
		t.Errorf("joined: %q", text)
	}
}

// Scanners and scripts run command lines without a terminal.
func TestScannersAndScripts(t *testing.T) {
	c := logIn(t, appliancetest.Start(t, appliancetest.Clock(clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)))).SSHAddr)
	run := func(line string) string {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, _ := s.Output(line)
		return string(out)
	}
	for line, want := range map[string]string{
		"uname -a":       `Unknown command or missing feature key`,
		"version":        `(?s)Product: .*Email Security( Virtual)? Appliance\n.*Version: `,
		"saveconfig y 1": `(?m)^"/configuration/.+\.xml"\.$`,
	} {
		if got := run(line); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q", line, got)
		}
	}
}
