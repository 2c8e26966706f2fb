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

// sshArgs returns arguments of OpenSSH's client that connect to a server.
func sshArgs(t *testing.T, s *shell.Server, more ...string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", "IdentityAgent=none", "-p", port, "-l", "admin", host,
	}
	return append(args, more...)
}

// sshpassArgs returns arguments of sshpass that run ssh with a passphrase.
func sshpassArgs(t *testing.T, s *shell.Server, passphrase string, more ...string) []string {
	t.Helper()
	return append([]string{"-p", passphrase, "ssh"}, sshArgs(t, s, more...)...)
}

// runProgram runs a program with the given standard input and waits for it.
func runProgram(
	t *testing.T, in, program string, args ...string,
) (stdout, stderr string, status int) {
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
	app, _ := newAppliance(t)
	s := startServer(t, app, nil, whoamiCommand, sayCommand, askCommand, exitCommand)
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
			args := sshpassArgs(t, s, "ironport", "-o", "PreferredAuthentications="+method, c.line)
			out, stderr, status := runProgram(t, c.in, "sshpass", args...)
			if out != c.want || stderr != "" || status != c.status {
				t.Errorf("%s by %s: %q, %q, status %d", c.line, method, out, stderr, status)
			}
		}
	}
	args := sshpassArgs(t, s, "ironport", "-T")
	out, stderr, status := runProgram(t, "say x\nexit\n", "sshpass", args...)
	if !strings.HasSuffix(out, prompt+"\n\nx\n"+prompt+"\n") || stderr != "" || status != 0 {
		t.Errorf("a script: %q, %q, status %d", out, stderr, status)
	}
	_, _, status = runProgram(t, "", "sshpass", sshpassArgs(t, s, "wrong", "whoami")...)
	if status == 0 {
		t.Error("a wrong passphrase was accepted")
	}
}

func TestOpenSSHKeyLogin(t *testing.T) {
	tooltest.Need(t, "ssh")
	app, _ := newAppliance(t)
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
	s := startServer(t, app, nil, whoamiCommand)
	args := []string{"-i", file, "-l", "kim", "-o", "BatchMode=yes"}
	args = append(args, sshArgs(t, s, "whoami")...)
	out, stderr, status := runProgram(t, "", "ssh", args...)
	if out != "kim from 127.0.0.1 as Operator\n" || status != 0 {
		t.Errorf("%q, %q, status %d", out, stderr, status)
	}
}

// expectScript is an interactive session. The terminal of expect has no size.
const expectScript = `
set timeout 30
proc waitfor {text} {
	expect {
		-ex $text {}
		timeout { puts stderr "timeout while waiting for $text"; exit 1 }
		eof { puts stderr "end of output instead of $text"; exit 1 }
	}
}
eval spawn -noecho ssh $env(SSH_ARGS)
waitfor "Password:"
send "ironport\r"
waitfor "example.com> "
send "say hello\r"
waitfor "\r\r\n\r\nhello\r\nexample.com> "
send "long\r"
waitfor "-Press Any Key For More-"
send " "
waitfor "line 30\r\nexample.com> "
send "ask\r"
waitfor "\[]> "
send "\003"
waitfor "^C\r\nexample.com> "
send "wait\r"
waitfor "Press Ctrl-C to stop."
send "\003"
waitfor "statistics ---\r\nexample.com> "
send "exit\r"
waitfor "Connection to 127.0.0.1 closed."
expect eof
exit [lindex [wait] 3]
`

func TestOpenSSHInteractive(t *testing.T) {
	tooltest.Need(t, "ssh", "expect")
	app, _ := newAppliance(t)
	s := startServer(t, app, nil, sayCommand, longCommand, askCommand, waitCommand, exitCommand)
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(expectScript), 0o600); err != nil {
		t.Fatal(err)
	}
	args := strings.Join(sshArgs(t, s), " ")
	// At LogLevel=INFO ssh prints that the connection was closed, which the script waits for.
	t.Setenv("SSH_ARGS", strings.ReplaceAll(args, "LogLevel=ERROR", "LogLevel=INFO"))
	out, stderr, status := runProgram(t, "", "expect", "-f", file)
	if status != 0 || stderr != "" {
		t.Errorf("status %d, %s, after\n%s", status, stderr, out)
	}
}
