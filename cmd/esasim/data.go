package main

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// A dataDir is where one appliance keeps its configuration and files. It belongs
// to one process at a time, and to the topology under which it was made.
type dataDir struct {
	path   string
	lock   *os.File
	remove bool // at close
}

// stateHome is the user's directory for esasim: XDG's on Unix, the system's
// elsewhere.
func stateHome() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "esasim"), nil
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		d, err := os.UserConfigDir()
		if err != nil {
			return "", fmt.Errorf("find the user's state directory: %w", err)
		}
		return filepath.Join(d, "esasim"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the user's state directory: %w; give one with --data", err)
	}
	return filepath.Join(home, ".local", "state", "esasim"), nil
}

// openData opens dir, which it creates, for an appliance of topology.
func openData(dir, topology string) (*dataDir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	if err := foreign(dir); err != nil { // before anything is put there
		return nil, err
	}
	d := &dataDir{path: dir}
	if err := d.acquire(); err != nil {
		return nil, err
	}
	mark := filepath.Join(dir, markName)
	made, err := os.ReadFile(mark)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = os.WriteFile(mark, []byte(topology+"\n"), 0o600)
	case err == nil && strings.TrimSpace(string(made)) != topology:
		err = fmt.Errorf("data directory %s was made under topology %s, not %s: choose another with --data", dir, strings.TrimSpace(string(made)), topology)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// foreign refuses a directory that holds something, but no appliance.
func foreign(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the data directory: %w", err)
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == markName }) {
		return nil
	}
	for _, e := range entries {
		if e.Name() != lockName {
			return fmt.Errorf("data directory %s holds other files, such as %s, and no appliance: choose an empty one", dir, e.Name())
		}
	}
	return nil
}

const (
	lockName = "lock"     // held by the process that uses the directory
	markName = "topology" // names the topology under which it was made
)

// acquire takes the directory for this process until Close.
func (d *dataDir) acquire() error {
	f, err := os.OpenFile(filepath.Join(d.path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return fmt.Errorf("data directory %s is in use by another process", d.path)
	}
	d.lock = f
	return nil
}

// Close gives the directory back, and removes it if it was made for this run.
func (d *dataDir) Close() error {
	if d.remove {
		_ = os.RemoveAll(d.path) // what is left, as Windows does of a file that is open, goes below
	}
	err := d.lock.Close()
	if d.remove {
		err = errors.Join(err, os.RemoveAll(d.path))
	}
	if err != nil {
		return fmt.Errorf("close the data directory: %w", err)
	}
	return nil
}

const ephemeralPrefix = "esasim-ephemeral-"

// ephemeralData makes a directory that goes with this process. What a process that
// was killed left behind goes now.
func ephemeralData() (*dataDir, error) {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), ephemeralPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("look for left-over data: %w", err)
	}
	for _, dir := range old {
		if fi, err := os.Lstat(dir); err != nil || !fi.IsDir() { // a link leads elsewhere
			continue
		}
		d := &dataDir{path: dir, remove: true}
		if d.acquire() == nil { // nobody's any more
			_ = d.Close() // another user's stays
		}
	}
	failed := errors.New("other processes remove it")
	for range 10 {
		dir, err := os.MkdirTemp("", ephemeralPrefix)
		if err != nil {
			return nil, fmt.Errorf("create a data directory for this run: %w", err)
		}
		d := &dataDir{path: dir, remove: true}
		if err = d.acquire(); err == nil && d.present() {
			return d, nil
		}
		// Another process, which starts now too, took it for left over.
		if err == nil {
			err = d.lock.Close()
		}
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			failed = err
		}
	}
	return nil, fmt.Errorf("create a data directory for this run: %w", failed)
}

// present reports whether the directory still is the one that was acquired.
func (d *dataDir) present() bool {
	held, err := d.lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(filepath.Join(d.path, lockName))
	return err == nil && os.SameFile(held, there)
}

const keyName = "ssh_host_ed25519_key"

// hostKey is the user's one host key, so that no client is ever told that it
// changed. It lies above the data directories. With keep false a missing key is
// made in memory only.
func hostKey(keep bool) (crypto.Signer, error) {
	home, err := stateHome()
	if err != nil {
		if keep {
			return nil, err
		}
		return newHostKey()
	}
	file := filepath.Join(home, keyName)
	data, err := os.ReadFile(file)
	if err == nil {
		return parseHostKey(file, data)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read host key: %w", err)
	}
	key, err := newHostKey()
	if err != nil || !keep {
		return key, err
	}
	return saveHostKey(file, key)
}

func newHostKey() (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

func parseHostKey(file string, data []byte) (crypto.Signer, error) {
	if block, _ := pem.Decode(data); block != nil {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
		}
	}
	return nil, fmt.Errorf("host key %s: expected a private key in PEM (PKCS #8); remove the file to have a new one made", file)
}

// saveHostKey writes key where no file is yet. If another process is faster, its
// key is taken.
func saveHostKey(file string, key crypto.Signer) (crypto.Signer, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode host key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("create the state directory: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), keyName+".*")
	if err != nil {
		return nil, fmt.Errorf("save host key: %w", err)
	}
	defer os.Remove(tmp.Name())
	err = pem.Encode(tmp, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, fmt.Errorf("save host key: %w", err)
	}
	if err := os.Link(tmp.Name(), file); err != nil {
		data, rerr := os.ReadFile(file)
		if rerr != nil {
			return nil, fmt.Errorf("save host key: %w", err)
		}
		return parseHostKey(file, data)
	}
	return key, nil
}
