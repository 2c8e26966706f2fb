package config_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// errInternal is the error of a check that could not be completed.
var errInternal = errors.New("internal error")

// The configuration of a small appliance.

var hostname = config.Define("hostname", "example.com", func(v string, _ *config.Config) error {
	switch v {
	case "":
		return refusal.New("A host name is required.")
	case "broken.example.com":
		return errInternal
	}
	return nil
}, config.In(config.Network, 1))

type iface struct {
	Name string     `xml:"interface_name"`
	IP   netip.Addr `xml:"ip"`
	MTU  int        `xml:"direct>jack_mtu"`
}

type ifaces struct {
	List []iface `xml:"interface"`
}

var interfaces = config.Define("interfaces",
	ifaces{[]iface{{"Management", netip.MustParseAddr("192.168.42.42"), 1500}}},
	nil, config.In(config.Network, 2))

type dnsServer struct {
	Priority int    `xml:"priority,attr"`
	IP       string `xml:",chardata"`
}

type dnsSettings struct {
	Servers []dnsServer `xml:"local_dns>dns_ip"`
	TTL     int         `xml:"dns_cache_ttl_min"`
	Via     string      `xml:"dns_interface"`
	Note    string      `xml:"note,omitempty"`
}

// dns must use an interface that exists.
var dns = config.Define("dns", dnsSettings{TTL: 1800, Via: "Management"}, dnsSettings.check,
	config.In(config.Network, 3))

func (v dnsSettings) check(c *config.Config) error {
	for _, i := range interfaces.Get(c).List {
		if i.Name == v.Via {
			return nil
		}
	}
	return refusal.Newf("There is no interface %s.", v.Via)
}

type account struct {
	Name string `xml:"username"`
	Hash string `xml:"passphrase" secret:"hash"`
	PIN  string `xml:"pin" secret:"text"`
}

type accounts struct {
	List []account `xml:"user"`
}

var users = config.Define("users", accounts{[]account{{"admin", "$2a$hash", "1234"}}}, nil,
	config.In(config.Access, 1))

type remote struct {
	Server     string `xml:"server,omitempty"`
	User       string `xml:"user,omitempty"`
	Passphrase string `xml:"passphrase,omitempty" secret:"text"`
}

var target = config.Define("target", remote{}, nil, config.In(config.Access, 2))

// An applier records its calls with the host names that it was given.
type applier struct {
	fail   string // the host name that Apply fails for
	panics bool   // Apply panics instead of returning an error
	log    []string
}

func (a *applier) Apply(_ context.Context, old, new *config.Config) error {
	a.log = append(a.log, hostname.Get(old)+">"+hostname.Get(new))
	switch {
	case hostname.Get(new) != a.fail:
		return nil
	case a.panics:
		panic("cannot")
	}
	return errors.New("will not")
}

func (a *applier) Done(_ context.Context, old, new *config.Config) {
	a.log = append(a.log, "done "+hostname.Get(new))
}

// calls returns the calls since the last call of calls.
func (a *applier) calls() string {
	s := strings.Join(a.log, " ")
	a.log = nil
	return s
}

var start = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)

