package users

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"

	"github.com/esasim/esasim/appliance/config"
)

// ErrDenied is the answer to a wrong name, a wrong passphrase, a wrong key or a
// locked account: whoever tries is not told which.
var ErrDenied = errors.New("users: denied")

const (
	hashCost      = bcrypt.DefaultCost
	minPassphrase = 8
	maxPassphrase = 72 // bcrypt overlooks what follows
)

// CheckPassphrase says what is wrong with a passphrase for the account called
// name, in a sentence for the administrator.
func CheckPassphrase(name, passphrase string) error {
	switch {
	case utf8.RuneCountInString(passphrase) < minPassphrase:
		return fmt.Errorf("The passphrase must have at least %d characters.", minPassphrase)
	case len(passphrase) > maxPassphrase:
		return fmt.Errorf("The passphrase must not be longer than %d characters.", maxPassphrase)
	case passphrase == name:
		return errors.New("The passphrase must differ from the user name.")
	}
	return nil
}

// Hash makes what Account.Hash holds, of a passphrase that CheckPassphrase
// accepts. It takes tens of milliseconds.
func HashPassphrase(passphrase string) (string, error) {
	b, err := bcrypt.GenerateFromPassword([]byte(passphrase), hashCost)
	if err != nil {
		return "", fmt.Errorf("hash a passphrase: %w", err)
	}
	return string(b), nil
}

// A Directory tells who may log in. It is safe for concurrent use.
type Directory struct {
	store *config.Store
	key   [sha256.Size]byte // of this process
	slots chan struct{}     // as many as hashes may be computed at a time

	mu       sync.Mutex
	verified map[string][sha256.Size]byte // by account name
}

// NewDirectory returns the directory of store's committed accounts. It becomes one
// of store's appliers, to forget what was verified of accounts that change. chance
// must be unpredictable.
func NewDirectory(store *config.Store, chance io.Reader) (*Directory, error) {
	d := &Directory{
		store: store,
		// Half the machine may guess; the other half works.
		slots:    make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		verified: map[string][sha256.Size]byte{},
	}
	if _, err := io.ReadFull(chance, d.key[:]); err != nil {
		return nil, fmt.Errorf("users: key of the directory: %w", err)
	}
	store.AddApplier(d)
	return d, nil
}

// Verify returns the account whose passphrase this is, or ErrDenied. A passphrase
// that it does not remember takes tens of milliseconds, more when many are tried at
// once.
func (d *Directory) Verify(name, passphrase string) (Account, error) {
	accounts := d.accounts()
	account := accounts.Find(name)
	usable := account != nil && !account.Locked && len(passphrase) <= maxPassphrase
	if usable && d.remembers(account, passphrase) {
		return *account, nil
	}
	hash := factoryHash // so that a name that does not exist costs the same
	if account != nil {
		hash = account.Hash
	}
	d.slots <- struct{}{}
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(passphrase))
	<-d.slots
	if err != nil || !usable {
		return Account{}, ErrDenied
	}
	d.remember(account, passphrase)
	return *account, nil
}

// VerifyKey returns the account that has the public key, given in SSH's wire form,
// or ErrDenied. That the client holds the private key is for the caller to prove.
func (d *Directory) VerifyKey(name string, key []byte) (Account, error) {
	accounts := d.accounts()
	account := accounts.Find(name)
	if account == nil || account.Locked {
		return Account{}, ErrDenied
	}
	for _, line := range account.Keys {
		if k, err := ParseKey(line); err == nil && bytes.Equal(k.wire, key) {
			return *account, nil
		}
	}
	return Account{}, ErrDenied
}

// Lookup returns the committed account called name, whether or not it is locked.
func (d *Directory) Lookup(name string) (Account, bool) {
	accounts := d.accounts()
	if a := accounts.Find(name); a != nil {
		return *a, true
	}
	return Account{}, false
}

func (d *Directory) accounts() Accounts { return Section.Get(d.store.Committed()) }

// digest binds a passphrase to the account and the hash it was verified against.
func (d *Directory) digest(a *Account, passphrase string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, d.key[:])
	for _, s := range []string{a.Name, a.Hash, passphrase} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		io.WriteString(h, s) //nolint:errcheck // a hash takes everything
	}
	h.Sum(sum[:0])
	return sum
}

func (d *Directory) remembers(a *Account, passphrase string) bool {
	if a.Hash == factoryHash && passphrase == FactoryPassphrase {
		return true
	}
	sum := d.digest(a, passphrase)
	d.mu.Lock()
	defer d.mu.Unlock()
	known, ok := d.verified[a.Name]
	return ok && hmac.Equal(sum[:], known[:])
}

func (d *Directory) remember(a *Account, passphrase string) {
	sum := d.digest(a, passphrase)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.verified[a.Name] = sum
}

// Apply implements config.Applier.
func (d *Directory) Apply(context.Context, *config.Config, *config.Config) error { return nil }

// Done implements config.Applier: it forgets accounts that have changed.
func (d *Directory) Done(_ context.Context, old, new *config.Config) {
	before, after := Section.Get(old), Section.Get(new)
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.verified {
		was, is := before.Find(name), after.Find(name)
		if was == nil || is == nil || was.Hash != is.Hash {
			delete(d.verified, name)
		}
	}
}
