package main

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/shell"
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
// the topology of the appliance. A full or read-only disk does not keep a directory from being
// opened.
func openData(dir, mark string, log *slog.Logger) (*dataDir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	if err := checkContents(dir); err != nil { // before anything is written there
		return nil, err
	}
	d := &dataDir{path: dir}
	if err := d.acquire(os.O_CREATE); err != nil {
		return nil, err
	}
	if err := atomicfile.Sweep(dir); err != nil {
		log.Warn("temporary files could not be removed", "err", err)
	}
	file := filepath.Join(dir, topologyMarkName)
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(err, d.Close())
	}
	found, isWhole := strings.CutSuffix(string(text), "\n")
	switch {
	case found == mark:
	case found == "" || !isWhole || strings.ContainsFunc(found, isNotPrint): // by a crash or a full disk
		if found != "" {
			log.Warn("the mark of the data directory is damaged and is replaced", "file", file)
		}
		if err := atomicfile.WriteSynced(file, []byte(mark+"\n")); err != nil {
			log.Warn("the data directory is not marked with the name of its topology", "err", err)
		}
	default:
		err := fmt.Errorf("data directory %s belongs to topology %s, not %s:"+
			" choose another with --data", dir, found, mark)
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func isNotPrint(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

// checkContents returns an error if a directory holds files that are not an appliance's.
func checkContents(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the data directory: %w", err)
	}
	isOurs := func(name string) bool {
		return name == lockName || name == topologyMarkName || name == applianceName ||
			name == membersName || name == socketName || strings.HasPrefix(name, topologyMarkName+".tmp")
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == topologyMarkName }) {
		return nil
	}
	for _, e := range entries {
		if !isOurs(e.Name()) {
			return fmt.Errorf("data directory %s holds other files, such as %s, and no appliance:"+
				" choose an empty directory with --data", dir, e.Name())
		}
	}
	return nil
}

// Names in a data directory, besides that of the control socket.
const (
	lockName         = "lock"       // locked by the process that uses the directory; holds its number
	topologyMarkName = "topology"   // holds the mark of the topology
	applianceName    = "appliance"  // the directory of box.Options
	membersName      = "appliances" // the directory of fleet.Options
)

// acquire locks the directory for this process until Close. create is os.O_CREATE if a missing
// lock file is to be created, or 0. A lock file that is a symbolic link is an error.
func (d *dataDir) acquire(create int) error {
	name := filepath.Join(d.path, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|create|noFollow, 0o600)
	if errors.Is(err, errReadOnly) {
		f, err = os.OpenFile(name, os.O_RDONLY|noFollow, 0)
	}
	if err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	if err := lockFile(f); err != nil {
		holder := "another process"
		text, _ := io.ReadAll(io.LimitReader(f, 20))
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 0 {
			holder = fmt.Sprintf("process %d", pid)
		}
		f.Close()
		return fmt.Errorf("data directory %s is in use by %s: stop it,"+
			" or choose another directory with --data, or none with --ephemeral", d.path, holder)
	}
	// The number is only for the message above: that it cannot be written is no error.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
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

// ephemeralData creates a directory that Close removes. It also removes the directories of this
// user's processes that were killed.
func ephemeralData() (*dataDir, error) {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), ephemeralPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("look for data of earlier runs: %w", err)
	}
	for _, dir := range old {
		removeEphemeral(dir)
	}
	failed := errors.New("other processes removed it")
	for range 10 { // attempts
		dir, err := os.MkdirTemp("", ephemeralPrefix)
		if err != nil {
			return nil, fmt.Errorf("create a data directory for this run: %w", err)
		}
		d := &dataDir{path: dir, remove: true}
		if err = d.acquire(os.O_CREATE | os.O_EXCL); err == nil && d.present() {
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

// unlockedAge is the age from which a directory of an ephemeral run that has no lock file is that
// of a killed process. A younger one may be that of a process that is starting.
const unlockedAge = time.Minute

// removeEphemeral removes the directory of an ephemeral run whose process has ended. It touches
// only a real directory that belongs to this user, because other users can create any name and any
// link in the directory of temporary files, and it creates nothing in it.
func removeEphemeral(dir string) {
	fi, err := os.Lstat(dir)
	if err != nil || !fi.IsDir() || !ownedByUser(fi) {
		return
	}
	d := &dataDir{path: dir, remove: true}
	switch err := d.acquire(0); {
	case err == nil: // its process has ended
		_ = d.Close() // the next run tries again
	case errors.Is(err, os.ErrNotExist) && time.Since(fi.ModTime()) > unlockedAge:
		_ = os.Remove(dir) // it is empty if its process was killed before it created the lock
	}
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
// is true. A file that holds no key is renamed to NAME.damaged and replaced. A key that cannot be
// saved is used for this run.
func hostKey(keep bool, log *slog.Logger) (crypto.Signer, error) {
	home, err := stateHome()
	if err != nil {
		if keep {
			return nil, err
		}
		return newHostKey()
	}
	return hostKeyIn(home, keep, log)
}

// hostKeyIn is hostKey for the key in a directory, which need not exist.
func hostKeyIn(dir string, keep bool, log *slog.Logger) (crypto.Signer, error) {
	file := filepath.Join(dir, keyName)
	data, err := os.ReadFile(file)
	if err == nil {
		key, err := parseHostKey(data)
		if err == nil {
			return key, nil
		}
		log.Warn("the SSH host key is damaged and is replaced by a new one", "file", file, "err", err)
		if keep {
			if err := os.Rename(file, file+".damaged"); err != nil {
				log.Warn("the damaged host key could not be renamed", "err", err)
			}
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		log.Warn("the SSH host key of this run is a new one", "err", err)
		keep = false
	}
	key, err := newHostKey()
	if err != nil || !keep {
		return key, err
	}
	saved, err := saveHostKey(file, key)
	if err != nil {
		log.Warn("the SSH host key is used for this run only", "err", err)
		return key, nil
	}
	return saved, nil
}

func newHostKey() (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

func parseHostKey(data []byte) (crypto.Signer, error) {
	if block, _ := pem.Decode(data); block != nil {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if s, ok := key.(crypto.Signer); ok && shell.HostKeyType(s.Public()) != "" {
				return s, nil
			}
		}
	}
	return nil, errors.New("expected a private key of SSH in PEM (PKCS #8)")
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
	_, err = tmp.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, fmt.Errorf("save host key: %w", err)
	}
	if err := os.Link(tmp.Name(), file); err != nil {
		data, rerr := os.ReadFile(file)
		if rerr != nil {
			return nil, fmt.Errorf("save host key: %w", err)
		}
		return parseHostKey(data)
	}
	return key, nil
}
