package upload_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/logs/upload"
)

// privateKey returns a key in the form of the key file.
func privateKey(t testing.TB, key crypto.Signer, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Whatever the key file holds, the appliance has a key that SSH can use, and has it again after the
// next start.
func FuzzKeyFile(f *testing.F) {
	file := filepath.Join(f.TempDir(), "key")
	log, random := slog.New(slog.DiscardHandler), entropy.System()
	if _, err := upload.LoadOrCreateKey(file, random.Stream("key"), log); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----\n"))
	p224, err := ecdsa.GenerateKey(elliptic.P224(), random.Stream("ecdsa"))
	f.Add(privateKey(f, p224, err)) // SSH has no such keys
	r, err := rsa.GenerateKey(random.Stream("rsa"), 2048)
	f.Add(privateKey(f, r, err))
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for range 2 {
			key, err := upload.LoadOrCreateKey(file, random.Stream("key"), log)
			if err != nil {
				t.Fatal(err)
			}
			line, err := upload.AuthorizedKey(key, "esa")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ssh.NewSignerFromSigner(key); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, line)
		}
		if lines[0] != lines[1] {
			t.Fatalf("after a restart %s, before %s", lines[1], lines[0])
		}
	})
}
