package shell

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/users"
)

var errDenied = errors.New("permission denied")

type accountKey struct{}

// config says how one connection may authenticate and which algorithms are spoken.
//
// The library's own handlers for passwords and keys are not used: it tells them the
// user name of the client's first attempt also when a later one has another, and it
// keeps the account of a key that was only asked about. With the protocol's callbacks
// the account travels in the Permissions of the attempt that succeeded. Since the
// library takes a server without its handlers for one that admits everybody, the
// method "none" has a callback that denies it.
func (r *run) config(ctx ssh.Context) *gossh.ServerConfig {
	p, _ := ctx.Value(peerKey{}).(*peer)
	offered := SSHAlgorithms()
	c := &gossh.ServerConfig{
		MaxAuthTries: r.limits.AuthTries,
		BannerCallback: func(gossh.ConnMetadata) string {
			return onWire(r.Appliance.AdminAccess().Banner)
		},
		NoClientAuthCallback: func(gossh.ConnMetadata) (*gossh.Permissions, error) {
			return nil, gossh.ErrNoAuth
		},
		PasswordCallback: func(c gossh.ConnMetadata, passphrase []byte) (*gossh.Permissions, error) {
			return r.verify(p, c.User(), string(passphrase))
		},
		KeyboardInteractiveCallback: func(c gossh.ConnMetadata, ask gossh.KeyboardInteractiveChallenge) (*gossh.Permissions, error) {
			answers, err := ask("", "", []string{"Password:"}, []bool{false})
			if err != nil {
				return nil, err
			}
			if len(answers) != 1 {
				return nil, errDenied
			}
			return r.verify(p, c.User(), answers[0])
		},
		PublicKeyCallback: func(c gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
			if !r.Appliance.Guard.Admit(p.addr) {
				return nil, errDenied
			}
			account, err := r.Appliance.Users.VerifyKey(c.User(), key.Marshal())
			if err != nil {
				return nil, errDenied // no guess: agents offer every key they hold
			}
			return permit(account), nil
		},
		AuthLogCallback: func(c gossh.ConnMetadata, method string, err error) {
			if err != nil {
				return
			}
			p.login(c.User())
			r.Appliance.Guard.Succeeded(p.addr)
			if account, known := r.Appliance.Users.Lookup(c.User()); known {
				r.Appliance.Log(appliance.AuthenticationLog, appliance.Information, LoginMessage(account, fmt.Sprintf("from %v", p.addr), "using an SSH connection"))
			}
		},
		PublicKeyAuthAlgorithms: offered.PublicKeys,
	}
	c.KeyExchanges, c.Ciphers, c.MACs = offered.KeyExchanges, offered.Ciphers, offered.MACs
	return c
}

// onWire gives a text the line ends of SSH's messages (RFC 4252, section 5.4).
func onWire(text string) string {
	if text == "" {
		return ""
	}
	return strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"
}

func permit(a users.Account) *gossh.Permissions {
	return &gossh.Permissions{ExtraData: map[any]any{accountKey{}: a}}
}

// verify checks a passphrase, and holds the answer back after a wrong one.
func (r *run) verify(p *peer, name, passphrase string) (*gossh.Permissions, error) {
	if !r.Appliance.Guard.Admit(p.addr) {
		return nil, errDenied
	}
	account, err := r.Appliance.Users.Verify(name, passphrase)
	if err == nil {
		return permit(account), nil
	}
	delay, blocked := r.Appliance.Guard.Failed(p.addr)
	r.Appliance.Log(appliance.AuthenticationLog, appliance.Information,
		FailedLoginMessage(name, fmt.Sprintf("from %v", p.addr), "using an SSH connection"))
	if blocked {
		r.Appliance.Log(appliance.AuthenticationLog, appliance.Warning,
			fmt.Sprintf("The address %v is blocked after too many failed authentication attempts.", p.addr))
	}
	if err := r.Appliance.Clock.Sleep(r.life, delay); err != nil {
		return nil, err
	}
	return nil, errDenied
}
