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

// A machine's own network, as far as a Pusher needs one.
type machine struct{ network.Transport }

func (machine) Dial(ctx context.Context, c network.DialConfig) (network.Conn, error) {
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

// openSSH runs the machine's sshd on a free port of loopback, with a host key of each
// kind. Who has the private half of key may log in as the user that runs the test.
func openSSH(t *testing.T, key string) (port uint16, hostKeys []string) {
	t.Helper()
	sshd := tooltest.Path(t, "sshd")
	if os.Getuid() == 0 {
		_ = os.MkdirAll("/run/sshd", 0o755) // Debian's makes it when the system starts; sshd says so if it is not there
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "authorized_keys"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-D", "-e", "-f", "/dev/null", "-o", "PidFile=none",
		"-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PermitRootLogin=yes", "-o", "AuthorizedKeysFile=" + filepath.Join(dir, "authorized_keys")}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		file := filepath.Join(dir, "host_"+kind)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file).CombinedOutput(); err != nil {
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
	var said []string
	for range 5 { // somebody else may take the port first; sshd ends then
		if port, said = launch(t, sshd, args); port != 0 {
			return port, hostKeys
		}
	}
	tooltest.SkipOrFail(t, "sshd does not start here: %q", said)
	return 0, nil
}

// launch starts sshd until the test ends; port is 0 if it ended by itself, having said why.
func launch(t *testing.T, sshd string, args []string) (port uint16, said []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	port = uint16(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	cmd := exec.Command(sshd, append([]string{"-o", fmt.Sprintf("ListenAddress=127.0.0.1:%d", port)}, args...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		said = append(said, lines.Text())
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
			return port, said
		}
	}
	_ = cmd.Wait()
	return 0, said
}

// OpenSSH takes the files, and is scanned and known by any of its keys.
func TestOpenSSHTakesFiles(t *testing.T) {
	b := newBench(t)
	o := b.options()
	o.Net = machine{}
	key, err := o.Key()
	if err != nil {
		t.Fatal(err)
	}
	line, err := upload.AuthorizedKey(key, "esa")
	if err != nil {
		t.Fatal(err)
	}
	port, hostKeys := openSSH(t, line)

	scanner := upload.Scanner{Net: machine{}, Lookup: o.Lookup, ConnectTimeout: 20 * time.Second, IdleTimeout: 20 * time.Second}
	if got, err := scanner.Scan(t.Context(), "127.0.0.1", port); err != nil || strings.Join(got, "\n") != strings.Join(hostKeys, "\n") {
		t.Errorf("scanned %q, %v; want %q", got, err, hostKeys)
	}

	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "it's the logs")
	settings := upload.Settings{Subscription: "mail_logs", Method: upload.SCP, Host: "127.0.0.1", Port: port, User: me.Username, Dir: dir, CheckHostKey: true}
	b.known = []upload.HostKey{{Host: "127.0.0.1", Port: port, Key: hostKeys[2]}} // not the one it likes best
	b.write(first, "one\n")
	b.write(second, strings.Repeat("two\n", 100<<10))
	p := upload.New(o, settings)
	defer p.Close(context.Background())

	// A directory that does not exist is not taken for a file's name.
	const failed = "Log Error: Push error for subscription mail_logs: Failed to transfer " + first + " to 127.0.0.1: "
	if got := b.troubles(1)[0]; !strings.HasPrefix(got, failed+dir) {
		t.Errorf("told %q", got)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p.Wake()
	b.emptied(p, 2)
	for name, want := range map[string]string{first: "one\n", second: strings.Repeat("two\n", 100<<10)} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
