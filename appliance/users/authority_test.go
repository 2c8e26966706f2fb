package users_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
)

const (
	smithsKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRgXmcv8Q5VnRkNSjJ+1VFPlQeyHUHiOQRs3FBGkPMW one"
	otherHash = "$2a$10$nEgk5MLJMmbko66wbLEYNeJWM3dJvyGN8gzcmPSGXbSGnqY7DLHcq"
)

// newAuthorities returns a store with the accounts admin and smith, and their directory.
func newAuthorities(t *testing.T) (*config.Store, *users.Directory) {
	t.Helper()
	store := config.NewStore()
	d, err := users.NewDirectory(store, entropy.Seeded(1).Stream("users"))
	if err != nil {
		t.Fatal(err)
	}
	changeAccounts(t, t.Context(), store, func(v *users.Accounts) {
		smith := v.List[0]
		smith.Name, smith.Role, smith.Keys = "smith", users.Administrator, []string{smithsKey}
		v.List = append(v.List, smith)
	})
	return store, d
}

func changeAccounts(t *testing.T, ctx context.Context, store *config.Store, change func(*users.Accounts)) {
	t.Helper()
	draft := store.NewDraft()
	v := users.Section.Get(draft)
	change(&v)
	users.Section.Set(draft, v)
	if _, err := store.Commit(ctx, draft, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
}

// changeSmith returns a change of the account smith.
func changeSmith(change func(*users.Account)) func(*users.Accounts) {
	return func(v *users.Accounts) { change(v.Find("smith")) }
}

func wireKey(t *testing.T) []byte {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(smithsKey))
	if err != nil {
		t.Fatal(err)
	}
	return key.Marshal()
}

func TestCommitsRevokeAuthorities(t *testing.T) {
	remove := func(v *users.Accounts) { v.List = v.List[:1] }
	lock := changeSmith(func(a *users.Account) { a.Locked = true })
	setHash := changeSmith(func(a *users.Account) { a.Hash = otherHash })
	removeKey := changeSmith(func(a *users.Account) { a.Keys = nil })
	demote := changeSmith(func(a *users.Account) { a.Role = users.Guest })
	for name, c := range map[string]struct {
		change func(*users.Accounts)
		// The reasons that the Authority of each login is given; "" if it is not revoked.
		passphrase, key, own, ownKey, transfer string
	}{
		"removed": {remove, "account smith was removed", "account smith was removed",
			"account smith was removed", "account smith was removed", "account smith was removed"},
		"locked": {lock, "account smith was locked", "account smith was locked", "", "",
			"account smith was locked"},
		"other passphrase": {setHash, "passphrase of the account smith was changed", "", "", "",
			"passphrase of the account smith was changed"},
		"key removed": {removeKey, "", "public key that it used was removed", "", "", ""},
		"demoted":     {demote, "", "", "", "", "role of the account smith does not permit it"},
	} {
		for login, want := range map[string]string{
			"passphrase": c.passphrase, "key": c.key, "own": c.own, "own key": c.ownKey,
			"transfer": c.transfer,
		} {
			t.Run(name+"/"+login, func(t *testing.T) {
				store, d := newAuthorities(t)
				smith, _ := d.Lookup("smith")
				var key []byte
				if strings.HasSuffix(login, "key") {
					key = wireKey(t)
				}
				var reported error
				reported = errors.New("OnChange was not called")
				o := users.AuthorityOptions{OnChange: func(_ users.Account, err error) { reported = err }}
				if login == "transfer" {
					o.Permits = func(r users.Role) bool { return r != users.Guest }
				}
				connection := d.Authorize(smith, key, users.AuthorityOptions{})
				session := connection.Derive(o)
				ctx := t.Context()
				if strings.HasPrefix(login, "own") {
					ctx = users.WithAuthority(ctx, session)
				}
				changeAccounts(t, ctx, store, c.change)
				now, err := session.Check()
				if reported != err {
					t.Errorf("OnChange reported %v, Check says %v", reported, err)
				}
				var revoked *users.RevokedError
				switch {
				case want == "" && err != nil:
					t.Errorf("revoked: %v", err)
				case want != "" && (!errors.As(err, &revoked) || !strings.Contains(revoked.Text, want)):
					t.Errorf("want %q, got %v", want, err)
				}
				if a, _ := d.Lookup("smith"); err == nil && (now.Role != a.Role || now.Hash != a.Hash) {
					t.Errorf("Check returns %+v, want %+v", now, a)
				}
				if connection.Err() != nil && want == "" {
					t.Errorf("the connection is revoked: %v", connection.Err())
				}
			})
		}
	}
}

