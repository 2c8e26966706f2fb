package peers_test

import (
	"context"
	"crypto/ed25519"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jlaffaye/ftp"
	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// start starts a peer of a kind until the test ends.
func start[P peers.Peer](t *testing.T, h *vnet.Host, kind string, options map[string]string) P {
	t.Helper()
	p := newPeer(t, h, kind, options)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p.(P)
}

// ftpClient returns a client of github.com/jlaffaye/ftp.
func ftpClient(t *testing.T, h *vnet.Host) *ftp.ServerConn {
	t.Helper()
	c, err := ftp.Dial("127.0.0.1:1000", ftp.DialWithShutTimeout(time.Minute), ftp.DialWithDialFunc(func(_, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return h.Dial(ctx, network.DialConfig{Remote: netip.MustParseAddrPort(address)})
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Quit() })
	return c
}

// checkUploads compares the stored files with lines of the form "NAME: TEXT".
func checkUploads(t *testing.T, got []peers.Upload, want ...string) {
	t.Helper()
	var lines []string
	for _, u := range got {
		line := u.User + " " + u.Name + ": " + string(u.Data)
		if !u.Whole {
			line += " (broken off)"
		}
		lines = append(lines, line)
	}
	if g, w := strings.Join(lines, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestFTPServerStoresFiles(t *testing.T) {
	for name, options := range map[string]map[string]string{
		"EPSV": nil,
		"PASV": {"epsv": "off"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			s := start[*peers.FTPServer](t, h, "ftpd", options)
			c := ftpClient(t, h)
			for _, err := range []error{
				c.Login("esa", "secret"), c.Stor("a.s", strings.NewReader("one\n")),
				c.ChangeDir("/logs"), c.Stor("b.s", strings.NewReader("two\n")),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			got, err := s.Await(t.Context(), 2)
			if err != nil {
				t.Fatal(err)
			}
			checkUploads(t, got, "esa /a.s: one\n", "esa /logs/b.s: two\n")
		})
	}
}

func TestFTPServerRefuses(t *testing.T) {
	for _, test := range []struct {
		options map[string]string
		want    string // the answer to the step that fails
		kept    []string
	}{
		{map[string]string{"refuse": "login"}, `530 "Login incorrect."`, nil},
		{map[string]string{"user": "somebody"}, `530 "Login incorrect."`, nil},
		{map[string]string{"password": "other"}, `530 "Login incorrect."`, nil},
		{map[string]string{"directory": "/else"}, `550 "/logs: No such directory."`, nil},
		{map[string]string{"refuse": "upload"}, `553 "a.s: Permission denied."`, nil},
		{map[string]string{"refuse": "full"}, `552 "No space left on device."`, []string{"esa /logs/a.s: one\n (broken off)"}},
	} {
		h := newHost(t)
		s := start[*peers.FTPServer](t, h, "ftpd", test.options)
		c := ftpClient(t, h)
		err := c.Login("esa", "secret")
		if err == nil {
			err = c.ChangeDir("/logs")
		}
		if err == nil {
			err = c.Stor("a.s", strings.NewReader("one\n"))
		}
		if err == nil || err.Error() != test.want {
			t.Errorf("%v: %v, want %s", test.options, err, test.want)
		}
		checkUploads(t, s.Uploads(), test.kept...)
	}
}

func TestFTPServerRefusesAsOftenAsConfigured(t *testing.T) {
	h := newHost(t)
	s := start[*peers.FTPServer](t, h, "ftpd", map[string]string{"refuse": "upload", "times": "1"})
	c := ftpClient(t, h)
	if err := c.Login("esa", "secret"); err != nil {
		t.Fatal(err)
	}
	if err := c.Stor("a.s", strings.NewReader("one\n")); err == nil {
		t.Error("the first file is not refused")
	}
	if err := s.AwaitRefusals(t.Context(), 1); err != nil {
		t.Error(err)
	}
	if err := c.Stor("a.s", strings.NewReader("one\n")); err != nil {
		t.Error(err)
	}
}

// sshClient returns a client that has logged in with a key.
func sshClient(t *testing.T, h *vnet.Host, s *peers.SCPServer) (*ssh.Client, error) {
	t.Helper()
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.HostKey()))
	if err != nil {
		t.Fatal(err)
	}
	conn, channels, requests, err := ssh.NewClientConn(mustDial(t, h), "", &ssh.ClientConfig{
		User: "esa", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(hostKey),
	})
	if err != nil {
		return nil, err
	}
	c := ssh.NewClient(conn, channels, requests)
	t.Cleanup(func() { c.Close() })
	return c, nil
}

// run executes a command with this input and returns its output.
func run(t *testing.T, c *ssh.Client, command, input string) (said string, err error) {
	t.Helper()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	session.Stdin = strings.NewReader(input)
	out, err := session.Output(command)
	return string(out), err
}

func TestSCPServerStoresFiles(t *testing.T) {
	h := newHost(t)
	s := start[*peers.SCPServer](t, h, "scpd", nil)
	c, err := sshClient(t, h, s)
	if err != nil {
		t.Fatal(err)
	}
	said, err := run(t, c, "scp -p -t '/var/the logs'", "T1 0 1 0\nC0644 4 a.s\none\n\x00C0600 4 b.s\ntwo\n\x00")
	if err != nil || said != "\x00\x00\x00\x00\x00\x00" {
		t.Errorf("said %q, %v", said, err)
	}
	checkUploads(t, s.Uploads(), "esa /var/the logs/a.s: one\n", "esa /var/the logs/b.s: two\n")
	if keys := s.UserKeys(); len(keys) != 1 || !strings.HasPrefix(keys[0], "ssh-ed25519 ") {
		t.Errorf("keys %q", keys)
	}
}

func TestSCPServerRefuses(t *testing.T) {
	for _, test := range []struct {
		options map[string]string
		said    string
		kept    []string
	}{
		{map[string]string{"refuse": "upload"}, "\x00\x01scp: /logs/a.s: Permission denied\n", nil},
		{map[string]string{"refuse": "full"}, "\x00\x00\x01scp: /logs/a.s: No space left on device\n", []string{"esa /logs/a.s: one\n (broken off)"}},
		{map[string]string{"directory": "/else"}, "\x01scp: /logs: No such file or directory\n", nil},
	} {
		h := newHost(t)
		s := start[*peers.SCPServer](t, h, "scpd", test.options)
		c, err := sshClient(t, h, s)
		if err != nil {
			t.Fatal(err)
		}
		input := "C0644 4 a.s\n"
		if test.options["refuse"] != "upload" {
			input += "one\n\x00"
		}
		if said, err := run(t, c, "scp -t logs", input); err == nil || said != test.said {
			t.Errorf("%v: said %q, %v", test.options, said, err)
		}
		checkUploads(t, s.Uploads(), test.kept...)
	}
}

func TestSCPServerChecksUserAndKey(t *testing.T) {
	const another = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnI8Y1UBF1XvAiR4KyW7tgJY9aBQk5VYBYrHnmQKvS"
	for _, options := range []map[string]string{{"refuse": "login"}, {"user": "somebody"}, {"key": another}} {
		h := newHost(t)
		if c, err := sshClient(t, h, start[*peers.SCPServer](t, h, "scpd", options)); err == nil {
			t.Errorf("%v: logged in as %s", options, c.User())
		}
	}
}

func TestSCPServerHostKeyFollowsItsOption(t *testing.T) {
	h := newHost(t)
	first := newPeer(t, h, "scpd", nil).(*peers.SCPServer).HostKey()
	if again := newPeer(t, h, "scpd", nil).(*peers.SCPServer).HostKey(); first != again {
		t.Error("the same server has two keys")
	}
	if other := newPeer(t, h, "scpd", map[string]string{"host_key": "new"}).(*peers.SCPServer).HostKey(); first == other {
		t.Error("another host_key gives the same key")
	}
}

func TestUploadServersResetConnectionsAtStop(t *testing.T) {
	h := newHost(t)
	s := start[*peers.FTPServer](t, h, "ftpd", nil)
	c := mustDial(t, h)
	io.WriteString(c, "USER a\r\nPASS b\r\nEPSV\r\nSTOR x\r\n")
	for said := ""; !strings.Contains(said, "229 "); { // now it waits for the data connection
		buf := make([]byte, 256)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		said += string(buf[:n])
	}
	s.Stop()
	if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error(err)
	}
}
