package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/shell"
)

// Whatever the files of a data directory hold besides those of the appliance, the directory opens
// and opens again, unless the mark names another topology.
func FuzzDataDirectory(f *testing.F) {
	f.Add([]byte("lab\n"), []byte("123\n"), []byte(`{"pid":123}`))
	f.Add([]byte("la"), []byte(""), []byte("{"))
	f.Add([]byte("syslog\n"), []byte("-1"), []byte("null"))
	f.Add([]byte("\x00\xff\n\n"), bytes.Repeat([]byte("9"), 100), []byte(`[{"pid":"x"}]`))
	f.Fuzz(func(t *testing.T, mark, lock, announced []byte) {
		dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
		readyFile := filepath.Join(t.TempDir(), "ready")
		for name, content := range map[string][]byte{
			filepath.Join(dir, topologyMarkName): mark, filepath.Join(dir, lockName): lock,
			readyFile: announced,
		} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			d, err := openData(dir, "lab", log)
			if err != nil {
				if name := strings.TrimSuffix(string(mark), "\n"); name == "lab" || name == string(mark) ||
					!strings.Contains(err.Error(), "belongs to topology "+name) {
					t.Fatal(err)
				}
				return
			}
			if _, err := openData(dir, "lab", log); err == nil {
				t.Fatal("the directory is open twice")
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := removeReady(readyFile, os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if err := removeReady(readyFile, 0); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever a host key's file holds, there is a key that SSH can use, and the same one after the
// next start.
func FuzzHostKeyFile(f *testing.F) {
	random := entropy.System().Stream("key")
	add := func(key crypto.Signer, err error) {
		if err != nil {
			f.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			f.Fatal(err)
		}
		whole := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		f.Add(whole)
		f.Add(whole[:len(whole)-40])
	}
	add(newHostKey())
	add(shell.NewHostKey(shell.ECDSAKey))
	add(ecdsa.GenerateKey(elliptic.P224(), random)) // SSH has no such keys
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		home, log := t.TempDir(), slog.New(slog.DiscardHandler)
		t.Setenv("XDG_STATE_HOME", home)
		keys, err := stateHome()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(keys, 0o700); err != nil {
			t.Fatal(err)
		}
		ecdsaFile := filepath.Join(keys, "ssh_host_ecdsa_key")
		for _, file := range []string{filepath.Join(keys, keyName), ecdsaFile} {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var found [2][]string
		for run := range found {
			first, err := hostKey(true, log)
			if err != nil {
				t.Fatal(err)
			}
			second, err := loadHostKey(shell.ECDSAKey, ecdsaFile, true)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []crypto.Signer{first, second} {
				if shell.HostKeyType(key.Public()) == "" {
					t.Fatalf("SSH has no keys such as %T", key)
				}
				der, err := x509.MarshalPKIXPublicKey(key.Public())
				if err != nil {
					t.Fatal(err)
				}
				found[run] = append(found[run], string(der))
			}
		}
		if found[0][0] != found[1][0] || found[0][1] != found[1][1] {
			t.Fatal("the next start has another host key")
		}
	})
}
