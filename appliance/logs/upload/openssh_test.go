package upload_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/logs/upload"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/tooltest"
)

// A machineNetwork is the machine's own network, as far as an Uploader needs one.
type machineNetwork struct{ network.Transport }

func (machineNetwork) Dial(ctx context.Context, c network.DialConfig) (network.Conn, error) {
	var d net.Dialer
	n, err := d.DialContext(ctx, "tcp", c.Remote.String())
	if err != nil {
		return nil, err
	}
	return machineConn{n.(*net.TCPConn)}, nil
}

type machineConn struct{ *net.TCPConn }

func (c machineConn) Abort() {
	_ = c.SetLinger(0)
	_ = c.Close()
}
func (machineConn) Acknowledged() int64                            { return 0 }
func (machineConn) AwaitAcknowledged(context.Context, int64) error { return nil }

// startSSHD runs the machine's sshd on a free port of loopback, with a host key of each type. A
// client with the private half of key may log in as the user that runs the test.
func startSSHD(t *testing.T, key string) (port uint16, hostKeys []string) {
	t.Helper()
	sshd := tooltest.Path(t, "sshd")
	if os.Getuid() == 0 {
		// Debian creates it at boot. Without it sshd exits with an error message.
		_ = os.MkdirAll("/run/sshd", 0o755)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "authorized_keys"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-D", "-e", "-f", "/dev/null", "-o", "PidFile=none",
		"-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PermitRootLogin=yes",
		"-o", "AuthorizedKeysFile=" + filepath.Join(dir, "authorized_keys")}
	for _, keyType := range []string{"ed25519", "ecdsa", "rsa"} {
		file := filepath.Join(dir, "host_"+keyType)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", keyType, "-N", "", "-f", file).CombinedOutput(); err != nil {
			tooltest.SkipOrFail(t, "no host key can be made: %v: %s", err, out)
		}
		text, err := os.ReadFile(file + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		line, _, err := upload.ParseKey(string(text))
		if err != nil {
			t.Fatal(err)
		}
		hostKeys = append(hostKeys, line)
		args = append(args, "-h", file)
	}
	var output []string
	for range 5 { // sshd exits if another process has taken the port
		if port, output = tryStartSSHD(t, sshd, args); port != 0 {
			return port, hostKeys
		}
	}
	tooltest.SkipOrFail(t, "sshd does not start here: %q", output)
	return 0, nil
}

// tryStartSSHD starts sshd, which runs until the test ends. If sshd exits, port is 0 and output
// says why.
func tryStartSSHD(t *testing.T, sshd string, args []string) (port uint16, output []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	port = uint16(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	cmd := exec.Command(sshd,
		append([]string{"-o", fmt.Sprintf("ListenAddress=127.0.0.1:%d", port)}, args...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		output = append(output, lines.Text())
		if strings.Contains(lines.Text(), "Server listening") {
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				for lines.Scan() {
				}
			}()
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				<-drained
				_ = cmd.Wait()
			})
			return port, output
		}
	}
	_ = cmd.Wait()
	return 0, output
}

// OpenSSH accepts the files. Scan finds all of its host keys, and any of them is accepted as
// known.
func TestOpenSSHTakesFiles(t *testing.T) {
	h := newHarness(t)
	o := h.options()
	o.Net = machineNetwork{}
	key, err := o.Key()
	if err != nil {
		t.Fatal(err)
	}
	line, err := upload.AuthorizedKey(key, "esa")
	if err != nil {
		t.Fatal(err)
	}
	port, hostKeys := startSSHD(t, line)

	scanner := upload.Scanner{
		Net: machineNetwork{}, Lookup: o.Lookup,
		ConnectTimeout: time.Minute, IdleTimeout: time.Minute,
	}
	if got, err := scanner.Scan(t.Context(), "127.0.0.1", port); err != nil ||
		strings.Join(got, "\n") != strings.Join(hostKeys, "\n") {
		t.Errorf("scanned %q, %v; want %q", got, err, hostKeys)
	}

	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "it's the logs")
	settings := upload.Settings{
		Subscription: "mail_logs", Method: upload.SCP, Host: "127.0.0.1", Port: port,
		User: me.Username, Dir: dir, CheckHostKey: true,
	}
	// The known key is not the one that sshd prefers.
	h.known = []upload.HostKey{{Host: "127.0.0.1", Port: port, Key: hostKeys[2]}}
	h.write(first, "one\n")
	h.write(second, strings.Repeat("two\n", 100<<10))
	u := upload.New(o, settings)
	defer u.Close(context.Background())

	// A directory that does not exist must not be created as a file.
	const failed = "Log Error: Push error for subscription mail_logs: Failed to transfer " + first +
		" to 127.0.0.1: "
	if got := h.waitErrors(1)[0]; !strings.HasPrefix(got, failed+dir) {
		t.Errorf("reported %q", got)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	u.Wake()
	h.waitEmpty(u, 2)
	for name, want := range map[string]string{first: "one\n", second: strings.Repeat("two\n", 100<<10)} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
