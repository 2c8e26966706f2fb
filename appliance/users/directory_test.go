package users_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
)

// quickHash is HashPassphrase at the lowest cost.
func quickHash(t *testing.T, passphrase string) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(passphrase), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// newDirectory returns a directory with the factory account and with joe, whose passphrase is
// "correct horse".
func newDirectory(t *testing.T) (*users.Directory, *config.Store) {
	t.Helper()
	s := config.NewStore()
	d, err := users.NewDirectory(s, entropy.Seeded(1).Stream("users"))
	if err != nil {
		t.Fatal(err)
	}
	editAccounts(t, s, func(a *users.Accounts) {
		hash := quickHash(t, "correct horse")
		a.List = append(a.List, users.Account{Name: "joe", Role: users.Operator, Hash: hash})
	})
	return d, s
}

func editAccounts(t *testing.T, s *config.Store, fn func(*users.Accounts)) {
	t.Helper()
	change := func(a *users.Accounts) error { fn(a); return nil }
	if err := users.Section.CommitNow(t.Context(), s, nil, config.CommitInfo{}, change); err != nil {
		t.Fatal(err)
	}
}

func canLogIn(d *users.Directory, name, passphrase string) bool {
	a, err := d.Verify(name, passphrase)
	return err == nil && a.Name == name
}

func TestVerify(t *testing.T) {
	d, _ := newDirectory(t)
	for round := range 2 { // in the second round the directory remembers the passphrases
		for _, c := range []struct {
			name, passphrase string
			want             bool
		}{
			{"admin", "ironport", true},
			{"joe", "correct horse", true},
			{"joe", "wrong horse", false},
			{"joe", "", false},
			{"joe", "ironport", false},
			{"nobody", "ironport", false}, // the hash that is compared is that of this passphrase
			{"", "", false},
		} {
			if round == 1 && !c.want {
				continue // nothing is remembered of a failure
			}
			a, err := d.Verify(c.name, c.passphrase)
			wantName, wantErr := c.name, error(nil)
			if !c.want {
				wantName, wantErr = "", users.ErrDenied
			}
			if err != wantErr || a.Name != wantName {
				t.Errorf("%s with %q: account %q, error %v", c.name, c.passphrase, a.Name, err)
			}
		}
	}
}

func TestFactoryHashMatchesFactoryPassphrase(t *testing.T) {
	a := users.Section.Get(config.NewStore().Committed())
	hash := []byte(a.Find(users.FactoryName).Hash)
	if err := bcrypt.CompareHashAndPassword(hash, []byte(users.FactoryPassphrase)); err != nil {
		t.Error(err)
	}
}

func TestPassphraseBeyondBcryptsLimitIsDenied(t *testing.T) {
	d, s := newDirectory(t)
	long := strings.Repeat("x", 72)
	editAccounts(t, s, func(a *users.Accounts) { a.Find("joe").Hash = quickHash(t, long) })
	if !canLogIn(d, "joe", long) || canLogIn(d, "joe", long+"y") {
		t.Error("bytes after the 72nd are ignored")
	}
}

func TestChangedAccountIsVerifiedAgain(t *testing.T) {
	d, s := newDirectory(t)
	if !canLogIn(d, "joe", "correct horse") || !canLogIn(d, "admin", "ironport") {
		t.Fatal("denied")
	}
	editAccounts(t, s, func(a *users.Accounts) {
		a.Find("joe").Hash = quickHash(t, "new horse")
		a.Find("admin").Hash = quickHash(t, "new iron")
	})
	if canLogIn(d, "joe", "correct horse") || canLogIn(d, "admin", "ironport") {
		t.Error("an old passphrase is still accepted")
	}
	if !canLogIn(d, "joe", "new horse") || !canLogIn(d, "admin", "new iron") {
		t.Error("a new passphrase is denied")
	}
	editAccounts(t, s, func(a *users.Accounts) { a.Find("joe").Locked = true })
	if canLogIn(d, "joe", "new horse") {
		t.Error("a locked account is admitted")
	}
	editAccounts(t, s, func(a *users.Accounts) { a.List = a.List[:1] })
	if canLogIn(d, "joe", "new horse") {
		t.Error("a deleted account is admitted")
	}
}

func TestUncommittedAccountIsDenied(t *testing.T) {
	d, s := newDirectory(t)
	draft := s.NewDraft()
	v := users.Section.Get(draft)
	hash := quickHash(t, "battery staple")
	v.List = append(v.List, users.Account{Name: "ann", Role: users.Guest, Hash: hash})
	users.Section.Set(draft, v)
	if canLogIn(d, "ann", "battery staple") {
		t.Error("admitted before commit")
	}
}

func TestVerifyIsSafeForConcurrentUse(t *testing.T) {
	d, s := newDirectory(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			passphrase, want := "correct horse", true
			if i%2 == 1 {
				passphrase, want = "wrong horse", false
			}
			if canLogIn(d, "joe", passphrase) != want {
				t.Errorf("%s: want %v", passphrase, want)
			}
		})
	}
	editAccounts(t, s, func(a *users.Accounts) { a.Find("admin").FullName = "A. Ministrator" })
	wg.Wait()
}

