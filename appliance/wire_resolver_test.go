package appliance_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
)

// setDNS commits a change of the DNS settings.
func setDNS(t *testing.T, app *appliance.Appliance, change func(*resolver.Settings)) error {
	t.Helper()
	d := app.Config.NewDraft()
	s := resolver.DNS.Get(d)
	change(&s)
	resolver.DNS.Set(d, s)
	_, err := app.Config.Commit(t.Context(), d, config.CommitInfo{})
	return err
}

func TestUnknownSourceOfDNSQueriesIsRefused(t *testing.T) {
	app := newAppliance(t, newWorld(t))
	err := setDNS(t, app, func(s *resolver.Settings) { s.Interface = "Data 7" })
	if _, ok := refusal.Text(err); !ok {
		t.Errorf("commit = %v", err)
	}
	if err := setDNS(t, app, func(s *resolver.Settings) { s.Interface = "Data 1" }); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Resolver.Lookup(t.Context(), "mail.example.com", 4); err != nil {
		t.Error(err)
	}
}

func TestChangedDNSSettingsFlushCache(t *testing.T) {
	app := newAppliance(t, newWorld(t))
	lookup := func(network uint64) {
		t.Helper()
		if _, err := app.Resolver.Lookup(t.Context(), "mail.example.com", 4); err != nil {
			t.Fatal(err)
		}
		if n := app.Resolver.Stats().Network; n != network {
			t.Errorf("%d queries were sent, want %d", n, network)
		}
	}
	lookup(1)
	i := data1
	i.FTP = 2121
	if err := commit(t, app, i); err != nil {
		t.Fatal(err)
	}
	lookup(1)
	if err := setDNS(t, app, func(s *resolver.Settings) { s.MinimumTTL = 60 }); err != nil {
		t.Fatal(err)
	}
	lookup(2)
}

func TestDNSCountersSurviveRestart(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	for run := range uint64(2) {
		app := open(t, appliance.Options{Net: w.Network(), Dir: dir})
		_, err := app.Resolver.LookupMX(t.Context(), "example.com")
		if !errors.Is(err, resolver.ErrNoServer) {
			t.Fatal(err)
		}
		one := resolver.Stats{Requests: 1, Misses: 1, Exceptions: 1}
		if diff := cmp.Diff(one, app.Resolver.Stats()); diff != "" {
			t.Error(diff)
		}
		all := resolver.Stats{Requests: run + 1, Misses: run + 1, Exceptions: run + 1}
		if diff := cmp.Diff(all, app.Resolver.Lifetime()); diff != "" {
			t.Error(diff)
		}
		if err := app.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// DNS queries use the appliance's own network.
func TestResolverUsesNetwork(t *testing.T) {
	app := newAppliance(t, newWorld(t))
	got, err := app.Resolver.Lookup(t.Context(), "mail.example.com", 4)
	if err != nil || len(got) != 1 || got[0] != data1.IPv4 {
		t.Errorf("Lookup = %v, %v", got, err)
	}
}
