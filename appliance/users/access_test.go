package users_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
)

func TestAdmits(t *testing.T) {
	listed := users.AdminAccess{Restricted: true}
	for _, text := range []string{"10.1.0.0/16", "192.0.2.1", "2001:db8::/32"} {
		p, err := users.ParseNetwork(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := users.FormatNetwork(p); got != text {
			t.Errorf("%s is formatted as %s", text, got)
		}
		listed.Allowed = append(listed.Allowed, p)
	}
	open := listed
	open.Restricted = false
	for text, want := range map[string]bool{
		"10.1.255.255": true, "10.2.0.0": false, "192.0.2.1": true, "192.0.2.2": false,
		"2001:db8:1::1": true, "2001:db9::1": false, "::ffff:10.1.0.1": true,
	} {
		addr := netip.MustParseAddr(text)
		if got := listed.Admits(addr); got != want {
			t.Errorf("Admits(%s) = %v", text, got)
		}
		if !open.Admits(addr) {
			t.Errorf("%s is refused without a restriction", text)
		}
	}
	if !listed.Admits(netip.Addr{}) {
		t.Error("the serial console is refused")
	}
}

func TestParseNetworkRejects(t *testing.T) {
	for _, text := range []string{
		"", "10.1.1", "10.1.1.1/33", "fe80::1%nic1", "::ffff:10.1.1.0/120", "example.com",
	} {
		if p, err := users.ParseNetwork(text); err == nil {
			t.Errorf("%q is parsed as %v", text, p)
		}
	}
	if p, err := users.ParseNetwork("10.1.2.3/16"); err != nil || p.String() != "10.1.0.0/16" {
		t.Errorf("want the host bits cleared: %v, %v", p, err)
	}
}

func TestInvalidAccessIsRefused(t *testing.T) {
	s := config.NewStore()
	for want, change := range map[string]func(*users.AdminAccess){
		"none is listed":     func(a *users.AdminAccess) { a.Restricted = true },
		"control characters": func(a *users.AdminAccess) { a.Banner = "a\rb" },
		"not be longer":      func(a *users.AdminAccess) { a.Welcome = strings.Repeat("x", 10_000) },
		"of 4 minutes":       func(a *users.AdminAccess) { a.CLITimeout = 4 },
		"of 1441 minutes":    func(a *users.AdminAccess) { a.WebTimeout = 1441 },
	} {
		d := s.NewDraft()
		v := users.Access.Get(d)
		change(&v)
		users.Access.Set(d, v)
		_, err := s.Commit(t.Context(), d, config.CommitInfo{})
		var invalid *config.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Problems[0].Text, want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestAccessIsSavedAndLoaded(t *testing.T) {
	s := config.NewStore()
	want := users.AdminAccess{
		Banner:  "Authorized <users> only.\n  \"Others\" leave & stay away.",
		Welcome: "Grüße", Restricted: true,
		Allowed:    []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		CLITimeout: 5, WebTimeout: 1440,
	}
	d := s.NewDraft()
	users.Access.Set(d, want)
	if _, err := s.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	options := config.XMLOptions{Passphrases: config.Plain}
	if err := config.WriteXML(&file, s.Committed(), options); err != nil {
		t.Fatal(err)
	}
	other := config.NewStore().NewDraft()
	if _, err := config.ReadXML(strings.NewReader(file.String()), other); err != nil {
		t.Fatal(err)
	}
	same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, users.Access.Get(other), same); diff != "" {
		t.Error(diff)
	}
}
