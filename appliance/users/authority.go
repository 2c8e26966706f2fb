package users

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// An Authority says what one session may do: it is the session's account as it is committed, and
// not as it was at the login. The session asks Check before everything that it does. If the account
// no longer permits the session, the Authority is revoked permanently, and the session must end.
//
// An Authority is safe for concurrent use. Check costs one atomic load: the Directory updates the
// Authorities of all sessions while accounts are being committed.
type Authority struct {
	directory *Directory
	parent    *Authority // nil if it was not derived
	name      string
	options   AuthorityOptions
	state     atomic.Pointer[authorityState]

	// The following fields are guarded by Directory.mu.
	hash    string // of the passphrase that the session has proved
	key     []byte // that the session has proved instead; nil: the passphrase
	ownKey  bool   // the session itself has removed key from its account
	ownLock bool   // the session itself has locked its account
}

// An authorityState is immutable.
type authorityState struct {
	account Account // the last one that permitted the session
	err     error   // a *RevokedError; nil while the account permits the session
}

// AuthorityOptions are the options of an Authority. The zero value is usable.
type AuthorityOptions struct {
	// Permits reports whether an account of this role may have such a session; nil means that
	// every role may.
	Permits func(Role) bool
	// OnChange is called after the account has changed, with the result of Check. It must not
	// block: it is called while a commit waits. It may be called once more while Close runs.
	OnChange func(Account, error)
}

// A RevokedError is the reason why a session has to end.
type RevokedError struct {
	Account string
	Text    string // a sentence for the user
	Cause   string // a noun for logs: "a locked account"
}

func (e *RevokedError) Error() string { return "users: revoked because of " + e.Cause }

// Authorize returns the Authority of a login that Verify or VerifyKey has permitted. account is
// their result. key is the key that the client has proved to hold, or nil if it has proved the
// passphrase. The caller must call Close when the session has ended.
func (d *Directory) Authorize(account Account, key []byte, o AuthorityOptions) *Authority {
	return d.register(&Authority{
		directory: d, name: account.Name, options: o, hash: account.Hash, key: key,
	}, account)
}

// Derive returns an Authority for a session that is part of a's, such as one channel of a
// connection. The caller must call Close when that session has ended.
func (a *Authority) Derive(o AuthorityOptions) *Authority {
	d := a.directory
	d.mu.Lock()
	part := &Authority{
		directory: d, parent: a, name: a.name, options: o,
		hash: a.hash, key: a.key, ownKey: a.ownKey, ownLock: a.ownLock,
	}
	d.mu.Unlock()
	state := a.state.Load()
	if state.err != nil {
		part.state.Store(state)
		part.notify(state)
		return part
	}
	return d.register(part, state.account)
}

// register adds a to those that commits update. account is the one that permitted the session; it
// may have changed since.
func (d *Directory) register(a *Authority, account Account) *Authority {
	a.state.Store(&authorityState{account: account})
	d.mu.Lock()
	d.authorities[a] = true
	accounts := d.accounts()
	state := a.update(&accounts, false)
	d.mu.Unlock()
	if state.err != nil {
		a.notify(state)
	}
	return a
}

// Check returns the session's account as it is committed. If the account no longer permits the
// session, the error is a *RevokedError.
func (a *Authority) Check() (Account, error) {
	s := a.state.Load()
	return s.account, s.err
}

// Err returns the error of Check.
func (a *Authority) Err() error { return a.state.Load().err }

// Revoke revokes a for a reason other than a change of its account. If a is revoked already or
// closed, it does nothing.
func (a *Authority) Revoke(why *RevokedError) {
	d := a.directory
	d.mu.Lock()
	before := a.state.Load()
	change := before.err == nil && d.authorities[a]
	if change {
		a.state.Store(&authorityState{account: before.account, err: why})
	}
	d.mu.Unlock()
	if change {
		a.notify(a.state.Load())
	}
}

// Close is called when the session has ended. Later commits do not change the result of Check.
func (a *Authority) Close() {
	a.directory.mu.Lock()
	defer a.directory.mu.Unlock()
	delete(a.directory.authorities, a)
}

func (a *Authority) notify(s *authorityState) {
	if a.options.OnChange != nil {
		a.options.OnChange(s.account, s.err)
	}
}

// authorityKey is the key of the *Authority in a context.
type authorityKey struct{}

