package upload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/network"
)

// A HostKey is a key by which a server is known.
type HostKey struct {
	Host string // as it is configured: name or address
	Port uint16
	Key  string // "ssh-ed25519 AAAA...", as ParseKey returns it
}

// ErrKey says that a text is no public key.
var ErrInvalidKey = errors.New("push: not a public key of SSH")

// ParseKey brings a public key into the form in which it is kept: its type and itself,
// without a comment, or the name in front of it in a file of known hosts. fingerprint is
// as ssh-keygen -l shows it.
func ParseKey(text string) (key, fingerprint string, err error) {
	k, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil || len(rest) > 0 {
		return "", "", ErrInvalidKey
	}
	return keyText(k), ssh.FingerprintSHA256(k), nil
}

func keyText(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }

// hostKeys are those by which the server is known.
func (p *Uploader) hostKeys() []string {
	var keys []string
	for _, k := range p.o.HostKeys() {
		if k.Port == p.settings.Port && strings.EqualFold(k.Host, p.settings.Host) {
			keys = append(keys, k.Key)
		}
	}
	return keys
}

// judge decides whether a key is the server's, and notes that it was.
func (p *Uploader) judge(known []string, acquainted *bool) func(string, net.Addr, ssh.PublicKey) error {
	return func(_ string, _ net.Addr, k ssh.PublicKey) error {
		switch {
		case !p.settings.CheckHostKey || slices.Contains(known, keyText(k)):
			*acquainted = true
			return nil
		case len(known) == 0:
			return errUnknownKey
		}
		return errOtherKey
	}
}

// kinds are the types of host keys, and the algorithms that sign with them, the best first.
var kinds = []struct {
	key        string
	algorithms []string
}{
	{ssh.KeyAlgoED25519, []string{ssh.KeyAlgoED25519}},
	{ssh.KeyAlgoECDSA256, []string{ssh.KeyAlgoECDSA256}},
	{ssh.KeyAlgoECDSA384, []string{ssh.KeyAlgoECDSA384}},
	{ssh.KeyAlgoECDSA521, []string{ssh.KeyAlgoECDSA521}},
	{ssh.KeyAlgoRSA, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}},
}

// algorithms are those that a server of known keys is asked for, so that of several keys
// it shows one that is known. Nil: all.
func algorithms(known []string) (names []string) {
	for _, k := range kinds {
		if slices.ContainsFunc(known, func(key string) bool { return strings.HasPrefix(key, k.key+" ") }) {
			names = append(names, k.algorithms...)
		}
	}
	return names
}

// A Scanner asks servers for their keys.
type Scanner struct {
	Net            network.Transport
	Lookup         func(ctx context.Context, host string) ([]netip.Addr, error)
	Owner, User    string // of sockets
	ConnectTimeout time.Duration
	IdleTimeout    time.Duration
}

// Scan returns a server's keys, the best kind first. Its error is a sentence's end for an
// administrator: why there is none.
func (s Scanner) Scan(ctx context.Context, host string, port uint16) (keys []string, err error) {
	addrs, err := lookup(ctx, s.Lookup, host)
	if err != nil {
		return nil, errors.New(sentence(err))
	}
	d := dialer{s.Net, s.Owner, s.User, s.ConnectTimeout, s.IdleTimeout, ctx}
	for _, k := range kinds {
		key, err := d.ask(netip.AddrPortFrom(addrs[0], port), k.algorithms)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil && (broken(err) || len(keys) == 0 && errors.Is(err, errNoSSH)):
			return nil, errors.New(sentence(err))
		case key != "":
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("It has no host key of a kind that the appliance knows")
	}
	return keys, nil
}

// ask gets a key of one kind; "" if the server has none.
func (d dialer) ask(at netip.AddrPort, algorithms []string) (key string, err error) {
	c, err := d.dial(at)
	if err != nil {
		return "", err
	}
	defer c.Close()
	seen := errors.New("push: seen")
	_, _, _, err = ssh.NewClientConn(c, at.String(), &ssh.ClientConfig{
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			key = keyText(k)
			return seen
		},
	})
	var other *ssh.AlgorithmNegotiationError
	switch {
	case errors.Is(err, seen), errors.As(err, &other):
		return key, nil
	case broken(err):
		return "", err
	}
	return "", fmt.Errorf("%w: %w", errNoSSH, err)
}
