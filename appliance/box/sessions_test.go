package box_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
)

func sshTo(t *testing.T, b *box.Box) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", b.DoorAddrs()["ssh"].String(), &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.Password("ironport")},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// only returns the only session of a service.
func only(t *testing.T, b *box.Box, service string) box.Session {
	t.Helper()
	var found []box.Session
	for _, s := range b.Sessions() {
		if s.Service == service {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("sessions of %s: %+v", service, b.Sessions())
	}
	return found[0]
}

// end ends the only session of a service and waits until it has ended.
func end(t *testing.T, b *box.Box, service string) {
	t.Helper()
	cursor := b.Cursor()
	s := only(t, b, service)
	if s.User != "admin" || s.Role != "Administrator" || s.Address.String() != "10.0.201.4" || s.Since.IsZero() {
		t.Errorf("the session of %s: %+v", service, s)
	}
	if err := b.EndSession(s.ID); err != nil {
		t.Fatal(err)
	}
	if service != "gui" { // which has no connection
		awaitAfter(t, b, cursor, "login.closed")
	}
	var missing *netsim.NotFoundError
	if err := b.EndSession(s.ID); !errors.As(err, &missing) {
		t.Errorf("the session of %s ends again: %v", service, err)
	}
}

// Sessions of all services can be ended, and their users are told.
func TestEndSession(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	const reason = "The session was closed from outside."
	for service, of := range map[string]func(*testing.T, *box.Box) (told func() string){
		"cli": shellSession, "sftp": sftpSession, "ftp": ftpSession, "gui": pageSession,
	} {
		t.Run(service, func(t *testing.T) {
			told := of(t, b)
			if users := b.Users(); len(users) != 1 || users[0].Name != "admin" || users[0].Sessions != 1 {
				t.Errorf("users: %+v", users)
			}
			end(t, b, service)
			if text := told(); !strings.Contains(text, reason) {
				t.Errorf("the user was told %q", text)
			}
		})
	}
	if err := b.EndSession(4711); err == nil || err.Error() != "there is no open session 4711" {
		t.Errorf("a session that never was ends: %v", err)
	}
}

func shellSession(t *testing.T, b *box.Box) (told func() string) {
	t.Helper()
	s, err := sshTo(t, b).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('>'); err != nil {
		t.Fatal(err)
	}
	return func() string {
		text, _ := io.ReadAll(out)
		return string(text)
	}
}

func sftpSession(t *testing.T, b *box.Box) (told func() string) {
	t.Helper()
	cursor := b.Cursor()
	s, err := sshTo(t, b).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := s.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
	awaitAfter(t, b, cursor, "login.opened")
	return func() string {
		text, _ := io.ReadAll(errs)
		return string(text)
	}
}

func ftpSession(t *testing.T, b *box.Box) (told func() string) {
	t.Helper()
	c, err := net.Dial("tcp", b.DoorAddrs()["ftp"].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	in := bufio.NewReader(c)
	for _, line := range []string{"", "USER admin\r\n", "PASS ironport\r\n"} {
		io.WriteString(c, line)
		for { // the last line of a reply has a blank after the code
			reply, err := in.ReadString('\n')
			if err != nil || len(reply) < 4 {
				t.Fatal(reply, err)
			}
			if reply[3] == ' ' {
				break
			}
		}
	}
	return func() string {
		text, _ := io.ReadAll(in)
		return string(text)
	}
}

func pageSession(t *testing.T, b *box.Box) (told func() string) {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the test's own appliance
	}}
	t.Cleanup(client.CloseIdleConnections)
	base := fmt.Sprintf("https://%v", b.DoorAddrs()["https"])
	body := func(r *http.Response, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	body(client.PostForm(base+"/login", url.Values{
		"username": {"admin"}, "password": {"ironport"}, "action:Login": {"Login"},
	}))
	return func() string { return body(client.Get(base + "/")) }
}