// WithAuthority returns a context for the commits of a session. A commit under this context does
// not revoke a, nor the Authority that a was derived from, because it changes a passphrase, removes
// a key or locks the account. The user of that session has the right to make the change, and can
// undo it. The commit is refused if it contains changes that only administrators may make and the
// session's role is another one by now.
func WithAuthority(ctx context.Context, a *Authority) context.Context {
	return context.WithValue(ctx, authorityKey{}, a)
}

// checkCommitter returns a refusal if the session that commits under ctx has been revoked, and if
// it is not an administrator's and new has changes that only administrators may make: of Access, and of accounts, except the
// passphrase and the keys of its own. The session may have made them when its role permitted them.
func checkCommitter(ctx context.Context, old, new *config.Config) error {
	committer, ok := ctx.Value(authorityKey{}).(*Authority)
	if !ok {
		return nil
	}
	account, err := committer.Check()
	var revoked *RevokedError
	if errors.As(err, &revoked) {
		return refusal.Because(err, "%s", revoked.Text)
	}
	if account.Role == Administrator {
		return nil
	}
	was, is := Section.Get(old), Section.Get(new)
	for _, list := range []Accounts{was, is} {
		if own := list.Find(account.Name); own != nil {
			own.Hash, own.Keys = "", nil
		}
	}
	same := func(a, b Account) bool { return a.equal(&b) }
	if slices.EqualFunc(was.List, is.List, same) && Access.Equal(old, new) {
		return nil
	}
	return refusal.Newf("They contain changes of accounts or of how administrators log in, which "+
		"your user role (%s) does not permit.", account.Role)
}

// update sets the state of a after accounts were committed. own says that the session has made the
// commit itself. Directory.mu is held.
func (a *Authority) update(accounts *Accounts, own bool) *authorityState {
	before := a.state.Load()
	if before.err != nil {
		return before
	}
	now := accounts.Find(a.name)
	if now != nil {
		if own {
			a.hash, a.ownLock = now.Hash, a.ownLock || now.Locked
			a.ownKey = a.key != nil && !now.hasKey(a.key)
		}
		a.ownLock = a.ownLock && now.Locked
	}
	state := &authorityState{account: before.account}
	switch {
	case now == nil:
		state.err = a.revoked("was removed", "a removed account")
	case now.Locked && !a.ownLock:
		state.err = a.revoked("was locked", "a locked account")
	case a.key == nil && now.Hash != a.hash:
		state.err = &RevokedError{a.name, "The session was closed because the passphrase of the " +
			"account " + a.name + " was changed.", "a changed passphrase"}
	case a.key != nil && !a.ownKey && !now.hasKey(a.key):
		state.err = &RevokedError{a.name, "The session was closed because the public key that it " +
			"used was removed from the account " + a.name + ".", "a removed public key"}
	case a.options.Permits != nil && !a.options.Permits(now.Role):
		state.err = &RevokedError{a.name, "The session was closed because the role of the account " +
			a.name + " does not permit it.", "a changed role"}
	case now.equal(&before.account):
		return before
	default:
		state.account = *now
	}
	a.state.Store(state)
	return state
}

func (a *Authority) revoked(what, cause string) error {
	return &RevokedError{a.name, "The session was closed because the account " + a.name + " " +
		what + ".", cause}
}

func (a *Account) equal(b *Account) bool {
	return a.Name == b.Name && a.FullName == b.FullName && a.Role == b.Role && a.Hash == b.Hash &&
		a.Locked == b.Locked && slices.Equal(a.Keys, b.Keys)
}

// hasKey reports whether key, in the form in which SSH transmits it, belongs to the account.
func (a *Account) hasKey(key []byte) bool {
	return slices.ContainsFunc(a.Keys, func(line string) bool {
		k, err := ParseKey(line)
		return err == nil && bytes.Equal(k.blob, key)
	})
}

// updateAuthorities updates all Authorities after accounts were committed.
func (d *Directory) updateAuthorities(ctx context.Context, committed *config.Config) {
	committer, _ := ctx.Value(authorityKey{}).(*Authority)
	accounts := Section.Get(committed)
	var changed []*Authority
	d.mu.Lock()
	for a := range d.authorities {
		before := a.state.Load()
		own := committer != nil && (a == committer || a == committer.parent)
		if a.update(&accounts, own) != before {
			changed = append(changed, a)
		}
	}
	d.mu.Unlock()
	for _, a := range changed {
		a.notify(a.state.Load())
	}
}