func open(t *testing.T, o config.Options) *config.Store {
	t.Helper()
	if o.Clock == nil {
		o.Clock = clock.NewFake(start)
	}
	s, err := config.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func commit(t *testing.T, s *config.Store, d *config.Draft, c config.CommitInfo) *config.Config {
	t.Helper()
	next, err := s.Commit(t.Context(), d, c)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// rename commits a host name.
func rename(t *testing.T, s *config.Store, name string) {
	t.Helper()
	d := s.NewDraft()
	hostname.Set(d, name)
	commit(t, s, d, config.CommitInfo{User: "admin", Comment: "to " + name, KeepForRollback: true})
}

func wantError[E error](t *testing.T, err error, text string) {
	t.Helper()
	var e E
	if !errors.As(err, &e) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %T %q, want a %T with %q", err, err, e, text)
	}
}

func TestNothingTakesEffectBeforeCommit(t *testing.T) {
	a := &applier{}
	s := open(t, config.Options{})
	s.AddApplier(a)
	d := s.NewDraft()
	hostname.Set(d, "esa.example.com")
	if got := hostname.Get(s.Committed()); got != "example.com" || a.calls() != "" {
		t.Errorf("committed %s before commit", got)
	}
	if got := hostname.Get(d); got != "esa.example.com" || !d.Pending() {
		t.Errorf("the draft reads as %s", got)
	}
	c := commit(t, s, d, config.CommitInfo{})
	if c != s.Committed() || c.Revision() != 1 || hostname.Get(c) != "esa.example.com" {
		t.Errorf("revision %d has %s", c.Revision(), hostname.Get(c))
	}
	if got := a.calls(); got != "example.com>esa.example.com done esa.example.com" {
		t.Errorf("the applier saw %q", got)
	}
	if d.Pending() {
		t.Error("the draft is still pending")
	}
	if _, err := s.Commit(t.Context(), d, config.CommitInfo{}); !errors.Is(err, config.ErrNoChanges) {
		t.Errorf("a second commit: %v", err)
	}
}

func TestCommitIsAllOrNothing(t *testing.T) {
	for what, panics := range map[string]bool{"error": false, "panic": true} {
		t.Run(what, func(t *testing.T) {
			const name = "refused.example.com"
			first, second, third := &applier{}, &applier{fail: name, panics: panics}, &applier{}
			s := config.NewStore(first, second, third)
			d := s.NewDraft()
			hostname.Set(d, name)
			if _, err := s.Commit(t.Context(), d, config.CommitInfo{}); err == nil {
				t.Fatal("committed though an applier failed")
			}
			there, back := "example.com>"+name, name+">example.com"
			if got := first.calls(); got != there+" "+back {
				t.Errorf("the first applier saw %q, want it applied and undone", got)
			}
			if got := second.calls(); got != there+" "+back {
				t.Errorf("the failing applier saw %q, want it applied and undone", got)
			}
			if got := third.calls(); got != "" {
				t.Errorf("the applier after it saw %q", got)
			}
			if hostname.Get(s.Committed()) != "example.com" || !d.Pending() {
				t.Error("half committed, or the draft is lost")
			}
		})
	}
}

func TestCommitChecksAllSections(t *testing.T) {
	a := &applier{}
	s := config.NewStore(a)
	d := s.NewDraft()
	hostname.Set(d, "")
	interfaces.Set(d, ifaces{}) // and dns still uses Management
	_, err := s.Commit(t.Context(), d, config.CommitInfo{})
	var bad *config.InvalidError
	if !errors.As(err, &bad) {
		t.Fatalf("error %v", err)
	}
	want := []config.Problem{
		{"hostname", "A host name is required."},
		{"dns", "There is no interface Management."},
	}
	if diff := cmp.Diff(want, bad.Problems); diff != "" || a.calls() != "" {
		t.Errorf("an invalid draft (applied: %q):\n%s", a.calls(), diff)
	}
}

func TestCheckThatFailsIsNoRefusal(t *testing.T) {
	s := config.NewStore()
	d := s.NewDraft()
	hostname.Set(d, "broken.example.com")
	_, err := s.Commit(t.Context(), d, config.CommitInfo{})
	if text, refused := refusal.Text(err); refused || !errors.Is(err, errInternal) {
		t.Errorf("error %v with the text %q, want the check's", err, text)
	}
}

func TestCommitIgnoresEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := config.NewStore(ctxApplier{t})
	d := s.NewDraft()
	hostname.Set(d, "esa.example.com")
	if _, err := s.Commit(ctx, d, config.CommitInfo{}); err != nil {
		t.Error(err)
	}
}

type ctxApplier struct{ t *testing.T }