func TestRevocationIsPermanent(t *testing.T) {
	store, d := newAuthorities(t)
	smith, _ := d.Lookup("smith")
	a := d.Authorize(smith, nil, users.AuthorityOptions{})
	changeAccounts(t, t.Context(), store, changeSmith(func(a *users.Account) { a.Locked = true }))
	changeAccounts(t, t.Context(), store, changeSmith(func(a *users.Account) { a.Locked = false }))
	if a.Err() == nil {
		t.Error("the session is permitted again after the account was unlocked")
	}
	if _, err := a.Derive(users.AuthorityOptions{}).Check(); err != a.Err() {
		t.Errorf("a derived Authority: %v", err)
	}
}

func TestOwnLockPermitsTheSessionUntilAnotherSessionLocks(t *testing.T) {
	store, d := newAuthorities(t)
	smith, _ := d.Lookup("smith")
	a := d.Authorize(smith, nil, users.AuthorityOptions{})
	lock := func(locked bool) func(*users.Accounts) {
		return changeSmith(func(a *users.Account) { a.Locked = locked })
	}
	changeAccounts(t, users.WithAuthority(t.Context(), a), store, lock(true))
	changeAccounts(t, t.Context(), store, changeSmith(func(a *users.Account) { a.FullName = "S" }))
	if err := a.Err(); err != nil {
		t.Errorf("after the session has locked its account: %v", err)
	}
	changeAccounts(t, t.Context(), store, lock(false))
	changeAccounts(t, t.Context(), store, lock(true))
	if a.Err() == nil {
		t.Error("not revoked by the lock of another session")
	}
}

func TestAuthorityOfAnAccountThatHasChangedSinceTheLogin(t *testing.T) {
	store, d := newAuthorities(t)
	smith, _ := d.Lookup("smith")
	changeAccounts(t, t.Context(), store, changeSmith(func(a *users.Account) { a.Hash = otherHash }))
	var reported error
	d.Authorize(smith, nil, users.AuthorityOptions{
		OnChange: func(_ users.Account, err error) { reported = err },
	})
	if reported == nil {
		t.Error("permitted with the passphrase before the change")
	}
}

func TestOtherCommitsDoNotTouchAuthorities(t *testing.T) {
	store, d := newAuthorities(t)
	smith, _ := d.Lookup("smith")
	a := d.Authorize(smith, nil, users.AuthorityOptions{
		OnChange: func(users.Account, error) { t.Error("OnChange was called for a change") },
	})
	changeAccounts(t, t.Context(), store, func(v *users.Accounts) { v.List[0].FullName = "A" })
	a.Close()
	changeAccounts(t, t.Context(), store, changeSmith(func(a *users.Account) { a.FullName = "S" }))
	if n := testing.AllocsPerRun(100, func() { a.Check() }); n != 0 { //nolint:errcheck // only counted
		t.Errorf("Check allocates %v times", n)
	}
}

