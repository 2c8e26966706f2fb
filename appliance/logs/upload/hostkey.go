package upload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
)

// A HostKey is a public key of an SSH server.
type HostKey struct {
	Host string // as it is configured: name or address
	Port uint16
	Key  string // "ssh-ed25519 AAAA...", as ParseKey returns it
}

// ErrInvalidKey means that a text is not an SSH public key.
var ErrInvalidKey = errors.New("upload: not an SSH public key")

// ParseKey returns a public key in the form in which it is stored: type and key, without the
// comment and without the host name that precedes it in a file of known hosts. fingerprint is in
// the form that ssh-keygen -l prints.
func ParseKey(text string) (key, fingerprint string, err error) {
	k, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil || len(rest) > 0 {
		return "", "", ErrInvalidKey
	}
	return keyText(k), ssh.FingerprintSHA256(k), nil
}

func keyText(k ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
}

// knownHostKeys returns the known keys of the server.
func (u *Uploader) knownHostKeys() []string {
	var keys []string
	for _, k := range u.o.HostKeys() {
		if k.Port == u.settings.Port && strings.EqualFold(k.Host, u.settings.Host) {
			keys = append(keys, k.Key)
		}
	}
	return keys
}

// hostKeyCallback returns a function that accepts the keys of the server, and sets accepted when
// it has accepted one.
func (u *Uploader) hostKeyCallback(known []string, accepted *bool) func(string, net.Addr,
	ssh.PublicKey) error {
	return func(_ string, _ net.Addr, k ssh.PublicKey) error {
		switch {
		case !u.settings.CheckHostKey || slices.Contains(known, keyText(k)):
			*accepted = true
			return nil
		case len(known) == 0:
			return errHostKeyUnknown
		}
		return errHostKeyMismatch
	}
}

// hostKeyTypes are the types of host keys, the preferred ones first, and the algorithms that
// sign with them.
var hostKeyTypes = []struct {
	key        string
	algorithms []string
}{
	{ssh.KeyAlgoED25519, []string{ssh.KeyAlgoED25519}},
	{ssh.KeyAlgoECDSA256, []string{ssh.KeyAlgoECDSA256}},
	{ssh.KeyAlgoECDSA384, []string{ssh.KeyAlgoECDSA384}},
	{ssh.KeyAlgoECDSA521, []string{ssh.KeyAlgoECDSA521}},
	{ssh.KeyAlgoRSA, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}},
}

// algorithmsFor returns the algorithms to offer to a server whose keys are known, so that a
// server with several keys shows one that is known. Nil means all.
func algorithmsFor(known []string) (names []string) {
	for _, k := range hostKeyTypes {
		if slices.ContainsFunc(known,
			func(key string) bool { return strings.HasPrefix(key, k.key+" ") }) {
			names = append(names, k.algorithms...)
		}
	}
	return names
}

// A Scanner asks SSH servers for their host keys.
type Scanner struct {
	Net            network.Transport
	Lookup         func(ctx context.Context, host string) ([]netip.Addr, error)
	Owner, User    string // of sockets
	ConnectTimeout time.Duration
	IdleTimeout    time.Duration
}

// Scan returns a server's host keys, the preferred type first. If the server has none or cannot
// be asked, the error is a refusal that says why; if ctx ends, it is ctx's cause.
func (s Scanner) Scan(ctx context.Context, host string, port uint16) (keys []string, err error) {
	refuse := func(err error, reason string) error {
		name := host
		if port != SCP.Port() {
			name = net.JoinHostPort(host, strconv.Itoa(int(port)))
		}
		return refusal.Because(err, "The host keys of %s cannot be scanned: %s.", name, reason)
	}
	addrs, err := resolve(ctx, s.Lookup, host)
	if err != nil {
		return nil, refuse(err, reasonText(err))
	}
	d := dialer{s.Net, s.Owner, s.User, s.ConnectTimeout, s.IdleTimeout, ctx}
	for _, t := range hostKeyTypes {
		key, err := d.fetchHostKey(netip.AddrPortFrom(addrs[0], port), t.algorithms)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil && (isConnectionError(err) || len(keys) == 0 && errors.Is(err, errNoSSH)):
			return nil, refuse(err, reasonText(err))
		case key != "":
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, refuse(nil, "The server has no host key of a type that the appliance supports")
	}
	return keys, nil
}

// fetchHostKey returns the server's host key that signs with one of the algorithms, or "" if it
// has none.
func (d dialer) fetchHostKey(at netip.AddrPort, algorithms []string) (key string, err error) {
	c, err := d.dial(at)
	if err != nil {
		return "", err
	}
	defer c.Close()
	errDone := errors.New("upload: got the host key") // ends the handshake
	_, _, _, err = ssh.NewClientConn(c, at.String(), &ssh.ClientConfig{
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			key = keyText(k)
			return errDone
		},
	})
	var mismatch *ssh.AlgorithmNegotiationError
	switch {
	case errors.Is(err, errDone), errors.As(err, &mismatch):
		return key, nil
	case isConnectionError(err):
		return "", err
	}
	return "", fmt.Errorf("%w: %w", errNoSSH, err)
}