func newKey(t *testing.T, n byte) ssh.PublicKey {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	k, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVerifyKey(t *testing.T) {
	d, s := newDirectory(t)
	good := newKey(t, 1)
	editAccounts(t, s, func(a *users.Accounts) {
		a.Find("joe").Keys = []string{
			string(ssh.MarshalAuthorizedKey(newKey(t, 2))),
			string(ssh.MarshalAuthorizedKey(good)),
		}
	})
	if a, err := d.VerifyKey("joe", good.Marshal()); err != nil || a.Name != "joe" {
		t.Errorf("joe's key: %v", err)
	}
	for _, c := range []struct {
		name string
		key  ssh.PublicKey
	}{{"joe", newKey(t, 3)}, {"admin", good}, {"nobody", good}} {
		if _, err := d.VerifyKey(c.name, c.key.Marshal()); !errors.Is(err, users.ErrDenied) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	editAccounts(t, s, func(a *users.Accounts) { a.Find("joe").Locked = true })
	if _, err := d.VerifyKey("joe", good.Marshal()); !errors.Is(err, users.ErrDenied) {
		t.Errorf("a locked account: %v", err)
	}
}

func TestParseKey(t *testing.T) {
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(newKey(t, 1))))
	k, err := users.ParseKey("  " + line + "  joe@example.com \r\n")
	if err != nil || k.Line != line+" joe@example.com" || k.Comment != "joe@example.com" ||
		k.Type != "ssh-ed25519" || !strings.HasPrefix(k.Fingerprint, "SHA256:") {
		t.Errorf("%+v, %v", k, err)
	}
	for bad, want := range map[string]string{
		"":                               "not an SSH public key",
		"ssh-rsa AAAA":                   "not an SSH public key",
		line + "\n" + line:               "more than one",
		`from="10.0.0.1" ` + line:        "Options",
		line + " a\x1bb":                 "control characters",
		"-----BEGIN OPENSSH PRIVATE KEY": "not an SSH public key",
	} {
		_, err := users.ParseKey(bad)
		if text, refused := refusal.Text(err); !refused || !strings.Contains(text, want) {
			t.Errorf("%q: %v, want a refusal with %q", bad, err, want)
		}
	}
}

func TestChecks(t *testing.T) {
	for _, c := range []struct {
		what string
		err  error
		want string // "" accepts
	}{
		{"a name", users.CheckName("joe.smith-2_x"), ""},
		{"no name", users.CheckName(""), "required"},
		{"operator", users.CheckName("operator"), "reserved"},
		{"root", users.CheckName("root"), "reserved"},
		{"upper case", users.CheckName("Joe"), "lower-case"},
		{"a blank", users.CheckName("joe smith"), "lower-case"},
		{"a digit first", users.CheckName("2joe"), "begin with"},
		{"a long name", users.CheckName(strings.Repeat("x", 33)), "longer than 32"},
		{"a full name", users.CheckFullName("Jörg O'Neill"), ""},
		{"an escape", users.CheckFullName("a\x1b[2J"), "control"},
		{"a quotation mark", users.CheckFullName(`a "b"`), "quotation"},
		{"a passphrase", users.CheckPassphrase("joe", "correct horse"), ""},
		{"a short passphrase", users.CheckPassphrase("joe", "horse77"), "at least 8"},
		{"a short one of many bytes", users.CheckPassphrase("joe", "äöüß"), "at least 8"},
		{"a long passphrase", users.CheckPassphrase("joe", strings.Repeat("x", 73)), "longer than 72"},
		{"the name as passphrase", users.CheckPassphrase("joesmith", "joesmith"), "differ from"},
	} {
		text, refused := refusal.Text(c.err)
		ok := c.err == nil
		if c.want != "" {
			ok = refused && strings.Contains(text, c.want)
		}
		if !ok {
			t.Errorf("%s: %v, want a refusal with %q", c.what, c.err, c.want)
		}
	}
}

func TestAccountsAreCheckedAtCommit(t *testing.T) {
	_, s := newDirectory(t)
	for want, change := range map[string]func(a *users.Accounts){
		"account admin cannot be removed":      func(a *users.Accounts) { a.List = a.List[1:] },
		"admin must be an administrator":       func(a *users.Accounts) { a.List[0].Role = users.Guest },
		"one administrator must not be locked": func(a *users.Accounts) { a.List[0].Locked = true },
		"Two accounts are named joe":           func(a *users.Accounts) { a.List = append(a.List, a.List[1]) },
		"user name root is reserved":           func(a *users.Accounts) { a.List[1].Name = "root" },
		`unknown role: "King"`:                 func(a *users.Accounts) { a.List[1].Role = "King" },
		"not in a form":                        func(a *users.Accounts) { a.List[1].Hash = "secret" },
		"this appliance can verify":            func(a *users.Accounts) { a.List[1].Hash = "$2a$31$" + strings.Repeat("x", 53) },
		"A key of the account joe":             func(a *users.Accounts) { a.List[1].Keys = []string{"ssh-dss"} },
	} {
		d := s.NewDraft()
		v := users.Section.Get(d)
		change(&v)
		users.Section.Set(d, v)
		_, err := s.Commit(t.Context(), d, config.CommitInfo{})
		var bad *config.InvalidError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func BenchmarkVerifyRemembered(b *testing.B) {
	d, err := users.NewDirectory(config.NewStore(), entropy.Seeded(1).Stream("users"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !canLogIn(d, "admin", "ironport") {
			b.Fatal("denied")
		}
	}
}

func TestHoldsHash(t *testing.T) {
	hash, err := users.HashPassphrase("passphrase1")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 80 { // across the end of the buffer, too
		filler := strings.Repeat("$2", (32<<10-n)/2)
		if !users.HoldsHash(strings.NewReader(filler + hash + "</passphrase>")) {
			t.Errorf("a hash after %d bytes was not found", len(filler))
		}
	}
	for _, text := range []string{"", "<passphrase>*****</passphrase>", "$2", "$2a$1", "costs $2.50 $"} {
		if users.HoldsHash(strings.NewReader(text)) {
			t.Errorf("%q holds no hash", text)
		}
	}
	if !users.HoldsHash(iotest.ErrReader(errors.New("unreadable"))) {
		t.Error("an unreadable file counts as harmless")
	}
}
