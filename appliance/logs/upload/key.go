package upload

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/atomicfile"
)

const keyType = "PRIVATE KEY" // PKCS #8, RFC 7468

// OpenKey reads the appliance's key pair from a file; where there is none it makes one of
// chance, which must be as good as the key is to be, and writes it there.
func LoadOrCreateKey(file string, chance io.Reader) (crypto.Signer, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return makeKey(file, chance)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key for SCP: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyType {
		return nil, fmt.Errorf("%s: expected a private key in PEM", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: the key cannot sign", file)
	}
	return signer, nil
}

func makeKey(file string, chance io.Reader) (crypto.Signer, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(chance, seed); err != nil {
		return nil, fmt.Errorf("make a key for SCP: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a key for SCP: %w", err)
	}
	if err := atomicfile.WriteSynced(file, pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: der})); err != nil {
		return nil, fmt.Errorf("keep the key for SCP: %w", err)
	}
	return key, nil
}

// PublicKey is the line for authorized_keys of a key pair.
func AuthorizedKey(key crypto.Signer, comment string) (string, error) {
	k, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("show the key for SCP: %w", err)
	}
	return keyText(k) + " " + comment, nil
}
