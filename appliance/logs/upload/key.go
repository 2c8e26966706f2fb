package upload

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/atomicfile"
)

const pemType = "PRIVATE KEY" // PKCS #8, RFC 7468

// LoadOrCreateKey reads the appliance's key pair from a file. If the file does not exist, it
// creates a key pair from random bytes of rand, which must be as unpredictable as the key is to
// be, and writes it to the file. A file that holds no key pair is replaced, which is logged.
func LoadOrCreateKey(file string, rand io.Reader, log *slog.Logger) (crypto.Signer, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return createKey(file, rand)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key for SCP: %w", err)
	}
	key, err := parseKey(text)
	if err != nil {
		log.Warn("the key for SCP is damaged and is replaced by a new one", "file", file, "err", err)
		return createKey(file, rand)
	}
	return key, nil
}

func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, errors.New("expected a private key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	if _, err := ssh.NewPublicKey(signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

func createKey(file string, rand io.Reader) (crypto.Signer, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, fmt.Errorf("create the key for SCP: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("create the key for SCP: %w", err)
	}
	if err := atomicfile.WriteSynced(file,
		pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})); err != nil {
		return nil, fmt.Errorf("store the key for SCP: %w", err)
	}
	return key, nil
}

// AuthorizedKey returns the public half of a key pair as a line of authorized_keys.
func AuthorizedKey(key crypto.Signer, comment string) (string, error) {
	k, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("encode the key for SCP: %w", err)
	}
	return keyText(k) + " " + comment, nil
}
