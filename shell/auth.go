package shell

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/users"
)

var errDenied = errors.New("permission denied")

// accountKey is the key of the users.Account in the ExtraData of Permissions.
type accountKey struct{}

// A verifiedLogin is what a client has proved last: the account, and the key if it was by a key.
type verifiedLogin struct {
	account users.Account
	key     []byte
}

// serverConfig returns the methods by which a connection may log in, and the algorithms that the
// server offers.
//
// The library's own handlers for passwords and keys are not used. The library passes them the user
// name of the client's first attempt even if a later attempt has another, and it keeps the account
// of a key that the client has offered without proving that it holds it. The protocol's own
// callbacks tell which attempt has succeeded: the account of a key is part of the Permissions that
// are passed to VerifiedPublicKeyCallback, and a passphrase that is right ends the login.
//
// A server without the library's handlers admits everybody, as far as the library is concerned.
// The method "none" therefore has a callback that denies it.
func (r *runningServer) serverConfig(ctx ssh.Context) *gossh.ServerConfig {
	conn, _ := ctx.Value(connectionKey{}).(*connection)
	offered := r.offeredAlgorithms()
	c := &gossh.ServerConfig{
		MaxAuthTries: r.limits.AuthTries,
		BannerCallback: func(gossh.ConnMetadata) string {
			return withCRLF(r.Appliance.AdminAccess().Banner)
		},
		NoClientAuthCallback: func(gossh.ConnMetadata) (*gossh.Permissions, error) {
			return nil, gossh.ErrNoAuth
		},
		PasswordCallback: func(c gossh.ConnMetadata, passphrase []byte) (*gossh.Permissions, error) {
			return r.verify(conn, c.User(), string(passphrase))
		},
		KeyboardInteractiveCallback: func(
			c gossh.ConnMetadata, ask gossh.KeyboardInteractiveChallenge,
		) (*gossh.Permissions, error) {
			answers, err := ask("", "", []string{"Password:"}, []bool{false})
			if err != nil {
				return nil, err
			}
			if len(answers) != 1 {
				return nil, errDenied
			}
			return r.verify(conn, c.User(), answers[0])
		},
		PublicKeyCallback: func(c gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
			return r.verifyKey(conn, c.User(), key)
		},
		VerifiedPublicKeyCallback: func(
			_ gossh.ConnMetadata, key gossh.PublicKey, p *gossh.Permissions, _ string,
		) (*gossh.Permissions, error) {
			account, ok := p.ExtraData[accountKey{}].(users.Account)
			if !ok {
				return nil, errDenied
			}
			conn.verified = verifiedLogin{account, key.Marshal()}
			return p, nil
		},
		AuthLogCallback: func(c gossh.ConnMetadata, method string, err error) {
			if err == nil {
				r.authenticated(conn)
			}
		},
		PublicKeyAuthAlgorithms: offered.PublicKeys,
	}
	c.KeyExchanges, c.Ciphers, c.MACs = offered.KeyExchanges, offered.Ciphers, offered.MACs
	for _, signer := range r.hostKeySigners(conn) {
		c.AddHostKey(signer)
	}
	return c
}

// offeredAlgorithms are the algorithms that a server with a configuration offers.
type offeredAlgorithms struct {
	config *config.Config
	Algorithms
}

// offeredAlgorithms returns the algorithms that the server offers now.
func (r *runningServer) offeredAlgorithms() *offeredAlgorithms {
	committed := r.Appliance.Config.Committed()
	if o := r.offered.Load(); o != nil && o.config == committed {
		return o
	}
	o := &offeredAlgorithms{committed, Settings.Get(committed).Offered(r.Appliance.Product.Version)}
	r.offered.Store(o)
	return o
}

// withCRLF returns text with the line ends of SSH messages (RFC 4252, section 5.4).
func withCRLF(text string) string {
	if text == "" {
		return ""
	}
	return strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"
}

// verify checks a passphrase. It delays the answer to a wrong one.
func (r *runningServer) verify(c *connection, name, passphrase string) (*gossh.Permissions, error) {
	if !r.Appliance.Guard.Begin(r.runCtx, c.addr) {
		return nil, errDenied
	}
	account, err := r.Appliance.Users.Verify(name, passphrase)
	if err == nil {
		r.Appliance.Guard.End(c.addr) // authenticated reports the success
		c.verified = verifiedLogin{account: account}
		return &gossh.Permissions{}, nil
	}
	delay, blocked := r.Appliance.Guard.Failed(c.addr)
	r.Appliance.Guard.End(c.addr)
	r.logAuthf(appliance.Information, "%s",
		FailedLoginMessage(name, fmt.Sprintf("from %v", c.addr), "using an SSH connection"))
	if blocked {
		r.logAuthf(appliance.Warning,
			"The address %v is blocked after too many failed authentication attempts.", c.addr)
	}
	if err := r.Appliance.Clock.Sleep(r.runCtx, delay); err != nil {
		return nil, err
	}
	return nil, errDenied
}

// verifyKey checks a public key. A wrong key does not count as a failed login, because SSH agents
// offer every key that they hold.
func (r *runningServer) verifyKey(
	c *connection, name string, key gossh.PublicKey,
) (*gossh.Permissions, error) {
	if !r.Appliance.Guard.Admit(c.addr) {
		return nil, errDenied
	}
	account, err := r.Appliance.Users.VerifyKey(name, key.Marshal())
	if err != nil {
		return nil, errDenied
	}
	return &gossh.Permissions{ExtraData: map[any]any{accountKey{}: account}}, nil
}

// authenticated records that a user has logged in over c.
func (r *runningServer) authenticated(c *connection) {
	account := c.verified.account
	c.setUser(account.Name)
	c.out.endHandshake()
	r.Appliance.Guard.Succeeded(c.addr)
	c.loginEvent = events.Publish(r.Appliance.Events, 0, users.LoginAccepted{
		User: account.Name, Client: c.addr, Service: "ssh",
	})
	r.Appliance.LogEvent(c.loginEvent, appliance.AuthenticationLog, appliance.Information,
		LoginMessage(account, fmt.Sprintf("from %v", c.addr), "using an SSH connection"))
	c.authority = r.Appliance.Users.Authorize(account, c.verified.key, users.AuthorityOptions{
		OnChange: func(_ users.Account, err error) {
			if err != nil {
				c.revoke()
			}
		},
	})
}
