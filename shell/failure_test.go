package shell_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/tooltest"
)

// waitForLog waits until the authentication log contains a text.
func waitForLog(t *testing.T, app *appliance.Appliance, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
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
	client.Wait() //nolint:errcheck // returns when the server has closed the connection
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
