package shell_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/shell"
)

// waitForLog waits until the authentication log contains a text.
func waitForLog(t *testing.T, app *appliance.Appliance, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		log := logText(t, app, "authentication", "authentication")
		if strings.Contains(log, text) {
			return
		}
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			t.Errorf("the log does not contain %q:\n%s", text, log)
			return
		}
	}
}

func TestFailedConnectionsAreLogged(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, nil)
	_, err := typeSeen(t, s, func(c *gossh.ClientConfig) {
		c.Ciphers = []string{gossh.InsecureCipherRC4}
	})
	if err == nil {
		t.Error("arcfour is accepted")
	}
	waitForLog(t, app, "An SSH connection from 127.0.0.1 failed: "+
		"no common client to server cipher: the client knows arcfour, the server offers aes128-gcm")

	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, channels, requests, err := gossh.NewClientConn(conn, "", clientConfig("admin", "ironport"))
	if err != nil {
		t.Fatal(err)
	}
	client := gossh.NewClient(c, channels, requests)
	openShell(t, client, 80, 24).readUntil(prompt)
	if _, err := conn.Write(bytes.Repeat([]byte{0}, 4096)); err != nil { // no packet
		t.Fatal(err)
	}
	err = client.Wait()
	if text := fmt.Sprint(err); !strings.HasPrefix(text, "ssh: disconnect, reason 2: ") {
		t.Errorf("the client is told: %v", err)
	}
	waitForLog(t, app, "The SSH connection of user admin from 127.0.0.1 has ended: ")
}

// A client that closes the connection in any way has not failed.
func TestClosedConnectionsAreNotLoggedAsFailed(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, nil)
	for _, end := range []func(*net.TCPConn){
		func(c *net.TCPConn) { c.Close() },
		func(c *net.TCPConn) { c.SetLinger(0); c.Close() },              //nolint:errcheck // a test
		func(c *net.TCPConn) { c.CloseWrite(); io.Copy(io.Discard, c) }, //nolint:errcheck // a test
	} {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, channels, requests, err := gossh.NewClientConn(conn, "", clientConfig("admin", "ironport"))
		if err != nil {
			t.Fatal(err)
		}
		openShell(t, gossh.NewClient(c, channels, requests), 80, 24).readUntil(prompt)
		end(conn.(*net.TCPConn))
		c.Wait() //nolint:errcheck // the test has closed it
	}
	waitForLog(t, app, "User admin logged out of SSH session")
	if log := logText(t, app, "authentication", "authentication"); strings.Contains(log, "has ended") {
		t.Errorf("the log:\n%s", log)
	}
}

// OpenSSH asks for new keys all the time and receives everything.
func TestRekeying(t *testing.T) {
	tooltest.Need(t, "ssh", "sshpass")
	app, _ := newAppliance(t)
	s := startServer(t, app, nil, sayCommand, exitCommand)
	in := strings.Repeat("say "+strings.Repeat("x", 400)+"\n", 500) + "exit\n"
	args := sshpassArgs(t, s, "ironport", "-o", "RekeyLimit=16K", "-T")
	out, stderr, status := runProgram(t, in, "sshpass", args...)
	if n := strings.Count(out, strings.Repeat("x", 400)); n != 500 || status != 0 {
		t.Errorf("%d of 500 answers, status %d, %s", n, status, stderr)
	}
	limit := func(c *gossh.ClientConfig) { c.RekeyThreshold = 1 << 10 }
	if _, err := typeSeen(t, s, limit); err != nil {
		t.Error(err)
	}
}

// PuTTY asks for new keys all the time and receives everything. Its limit counts both directions.
func TestRekeyingByPuTTY(t *testing.T) {
	tooltest.Need(t, "plink")
	app, _ := newAppliance(t)
	s := startServer(t, app, nil, sayCommand, exitCommand)
	dir := t.TempDir()
	t.Setenv("PUTTYDIR", dir)
	if err := os.Mkdir(filepath.Join(dir, "sessions"), 0o700); err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	settings := fmt.Sprintf("Protocol=ssh\nHostName=%s\nPortNumber=%s\nRekeyBytes=16K\n", host, port)
	err = os.WriteFile(filepath.Join(dir, "sessions", "rekeying"), []byte(settings), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	key, err := gossh.NewPublicKey(s.HostKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	in := strings.Repeat("say "+strings.Repeat("x", 400)+"\n", 200) + "exit\n"
	out, stderr, status := runProgram(t, in, "plink", "-batch", "-v", "-T", "-load", "rekeying",
		"-l", "admin", "-pw", "ironport", "-hostkey", gossh.FingerprintSHA256(key))
	if n := strings.Count(out, strings.Repeat("x", 400)); n != 200 || status != 0 {
		t.Errorf("%d of 200 answers, status %d, %s", n, status, stderr)
	}
	if !strings.Contains(stderr, "Initiating key re-exchange") {
		t.Errorf("no key exchange after the first:\n%s", stderr)
	}
}

func TestFailureText(t *testing.T) {
	for err, want := range map[string]string{
		"ssh: unexpected message type 94 (expected 21)": "the client, SSH-2.0-X, sent other packets " +
			"during a key exchange (unexpected message type 94 (expected 21)), " +
			"which RFC 4253, section 7.1, forbids",
		"ssh: disconnect, reason 11: bye": "",
		"ssh: packet too large":           "packet too large",
	} {
		if got := shell.FailureText(errors.New(err), []byte("SSH-2.0-X")); got != want {
			t.Errorf("%s: %q, want %q", err, got, want)
		}
	}
	if got := shell.FailureText(fmt.Errorf("read: %w", net.ErrClosed), nil); got != "" {
		t.Errorf("a closed connection: %q", got)
	}
}

// A server that stops tells the clients of transfers the reason, then ends the transfers.
func TestTransfersAreToldOfTheStop(t *testing.T) {
	app, _ := newAppliance(t)
	cause := make(chan error, 1)
	s := startServer(t, app, func(s *shell.Server) {
		s.Exec = func(string) func(context.Context, shell.Channel) {
			return func(ctx context.Context, ch shell.Channel) {
				io.WriteString(ch, "waiting")
				<-ctx.Done()
				cause <- context.Cause(ctx)
			}
		}
	})
	sess, err := dial(t, s).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	sess.Stderr = &stderr
	out, err := sess.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Start("scp"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("waiting"))); err != nil {
		t.Fatal(err)
	}
	ctx := appliance.WithStopReason(t.Context(), appliance.ReasonReboot)
	if err := s.Stop(ctx); err != nil {
		t.Error("stop:", err)
	}
	var exit *gossh.ExitError
	if err := sess.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 1 {
		t.Errorf("the transfer ended with %v, want exit status 1", err)
	}
	if want := appliance.ReasonReboot + "\n"; stderr.String() != want {
		t.Errorf("the client was told %q, want %q", stderr.String(), want)
	}
	var stopped shell.StoppedError
	if err := <-cause; !errors.As(err, &stopped) {
		t.Errorf("the cause of the transfer's context is %v", err)
	}
}
