package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/resolver"
)

// openResolver makes the DNS client. What it counted in earlier runs goes on.
func (a *Appliance) openResolver(o Options) error {
	var earlier resolver.Stats
	text, err := readState(a.state, dnsFile)
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &earlier)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(a.state, dnsFile), err)
	}
	a.Resolver = resolver.New(resolver.Options{
		Net:           o.Net,
		Clock:         a.Clock,
		Rand:          o.Entropy.Stream("resolver/id"),
		Settings:      func() resolver.Settings { return resolver.DNS.Get(a.Config.Committed()) },
		Timeout:       a.Timeouts.Lookup,
		Source:        a.sourceOf,
		PreviousStats: earlier,
	})
	a.Config.AddApplier(nameApplier{a})
	return nil
}

// saveNames keeps what must outlive a restart.
func (a *Appliance) saveNames() error {
	text, err := json.Marshal(a.Resolver.Lifetime())
	if err != nil {
		return fmt.Errorf("encode DNS counters: %w", err)
	}
	return writeState(a.state, dnsFile, string(text))
}

// sourceOf is the address of an IP interface; invalid where it has none of the family,
// and for "".
func (a *Appliance) sourceOf(ifname string, v6 bool) netip.Addr {
	for _, i := range Interfaces.Get(a.Config.Committed()).List {
		switch {
		case i.Name != ifname:
		case v6:
			return i.IPv6.Addr()
		default:
			return i.IPv4
		}
	}
	return netip.Addr{}
}

// A nameApplier lets the DNS client forget what servers said that are not asked any more.
type nameApplier struct{ appliance *Appliance }

// Apply refuses to send queries from an interface that is not there.
func (nameApplier) Apply(_ context.Context, _, next *config.Config) error {
	name := resolver.DNS.Get(next).Interface
	if name == "" || slices.ContainsFunc(Interfaces.Get(next).List, func(i IPInterface) bool { return i.Name == name }) {
		return nil
	}
	return &RefusedError{Text: fmt.Sprintf("DNS queries are to come from the IP interface %s, which does not exist. Choose another one with dnsconfig.", name)}
}

// Done flushes the cache if the settings have changed.
func (p nameApplier) Done(_ context.Context, last, next *config.Config) {
	if !reflect.DeepEqual(resolver.DNS.Get(last), resolver.DNS.Get(next)) {
		p.appliance.Resolver.Flush()
	}
}
