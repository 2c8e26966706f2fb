package shell_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// sshArgs are the arguments of OpenSSH's client for a server.
func sshArgs(t *testing.T, s *shell.Server, more ...string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "IdentityAgent=none", "-p", port, "-l", "admin", host}
	return append(args, more...)
}

// run runs a program to its end.
func runningServer(t *testing.T, in string, program string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var o, e bytes.Buffer
	c := exec.CommandContext(ctx, program, args...)
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(in), &o, &e
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), c.ProcessState.ExitCode()
}

func TestOpenSSHCommandLine(t *testing.T) {
	tooltest.Need(t, "ssh", "sshpass")
	app, _ := newBox(t)
	s := start(t, app, nil, whoami, say, ask, leave)
	for _, c := range []struct {
		line, in, want string
		status         int
	}{
		{"whoami", "", "admin from 127.0.0.1 as Administrator\n", 0},
		{`say "a b"; say c;`, "", "a b\nc\n", 0},
		{"uname -a", "", "\nUnknown command or missing feature key: uname\n", 1},
		{"ask", "Bob\nsecret\n", "Name:\n[]> \nPassphrase: \n\nBob, secret\n", 0},
	} {
		for _, method := range []string{"password", "keyboard-interactive"} {
			out, stderr, status := runningServer(t, c.in, "sshpass", append([]string{"-p", "ironport", "ssh"},
				sshArgs(t, s, "-o", "PreferredAuthentications="+method, c.line)...)...)
			if out != c.want || stderr != "" || status != c.status {
				t.Errorf("%s by %s: %q, %q, status %d", c.line, method, out, stderr, status)
			}
		}
	}
	out, stderr, status := runningServer(t, "say x\nexit\n", "sshpass", append([]string{"-p", "ironport", "ssh", "-T"}, sshArgs(t, s)...)...)
	if !strings.HasSuffix(out, prompt+"\n\nx\n"+prompt+"\n") || stderr != "" || status != 0 {
		t.Errorf("a script: %q, %q, status %d", out, stderr, status)
	}
	if _, _, status := runningServer(t, "", "sshpass", append([]string{"-p", "wrong", "ssh"}, sshArgs(t, s, "whoami")...)...); status == 0 {
		t.Error("a wrong passphrase lets in")
	}
}

func TestOpenSSHKeyLogin(t *testing.T) {
	tooltest.Need(t, "ssh")
	app, _ := newBox(t)
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	signer, err := gossh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	addUser(t, app, "kim", "passphrase1", users.Operator, signer.PublicKey())
	block, err := gossh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, app, nil, whoami)
	out, stderr, status := runningServer(t, "", "ssh", append([]string{"-i", file, "-l", "kim", "-o", "BatchMode=yes"}, sshArgs(t, s, "whoami")...)...)
	if out != "kim from 127.0.0.1 as Operator\n" || status != 0 {
		t.Errorf("%q, %q, status %d", out, stderr, status)
	}
}

// An administrator at a terminal: expect's has no size.
const expectScript = `
set timeout 30
proc hear {text} {
	expect {
		-ex $text {}
		timeout { puts stderr "no $text"; exit 1 }
		eof { puts stderr "end instead of $text"; exit 1 }
	}
}
eval spawn -noecho ssh $env(SSH_ARGS)
hear "Password:"
send "ironport\r"
hear "example.com> "
send "say hello\r"
hear "\r\r\n\r\nhello\r\nexample.com> "
send "long\r"
hear "-Press Any Key For More-"
send " "
hear "line 30\r\nexample.com> "
send "ask\r"
hear "\[]> "
send "\003"
hear "^C\r\nexample.com> "
send "wait\r"
hear "Press Ctrl-C to stop."
send "\003"
hear "statistics ---\r\nexample.com> "
send "exit\r"
hear "Connection to 127.0.0.1 closed."
expect eof
exit [lindex [wait] 3]
`

func TestOpenSSHInteractive(t *testing.T) {
	tooltest.Need(t, "ssh", "expect")
	app, _ := newBox(t)
	s := start(t, app, nil, say, long, ask, wait, leave)
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(expectScript), 0o600); err != nil {
		t.Fatal(err)
	}
	args := strings.Join(sshArgs(t, s), " ")
	t.Setenv("SSH_ARGS", strings.ReplaceAll(args, "LogLevel=ERROR", "LogLevel=INFO")) // it tells that the connection was closed
	out, stderr, status := runningServer(t, "", "expect", "-f", file)
	if status != 0 || stderr != "" {
		t.Errorf("status %d, %s, after\n%s", status, stderr, out)
	}
}
