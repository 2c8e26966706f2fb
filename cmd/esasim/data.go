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

// A dataDir is the directory in which one appliance keeps its configuration and files. It
// is used by one process at a time, and with the topology for which it was created.
type dataDir struct {
	path   string
	lock   *os.File
	remove bool // Close removes the directory
}

// stateHome returns the user's directory for esasim: XDG's on Unix, the system's
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
		return "", fmt.Errorf("find the user's state directory: %w: set HOME or XDG_STATE_HOME", err)
	}
	return filepath.Join(home, ".local", "state", "esasim"), nil
}

// openData opens a directory for an appliance, and creates it if necessary. mark stands for
// the topology of the appliance.
func openData(dir, mark string) (*dataDir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	if err := checkContents(dir); err != nil { // before anything is written there
		return nil, err
	}
	d := &dataDir{path: dir}
	if err := d.acquire(); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, topologyMarkName)
	text, err := os.ReadFile(file)
	found := strings.TrimSpace(string(text))
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = os.WriteFile(file, []byte(mark+"\n"), 0o600)
	case err == nil && found != mark:
		err = fmt.Errorf("data directory %s belongs to topology %s, not %s: choose another with --data",
			dir, found, mark)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// checkContents returns an error if a directory holds files that are not an appliance's.
func checkContents(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the data directory: %w", err)
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == topologyMarkName }) {
		return nil
	}
	for _, e := range entries {
		if e.Name() != lockName {
			return fmt.Errorf("data directory %s holds other files, such as %s, and no appliance:"+
				" choose an empty directory with --data", dir, e.Name())
		}
	}
	return nil
}

// Files in a data directory.
const (
	lockName         = "lock"     // locked by the process that uses the directory
	topologyMarkName = "topology" // holds the mark of the topology
)

// acquire locks the directory for this process until Close.
func (d *dataDir) acquire() error {
	f, err := os.OpenFile(filepath.Join(d.path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return fmt.Errorf("data directory %s is in use by another process:"+
			" stop that one, or choose another directory with --data, or none with --ephemeral", d.path)
	}
	d.lock = f
	return nil
}

// Close unlocks the directory, and removes it if it was created for this run.
func (d *dataDir) Close() error {
	if d.remove {
		_ = os.RemoveAll(d.path) // Windows keeps the lock file while it is open: it is removed below
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

// ephemeralData creates a directory that Close removes. It also removes the directories of
// processes that were killed.
func ephemeralData() (*dataDir, error) {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), ephemeralPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("look for data of earlier runs: %w", err)
	}
	for _, dir := range old {
		if fi, err := os.Lstat(dir); err != nil || !fi.IsDir() { // a link may lead to other data
			continue
		}
		d := &dataDir{path: dir, remove: true}
		if d.acquire() == nil { // its process has ended
			_ = d.Close() // fails for the directory of another user
		}
	}
	failed := errors.New("other processes removed it")
	for range 10 { // attempts
		dir, err := os.MkdirTemp("", ephemeralPrefix)
		if err != nil {
			return nil, fmt.Errorf("create a data directory for this run: %w", err)
		}
		d := &dataDir{path: dir, remove: true}
		if err = d.acquire(); err == nil && d.present() {
			return d, nil
		}
		// Another process that starts now took the directory for one of a killed process.
		if err == nil {
			err = d.lock.Close()
		}
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			failed = err
		}
	}
	return nil, fmt.Errorf("create a data directory for this run: %w", failed)
}

// present reports whether the directory is still the one that acquire locked.
func (d *dataDir) present() bool {
	held, err := d.lock.Stat()
	if err != nil {
		return false
	}
	found, err := os.Lstat(filepath.Join(d.path, lockName))
	return err == nil && os.SameFile(held, found)
}

// keyName is the name of the host key's file in the user's state directory.
const keyName = "ssh_host_ed25519_key"

// hostKey returns the SSH host key of the user. All appliances of a user have the same one,
// so that no client warns of a changed key. A missing key is created; it is saved if keep
// is true.
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
	return nil, fmt.Errorf("host key %s: expected a private key in PEM (PKCS #8):"+
		" remove the file, and the next start creates a new key", file)
}

// saveHostKey writes key to a file that does not exist yet, and returns it. If another
// process creates the file first, the key of that process is returned.
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