func (a ctxApplier) Apply(ctx context.Context, _, _ *config.Config) error { return ctx.Err() }
func (a ctxApplier) Done(ctx context.Context, _, _ *config.Config) {
	if ctx.Err() != nil {
		a.t.Error("Done got a context that has ended")
	}
}

func TestCommitOfSameSectionConflicts(t *testing.T) {
	s := config.NewStore()
	a, b := s.NewDraft(), s.NewDraft()
	hostname.Set(a, "a.example.com")
	hostname.Set(b, "b.example.com")
	users.Set(b, accounts{})
	commit(t, s, a, config.CommitInfo{})
	_, err := s.Commit(t.Context(), b, config.CommitInfo{})
	var clash *config.ConflictError
	if !errors.As(err, &clash) || !cmp.Equal(clash.Sections, []string{"hostname"}) {
		t.Fatalf("the second commit: %v", err)
	}
	b.Discard()
	if hostname.Get(b) != "a.example.com" || b.Pending() {
		t.Error("a draft without changes does not see the other session's commit")
	}
}

// While one session is asked for the new value, another commits the same section.
func TestEditConflictsWithCommit(t *testing.T) {
	s := config.NewStore()
	d := s.NewDraft()
	err := hostname.Edit(d, func(v *string) error {
		rename(t, s, "other.example.com")
		*v = "mine.example.com"
		return nil
	})
	wantError[*config.ConflictError](t, err, "hostname")
	if d.Pending() {
		t.Error("the edit was kept")
	}
}

func TestEditThatFailsChangesNothing(t *testing.T) {
	s := config.NewStore()
	d := s.NewDraft()
	no := errors.New("no")
	err := users.Edit(d, func(v *accounts) error { v.List[0].Name = "joe"; return no })
	if err != no || d.Pending() || users.Get(d).List[0].Name != "admin" {
		t.Errorf("error %v, pending %v", err, d.Pending())
	}
}

func TestChangeThatIsRevertedIsNotPending(t *testing.T) {
	d := config.NewStore().NewDraft()
	hostname.Set(d, "esa.example.com")
	hostname.Set(d, "example.com")
	if d.Pending() || d.ChangedSections() != nil {
		t.Errorf("changed %q", d.ChangedSections())
	}
}

func TestGetReturnsACopy(t *testing.T) {
	s := config.NewStore()
	users.Get(s.Committed()).List[0].Name = "mallory"
	if got := users.Get(s.Committed()).List[0].Name; got != "admin" {
		t.Errorf("a committed name was changed to %s", got)
	}
}

