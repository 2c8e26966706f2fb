package shell_test

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// setAccess commits a change of the section users.Access.
func setAccess(t *testing.T, app *appliance.Appliance, change func(*users.AdminAccess)) {
	t.Helper()
	d := app.Config.NewDraft()
	edit := func(v *users.AdminAccess) error { change(v); return nil }
	if err := users.Access.Edit(d, edit); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
}

func TestBannerPrecedesLogin(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, nil, whoamiCommand)
	banner := func() (text string) {
		t.Helper()
		c := clientConfig("admin", "wrong")
		c.BannerCallback = func(message string) error { text += message; return nil }
		if conn, err := gossh.Dial("tcp", s.Addr().String(), c); err == nil {
			conn.Close()
			t.Fatal("logged in")
		}
		return text
	}
	if got := banner(); got != "" {
		t.Errorf("without a banner: %q", got)
	}
	setAccess(t, app, func(a *users.AdminAccess) {
		a.Banner = "Authorized users only.\nOthers leave."
	})
	if got, want := banner(), "Authorized users only.\r\nOthers leave.\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestConsoleShowsBannerAndWelcomeMessage(t *testing.T) {
	app, _ := newAppliance(t)
	setAccess(t, app, func(a *users.AdminAccess) {
		a.Banner, a.Welcome = "Authorized users only.", "Good morning."
	})
	var out bytes.Buffer
	c := &shell.Console{
		Appliance: app, Commands: []*shell.Command{exitCommand},
		In: io.NopCloser(strings.NewReader("admin\nironport\nexit\n")), Out: &out,
	}
	if err := c.Serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if !strings.HasPrefix(got, "\nAuthorized users only.\n\nAsyncOS example.com (ttyv0)\n") {
		t.Errorf("the output begins with %q", got)
	}
	if !strings.Contains(got, "they are made.\n\nGood morning.\n\n"+prompt) {
		t.Errorf("no welcome message before the prompt in %q", got)
	}
}

func TestAccessIsRestrictedToListedAddresses(t *testing.T) {
	var written logBuffer
	app, _ := newAppliance(t, withLogger(&written))
	s := startServer(t, app, nil, whoamiCommand)
	restrict := func(network string) {
		setAccess(t, app, func(a *users.AdminAccess) {
			a.Restricted, a.Allowed = true, []netip.Prefix{netip.MustParsePrefix(network)}
		})
	}
	restrict("127.0.0.0/8")
	first, err := gossh.Dial("tcp", s.Addr().String(), clientConfig("admin", "ironport"))
	if err != nil {
		t.Fatalf("from a listed address: %v", err)
	}
	defer first.Close()
	restrict("192.0.2.1/32")
	if _, err := login(t, s, "admin", gossh.Password("ironport")); err == nil {
		t.Error("a new connection from an address that is not listed was admitted")
	}
	if out, _, _ := execute(t, first, "whoami", ""); out == "" {
		t.Error("an established connection was ended")
	}
	const want = "An SSH connection from 127.0.0.1 was refused"
	if !strings.Contains(written.String(), want) {
		t.Errorf("the log lacks %q:\n%s", want, written.String())
	}
}
