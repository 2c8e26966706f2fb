package shell_test

import (
	"crypto"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/tooltest"
	"github.com/esasim/esasim/shell"
)

// typeSeen logs in and returns the type of the host key that the client saw.
func typeSeen(t *testing.T, s *shell.Server, change func(*gossh.ClientConfig)) (string, error) {
	t.Helper()
	config := clientConfig("admin", "ironport")
	keyType := ""
	config.HostKeyCallback = func(_ string, _ net.Addr, key gossh.PublicKey) error {
		keyType = key.Type()
		return nil
	}
	change(config)
	c, err := gossh.Dial("tcp", s.Addr().String(), config)
	if err == nil {
		c.Close()
	}
	return keyType, err
}

// countingKeys returns host keys of which it counts the creations.
func countingKeys(created *atomic.Int32) []shell.LazyHostKey {
	var keys []shell.LazyHostKey
	for _, keyType := range []string{shell.ECDSAKey, shell.RSAKey} {
		keys = append(keys, shell.LazyHostKey{Type: keyType, Load: func() (crypto.Signer, error) {
			created.Add(1)
			return shell.NewHostKey(keyType)
		}})
	}
	return keys
}

// A client that knows the first key gets it, so that existing known_hosts files stay valid. The
// others are created once, by the first client that needs them.
func TestHostKeys(t *testing.T) {
	app, _ := newAppliance(t)
	var created atomic.Int32
	s := startServer(t, app, func(s *shell.Server) { s.MoreHostKeys = countingKeys(&created) })
	custom := func(c *gossh.ClientConfig) { c.ClientVersion = goClient + "_with_a_suffix" }
	for name, change := range map[string]func(*gossh.ClientConfig){
		"default": func(*gossh.ClientConfig) {}, "suffix": custom,
	} {
		if got, err := typeSeen(t, s, change); got != gossh.KeyAlgoED25519 || err != nil {
			t.Errorf("%s: a Go client sees %s, %v", name, got, err)
		}
	}
	if n := created.Load(); n != 0 {
		t.Errorf("%d keys were created before a client needed them", n)
	}
	var clients sync.WaitGroup
	for _, algorithm := range []string{
		gossh.KeyAlgoRSA, gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512, gossh.KeyAlgoECDSA256,
	} {
		clients.Go(func() {
			got, err := typeSeen(t, s, func(c *gossh.ClientConfig) {
				c.HostKeyAlgorithms = []string{algorithm}
			})
			if err != nil || !strings.HasPrefix(algorithm, got[:5]) && got != gossh.KeyAlgoRSA {
				t.Errorf("%s: %s, %v", algorithm, got, err)
			}
		})
	}
	clients.Wait()
	if n := created.Load(); n != 2 {
		t.Errorf("%d keys were created, want 2", n)
	}
	other := func(c *gossh.ClientConfig) { c.ClientVersion = "SSH-2.0-paramiko_2.7" }
	got, err := typeSeen(t, s, other)
	if got == "" || err != nil {
		t.Errorf("another client: %s, %v", got, err)
	}
}

const goClient = "SSH-2.0-Go"

// A key that cannot be loaded fails the handshakes that need it, and only those.
func TestHostKeyThatCannotBeLoaded(t *testing.T) {
	app, _ := newAppliance(t)
	var broken atomic.Bool
	broken.Store(true)
	s := startServer(t, app, func(s *shell.Server) {
		s.MoreHostKeys = []shell.LazyHostKey{{Type: shell.RSAKey, Load: func() (crypto.Signer, error) {
			if broken.Load() {
				return nil, errors.New("no disk")
			}
			return shell.NewHostKey(shell.RSAKey)
		}}}
	})
	useRSA := func(c *gossh.ClientConfig) { c.HostKeyAlgorithms = []string{gossh.KeyAlgoRSA} }
	if _, err := typeSeen(t, s, useRSA); err == nil {
		t.Error("a handshake succeeded without a key")
	}
	if _, err := typeSeen(t, s, func(*gossh.ClientConfig) {}); err != nil {
		t.Error("a client that needs no RSA key:", err)
	}
	broken.Store(false)
	if _, err := typeSeen(t, s, useRSA); err != nil {
		t.Error("after the key has become available:", err)
	}
}

func TestOpenSSHKnowsEveryHostKey(t *testing.T) {
	tooltest.Need(t, "ssh-keyscan", "ssh", "sshpass")
	app, _ := newAppliance(t)
	s := startServer(t, app, nil, whoamiCommand)
	host, port, _ := net.SplitHostPort(s.Addr().String())
	var types []string
	scan := []string{"-T", "60", "-p", port, "-t", "rsa,ecdsa,ed25519", host}
	out, _, _ := runProgram(t, "", "ssh-keyscan", scan...)
	var known string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 3 {
			types = append(types, f[1])
			if f[1] == gossh.KeyAlgoED25519 {
				known = line
			}
		}
	}
	slices.Sort(types)
	if want := []string{"ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"}; !slices.Equal(types, want) {
		t.Errorf("ssh-keyscan finds %q", types)
	}
	// the known_hosts file of a user whose client has seen the first key only
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, options := range [][]string{
		{"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + file},
		{"-o", "HostKeyAlgorithms=rsa-sha2-512"}, {"-o", "HostKeyAlgorithms=rsa-sha2-256"},
		{"-o", "HostKeyAlgorithms=+ssh-rsa,ssh-rsa"}, {"-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256"},
	} {
		args := append([]string{"-p", "ironport", "ssh"}, options...)
		args = append(args, sshArgs(t, s, "whoami")...)
		if out, stderr, status := runProgram(t, "", "sshpass", args...); status != 0 {
			t.Errorf("%q: %s%s", options, out, stderr)
		}
	}
}