// Changes that an administrator has not committed before the demotion are not committed later,
// unless an operator may make them.
func TestCommitsNeedTheRightsOfTheirTime(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Draft)
		want   string // "" if the commit is not refused
	}{
		"own role": {edit(func(v *users.Accounts) { v.Find("smith").Role = users.Guest }),
			"your user role (Operator) does not permit"},
		"another account": {edit(func(v *users.Accounts) { v.List[0].Hash = otherHash }),
			"your user role (Operator) does not permit"},
		"a new account": {edit(func(v *users.Accounts) {
			v.List = append(v.List, users.Account{Name: "x", Role: users.Guest, Hash: otherHash})
		}), "your user role (Operator) does not permit"},
		"access": {func(d *config.Draft) {
			a := users.Access.Get(d)
			a.CLITimeout++
			users.Access.Set(d, a)
		}, "your user role (Operator) does not permit"},
		"own passphrase and keys": {edit(func(v *users.Accounts) {
			v.Find("smith").Hash, v.Find("smith").Keys = otherHash, nil
		}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			store, d := newAuthorities(t)
			smith, _ := d.Lookup("smith")
			a := d.Authorize(smith, nil, users.AuthorityOptions{})
			ctx, draft := users.WithAuthority(t.Context(), a), store.NewDraft()
			changeAccounts(t, t.Context(), store, changeSmith(func(a *users.Account) {
				a.Role = users.Operator
			}))
			c.change(draft)
			_, err := store.Commit(ctx, draft, config.CommitInfo{})
			text, _ := refusal.Text(err)
			if (err == nil) != (c.want == "") || !strings.Contains(text, c.want) {
				t.Errorf("the commit returns %v, want %q", err, c.want)
			}
			if err != nil && !draft.Pending() {
				t.Error("the refused changes are lost")
			}
		})
	}
}

func TestRevokedSessionsCommitNothing(t *testing.T) {
	store, d := newAuthorities(t)
	smith, _ := d.Lookup("smith")
	a := d.Authorize(smith, nil, users.AuthorityOptions{})
	changeAccounts(t, t.Context(), store, changeSmith(func(a *users.Account) { a.Locked = true }))
	draft := store.NewDraft()
	edit(func(v *users.Accounts) { v.Find("smith").Keys = nil })(draft)
	_, err := store.Commit(users.WithAuthority(t.Context(), a), draft, config.CommitInfo{})
	if text, _ := refusal.Text(err); !strings.Contains(text, "account smith was locked") {
		t.Errorf("the commit returns %v", err)
	}
}

// edit returns a change of a draft's accounts.
func edit(change func(*users.Accounts)) func(*config.Draft) {
	return func(d *config.Draft) {
		v := users.Section.Get(d)
		change(&v)
		users.Section.Set(d, v)
	}
}

// Logins.End revokes the Authority of one session, whether that is known before or afterwards.
func TestEndedSessionIsRevoked(t *testing.T) {
	_, d := newAuthorities(t)
	l := users.OpenLogins("", clock.NewFake(time.Unix(0, 0)), nil)
	t.Cleanup(l.Close)
	smith, _ := d.Lookup("smith")
	var told []error
	options := users.AuthorityOptions{OnChange: func(_ users.Account, err error) { told = append(told, err) }}
	other := d.Authorize(smith, nil, users.AuthorityOptions{})
	defer other.Close()
	why := &users.RevokedError{Account: "smith", Text: "Enough.", Cause: "a test"}
	early, late := l.Open(smith, netip.Addr{}, "cli"), l.Open(smith, netip.Addr{}, "ftp")
	a := d.Authorize(smith, nil, options)
	defer a.Close()
	early.EndBy(a)
	if !l.End(early.ID(), why) || !l.End(late.ID(), why) || l.End(late.ID()+1, why) {
		t.Error("End confuses the sessions that there are with those that there are not")
	}
	b := d.Authorize(smith, nil, options)
	late.EndBy(b)
	for _, x := range []*users.Authority{a, b} {
		if !errors.Is(x.Err(), why) {
			t.Errorf("the ended session is permitted: %v", x.Err())
		}
	}
	if len(told) != 2 || other.Err() != nil {
		t.Errorf("%d sessions were told; another one: %v", len(told), other.Err())
	}
	b.Close()
	b.Revoke(why)
	if len(told) != 2 {
		t.Error("a closed Authority is told again")
	}
	late.Close()
	if l.End(late.ID(), why) {
		t.Error("a session ends after its logout")
	}
}
