package mail

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoAuth means that the server offers no way of authentication that the client knows.
var ErrNoAuth = errors.New("the server does not offer AUTH PLAIN or LOGIN")

// Auth authenticates the client (RFC 4954), with PLAIN or, if the server does not offer that, with
// LOGIN. It must follow Hello.
func (c *Conn) Auth(ctx context.Context, user, passphrase string) (Reply, error) {
	offered, _ := c.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(offered))
	encode := base64.StdEncoding.EncodeToString
	switch {
	case strings.ContainsRune(user+passphrase, 0):
		return Reply{}, &Error{Step: Auth, Err: errors.New("a NUL cannot be sent")}
	case slices.Contains(ways, "PLAIN"):
		return c.authStep(ctx, 235, "AUTH PLAIN "+encode([]byte("\x00"+user+"\x00"+passphrase)))
	case slices.Contains(ways, "LOGIN"):
		if r, err := c.authStep(ctx, 334, "AUTH LOGIN"); err != nil {
			return r, err
		}
		if r, err := c.authStep(ctx, 334, encode([]byte(user))); err != nil {
			return r, err
		}
		return c.authStep(ctx, 235, encode([]byte(passphrase)))
	}
	return Reply{}, &Error{Step: Auth, Err: fmt.Errorf("%w, but %q", ErrNoAuth, offered)}
}

func (c *Conn) authStep(ctx context.Context, want int, line string) (Reply, error) {
	return c.command(ctx, Auth, c.timeouts.Command, want, line)
}
