package shell

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"io"
	"sync"

	"github.com/esasim/esasim/appliance/entropy"
	gossh "golang.org/x/crypto/ssh"
)

// Fingerprint returns the fingerprint of a host key, as clients and ssh-keygen -l show it. If SSH
// does not support the type of the key, it returns "".
func Fingerprint(key crypto.PublicKey) string {
	k, err := gossh.NewPublicKey(key)
	if err != nil {
		return ""
	}
	return gossh.FingerprintSHA256(k)
}

// HostKeyType returns the type of a host key in the terms of SSH, such as "ssh-rsa". If SSH does
// not support the key, it returns "".
func HostKeyType(key crypto.PublicKey) string {
	k, err := gossh.NewPublicKey(key)
	if err != nil {
		return ""
	}
	return k.Type()
}

// The types of host keys that a server has besides its first one.
const (
	ECDSAKey = gossh.KeyAlgoECDSA256
	RSAKey   = gossh.KeyAlgoRSA
)

// rsaBits is the size of new RSA keys.
const rsaBits = 2048

// NewHostKey creates a host key. The types are Ed25519 (ssh-ed25519), ECDSAKey and RSAKey. An RSA
// key takes some hundred milliseconds.
func NewHostKey(keyType string) (crypto.Signer, error) {
	random := entropy.System().Stream("host keys")
	switch keyType {
	case gossh.KeyAlgoED25519:
		_, key, err := ed25519.GenerateKey(random)
		return key, err
	case ECDSAKey:
		return ecdsa.GenerateKey(elliptic.P256(), random)
	case RSAKey:
		return rsa.GenerateKey(random, rsaBits)
	}
	return nil, fmt.Errorf("shell: unknown type of host key: %s", keyType)
}

// A LazyHostKey is a host key that is not needed before a client negotiates its type. Old clients
// know only RSA, but no start should have to wait for an RSA key.
type LazyHostKey struct {
	Type string // ECDSAKey or RSAKey
	// Load reads or creates the key. The server calls it at the first handshake that negotiates
	// the type, and again at later ones if it has returned an error.
	Load func() (crypto.Signer, error)
}

// newLazyHostKeys returns keys that are created when they are needed, and not kept.
func newLazyHostKeys() []LazyHostKey {
	var keys []LazyHostKey
	for _, keyType := range []string{ECDSAKey, RSAKey} {
		load := func() (crypto.Signer, error) { return NewHostKey(keyType) }
		keys = append(keys, LazyHostKey{keyType, load})
	}
	return keys
}

// A lazySigner is the signer of a LazyHostKey. All connections of a server share it.
type lazySigner struct {
	LazyHostKey
	onError func(error)

	mu     sync.Mutex // held while the key is loaded
	loaded gossh.AlgorithmSigner
}

// signer returns the signer, and loads the key first if necessary.
func (l *lazySigner) signer() (gossh.AlgorithmSigner, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loaded != nil {
		return l.loaded, nil
	}
	key, err := l.Load()
	if err == nil {
		var s gossh.Signer
		if s, err = gossh.NewSignerFromSigner(key); err == nil && s.PublicKey().Type() != l.Type {
			err = fmt.Errorf("the key has the type %s", s.PublicKey().Type())
		}
		l.loaded, _ = s.(gossh.AlgorithmSigner)
	}
	if err != nil {
		l.loaded = nil
		l.onError(err)
		return nil, fmt.Errorf("load the host key of type %s: %w", l.Type, err)
	}
	return l.loaded, nil
}

// A connectionKeySigner is the signer of a lazy host key within one connection. The SSH library
// asks it for its algorithms when it offers host keys, and for the rest when the client has chosen
// this key.
type connectionKeySigner struct {
	*lazySigner
	hello      *clientHello
	algorithms []string
}

// Algorithms implements gossh.MultiAlgorithmSigner. See clientHello for the reason why there may be
// none.
func (s connectionKeySigner) Algorithms() []string {
	if s.hello.prefersFirstKey() {
		return nil
	}
	return s.algorithms
}

func (s connectionKeySigner) PublicKey() gossh.PublicKey { return lazyPublicKey{s.lazySigner} }

func (s connectionKeySigner) Sign(random io.Reader, data []byte) (*gossh.Signature, error) {
	return s.SignWithAlgorithm(random, data, s.Type)
}

func (s connectionKeySigner) SignWithAlgorithm(
	random io.Reader, data []byte, algorithm string,
) (*gossh.Signature, error) {
	signer, err := s.signer()
	if err != nil {
		return nil, err
	}
	return signer.SignWithAlgorithm(random, data, algorithm)
}

// A lazyPublicKey is the public half of a lazy host key. Its type is known before the key is.
type lazyPublicKey struct{ *lazySigner }

func (k lazyPublicKey) Type() string { return k.LazyHostKey.Type }

// Marshal returns nil if the key cannot be loaded. The signature, which follows, then fails too and
// ends the handshake.
func (k lazyPublicKey) Marshal() []byte {
	signer, err := k.signer()
	if err != nil {
		return nil
	}
	return signer.PublicKey().Marshal()
}

func (k lazyPublicKey) Verify(data []byte, sig *gossh.Signature) error {
	signer, err := k.signer()
	if err != nil {
		return err
	}
	return signer.PublicKey().Verify(data, sig)
}

// hostKeySigners returns the signers of all host keys for one connection, the first key's first.
func (r *runningServer) hostKeySigners(c *connection) []gossh.Signer {
	signers := []gossh.Signer{r.firstKey}
	for _, lazy := range r.lazyKeys {
		algorithms := []string{lazy.Type}
		if lazy.Type == RSAKey {
			algorithms = []string{gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSA}
		}
		signers = append(signers, connectionKeySigner{
			lazySigner: lazy, hello: c.hello, algorithms: algorithms,
		})
	}
	return signers
}
