package delivery

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/config"
)

func TestRoutesAreReadAndWrittenAsText(t *testing.T) {
	for text, want := range map[string]Route{
		"USEDNS":         {},
		"/dev/null":      {Discard: true},
		"mx.example.com": {Hosts: []RouteHost{{Name: "mx.example.com"}}},
		"a.example:26 /pri=10, [b.example], 192.0.2.1, [2001:db8::1]:587, 2001:db8::2": {Hosts: []RouteHost{
			{Name: "a.example", Port: 26, Priority: 10}, {Name: "[b.example]"}, {Name: "192.0.2.1"},
			{Name: "[2001:db8::1]", Port: 587}, {Name: "2001:db8::2"},
		}},
	} {
		var r Route
		if err := r.SetHosts(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		if got := r.HostsText(); got != text {
			t.Errorf("%q is written as %q", text, got)
		}
	}
	for _, text := range []string{
		"", ",", "a.example,", "a.example, USEDNS x", "USEDNS, a.example", "a.example, /dev/null", "a.example /pri=65536",
		"a.example /pri=", "a.example:0", "a.example:65536", "a.example:x", "[a.example", ".example.com",
		"a b.example", "a.example /pri=1 x", "user@a.example", "a..example", "fe80::1%eth0",
	} {
		r := Route{Discard: true}
		if r.SetHosts(text) == nil || !r.Discard || r.Hosts != nil {
			t.Errorf("%q was accepted as %+v", text, r)
		}
	}
}

func TestRouteDomains(t *testing.T) {
	for _, s := range []string{"ALL", "all", "example.com", ".example.com"} {
		if err := CheckRouteDomain(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", ".", "[192.0.2.1]", "a b", "user@example.com"} {
		if CheckRouteDomain(s) == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

// Everything that the mail sections can hold survives saveconfig and loadconfig.
func TestSectionsSurviveSavingAndLoading(t *testing.T) {
	store, err := config.Open(config.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	d := store.NewDraft()
	routes := RouteList{List: []Route{
		{Domain: ".example.com", Hosts: []RouteHost{{Name: "[2001:db8::1]", Port: 26, Priority: 5}}},
		{Domain: "ALL", Discard: true}, {Domain: "dns.example"},
	}}
	profiles := ProfileList{Default: DefaultProfile(), List: []Profile{
		{Name: "Fast & <odd>", MaxRetries: 0, MaxTime: 100, FirstRetry: 60, MaxRetry: 60, To: "a@example.com"},
	}}
	limits := Destination{Domain: "example.net", MaxConnections: 1, MaxMessages: 1, RecipientLimit: 7,
		Minutes: 60, TLS: TLSRequiredVerify, BounceProfile: "Fast & <odd>"}
	destinations := DestinationList{Default: DefaultDestination(), List: []Destination{limits}}
	settings := Settings{MaxConnections: 5, MaxTLSConnections: 3}
	Routes.Set(d, routes)
	Profiles.Set(d, profiles)
	Destinations.Set(d, destinations)
	Config.Set(d, settings)

	var b bytes.Buffer
	if err := config.WriteXML(&b, d, config.XMLOptions{Passphrases: config.Plain}); err != nil {
		t.Fatal(err)
	}
	loaded := store.NewDraft()
	if _, err := config.ReadXML(&b, loaded); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Commit(t.Context(), loaded, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	for name, diff := range map[string]string{
		"routes":       cmp.Diff(routes, Routes.Get(loaded)),
		"profiles":     cmp.Diff(profiles, Profiles.Get(loaded)),
		"destinations": cmp.Diff(destinations, Destinations.Get(loaded)),
		"settings":     cmp.Diff(settings, Config.Get(loaded)),
	} {
		if diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