func TestCommitNowRebasesDraft(t *testing.T) {
	s := config.NewStore()
	d := s.NewDraft()
	err := users.Edit(d, func(v *accounts) error {
		v.List = append(v.List, account{Name: "joe"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = users.CommitNow(t.Context(), s, d, config.CommitInfo{}, func(v *accounts) error {
		v.List[0].Hash = "new"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := users.Get(s.Committed()); len(got.List) != 1 || got.List[0].Hash != "new" {
		t.Errorf("committed at once: %v", got)
	}
	commit(t, s, d, config.CommitInfo{})
	if got := users.Get(s.Committed()); len(got.List) != 2 || got.List[0].Hash != "new" {
		t.Errorf("committed in the end: %v", got)
	}
}

func TestChangeDuringCommitIsKept(t *testing.T) {
	s := config.NewStore()
	d := s.NewDraft()
	s.AddApplier(applyFunc(func() { hostname.Set(d, "later.example.com") }))
	hostname.Set(d, "esa.example.com")
	commit(t, s, d, config.CommitInfo{})
	if got := hostname.Get(s.Committed()); got != "esa.example.com" {
		t.Errorf("committed %s", got)
	}
	if got := hostname.Get(d); got != "later.example.com" || !d.Pending() {
		t.Errorf("the draft reads as %s", got)
	}
}

type applyFunc func()

func (f applyFunc) Apply(context.Context, *config.Config, *config.Config) error { f(); return nil }
func (f applyFunc) Done(context.Context, *config.Config, *config.Config)        {}

// All tabs of a browser share one draft.
func TestDraftsAreSafeForConcurrentUse(t *testing.T) {
	s := open(t, config.Options{Dir: t.TempDir()})
	d := s.NewDraft()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				hostname.Set(d, fmt.Sprintf("h%d-%d.example.com", i, j))
				_ = hostname.Get(d) + hostname.Get(s.Committed())
				d.Changes()
				_, err := s.Commit(t.Context(), d, config.CommitInfo{KeepForRollback: true})
				if err != nil && !errors.Is(err, config.ErrNoChanges) {
					t.Error(err)
				}
				s.History()
			}
		})
	}
	wg.Wait()
	if d.Pending() {
		t.Error("changes are left after everybody committed")
	}
}

func TestUncommittedSectionsFollowFactory(t *testing.T) {
	f := config.NewFactory()
	hostname.SetFactory(f, "lab.example.com")
	dir := t.TempDir()
	s := open(t, config.Options{Dir: dir, Factory: f})
	if got := hostname.Get(s.Committed()); got != "lab.example.com" {
		t.Errorf("from the factory: %s", got)
	}
	d := s.NewDraft()
	users.Set(d, accounts{})
	commit(t, s, d, config.CommitInfo{})

	hostname.SetFactory(f, "other.example.com")
	s = open(t, config.Options{Dir: dir, Factory: f})
	if got := hostname.Get(s.Committed()); got != "other.example.com" {
		t.Errorf("with another factory: %s", got)
	}
	rename(t, s, "mine.example.com")
	s = open(t, config.Options{Dir: dir, Factory: f})
	got := hostname.Get(s.Committed())
	if got != "mine.example.com" || len(users.Get(s.Committed()).List) != 0 {
		t.Errorf("what was committed did not win: %s", got)
	}
	d = s.NewDraft()
	s.ResetToFactory(d)
	if diff := cmp.Diff([]string{"hostname", "users"}, d.ChangedSections()); diff != "" {
		t.Error(diff)
	}
	commit(t, s, d, config.CommitInfo{})
	if got := hostname.Get(s.Committed()); got != "other.example.com" {
		t.Errorf("after the reset: %s", got)
	}
}

// A default in a factory costs neither encoding nor decoding, which allocate for each element.
func TestFactoriesShareDefaults(t *testing.T) {
	value := users.Get(config.NewFactory())
	n := testing.AllocsPerRun(100, func() {
		f := config.NewFactory()
		users.SetFactory(f, value)
		users.Get(f)
	})
	if n > 10 {
		t.Errorf("setting and getting a default allocates %v times", n)
	}
}

func TestOpenRejectsInvalidFactory(t *testing.T) {
	f := config.NewFactory()
	hostname.SetFactory(f, "")
	_, err := config.Open(config.Options{Factory: f})
	wantError[*config.InvalidError](t, err, "factory configuration")
}

func TestDefinePanicsForUnsupportedTypes(t *testing.T) {
	for name, define := range map[string]func(){
		"hostname": func() { config.Define("hostname", "", nil) },
		"list":     func() { config.Define("x", []string{}, nil) },
		"map":      func() { config.Define("x", struct{ M map[string]int }{}, nil) },
		"secret": func() {
			config.Define("x", struct {
				S struct{} `secret:"text"`
			}{}, nil)
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was accepted", name)
				}
			}()
			define()
		}()
	}
}

func BenchmarkGetHostname(b *testing.B) {
	s := config.NewStore()
	for b.Loop() {
		hostname.Get(s.Committed())
	}
}

func BenchmarkGetAccounts(b *testing.B) {
	s := config.NewStore()
	for b.Loop() {
		users.Get(s.Committed())
	}
}
