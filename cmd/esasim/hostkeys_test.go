package main

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/shell"
)

// hostKeySeen returns the host key that a client sees that knows one type only.
func hostKeySeen(t *testing.T, address string, algorithms ...string) string {
	t.Helper()
	seen := ""
	config := &ssh.ClientConfig{
		User: "admin", HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			seen = ssh.FingerprintSHA256(key)
			return nil
		},
	}
	if c, err := ssh.Dial("tcp", address, config); err == nil {
		c.Close()
	}
	if seen == "" {
		t.Errorf("no host key for %q", algorithms)
	}
	return seen
}

// The keys for older clients are made when a client needs them, and kept. A file that is no key
// does not keep the server from starting, nor the client from connecting.
func TestHostKeysOfOlderClients(t *testing.T) {
	home := t.TempDir()
	first := start(t, home)
	state := filepath.Dir(hostKeyFiles(t, home, "ssh_host_ed25519_key")[0])
	if made := hostKeyFiles(t, home, "ssh_host_[er][cs]*_key"); len(made) != 0 {
		t.Errorf("keys are made before a client needs them: %q", made)
	}
	address := first.ready.Addresses["ssh"]
	hostKeySeen(t, address, shell.ECDSAKey)
	rsa := hostKeySeen(t, address, shell.RSAKey)
	for _, algorithm := range []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256} {
		if hostKeySeen(t, address, algorithm) != rsa {
			t.Error("there are several RSA keys")
		}
	}
	if got, want := hostKeySeen(t, address), first.ready.HostKey; got != want {
		t.Errorf("a client that knows every type sees %s, want the first key, %s", got, want)
	}
	first.stop(t, syscall.SIGTERM)

	file := filepath.Join(state, "ssh_host_ecdsa_key")
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := start(t, home)
	if got := hostKeySeen(t, second.ready.Addresses["ssh"], shell.RSAKey); got != rsa {
		t.Error("the RSA key is another one after a start")
	}
	replaced := hostKeySeen(t, second.ready.Addresses["ssh"], shell.ECDSAKey)
	second.stop(t, syscall.SIGTERM)
	third := start(t, home, "--ephemeral")
	if got := hostKeySeen(t, third.ready.Addresses["ssh"], shell.ECDSAKey); got != replaced {
		t.Error("the key that replaced a damaged file is not kept")
	}
	third.stop(t, syscall.SIGTERM)
}

// hostKeyFiles returns the files below a directory whose name matches a pattern.
func hostKeyFiles(t *testing.T, home, pattern string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(home, func(path string, _ os.DirEntry, err error) error {
		if ok, _ := filepath.Match(pattern, filepath.Base(path)); ok {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
