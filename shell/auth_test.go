package shell

import (
	"net"
	"net/netip"
	"testing"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
)

// connMetadata describes the connection of an attempt to log in.
type connMetadata struct {
	gossh.ConnMetadata
	user string
}

func (c connMetadata) User() string         { return c.user }
func (c connMetadata) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// authContext is a context of the library that holds a connection.
type authContext struct {
	ssh.Context
	conn *connection
}

func (c authContext) Value(any) any { return c.conn }

// A client may send another user name with each attempt.
func TestAccountIsThatOfTheSuccessfulAttempt(t *testing.T) {
	app, err := appliance.New(appliance.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Stop(t.Context()) //nolint:errcheck // it has no services
	hash, err := users.HashPassphrase("passphrase1")
	if err != nil {
		t.Fatal(err)
	}
	d := app.Config.NewDraft()
	if err := users.Section.Edit(d, func(a *users.Accounts) error {
		guest := users.Account{Name: "guest", FullName: "G", Role: users.Guest, Hash: hash}
		a.List = append(a.List, guest)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}

	r := &runningServer{
		Server: &Server{Appliance: app}, runCtx: t.Context(), limits: Limits{}.withDefaults(),
	}
	conn := &connection{
		addr:               netip.MustParseAddr("192.0.2.1"),
		stopHandshakeTimer: clock.System().AfterFunc(0, func() {}),
	}
	c := r.serverConfig(authContext{conn: conn})
	attempt := func(user, passphrase string) string {
		if _, err := c.PasswordCallback(connMetadata{user: user}, []byte(passphrase)); err != nil {
			return "denied"
		}
		return conn.verified.account.Name
	}
	for _, a := range [][3]string{
		{"guest", "wrong", "denied"},
		{"admin", "passphrase1", "denied"},
		{"guest", "passphrase1", "guest"},
		{"admin", "ironport", "admin"},
		{"guest", "ironport", "denied"},
	} {
		if got := attempt(a[0], a[1]); got != a[2] {
			t.Errorf("%s with %s: %s, want %s", a[0], a[1], got, a[2])
		}
	}
	if _, err := c.NoClientAuthCallback(connMetadata{user: "admin"}); err == nil {
		t.Error("the method none was accepted")
	}
}
