package appliance

import (
	"context"
	"encoding/json"
	"net/netip"
	"reflect"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
)

// openResolver makes the DNS client. Its lifetime counters continue those of earlier runs.
func (a *Appliance) openResolver(o Options) {
	var earlier resolver.Stats
	a.loadState(dnsFile, func(text string) error {
		var stats resolver.Stats
		err := json.Unmarshal([]byte(text), &stats)
		if err == nil {
			earlier = stats
		}
		return err
	})
	a.Resolver = resolver.New(resolver.Options{
		Net:           o.Net,
		Clock:         a.Clock,
		Rand:          o.Entropy.Stream("resolver/id"),
		Settings:      func() resolver.Settings { return resolver.DNS.Get(a.Config.Committed()) },
		Timeout:       a.Timeouts.Lookup,
		Source:        a.sourceAddr,
		PreviousStats: earlier,
		Events:        a.Events,
	})
	a.Config.AddApplier(resolverApplier{a.Resolver})
}

// saveResolver saves the lifetime counters. If it cannot, the next start continues with those of an
// earlier run.
func (a *Appliance) saveResolver() {
	text, err := json.Marshal(a.Resolver.Lifetime())
	if err == nil {
		err = writeState(a.state, dnsFile, string(text))
	}
	if err != nil {
		a.Logger.Warn("the DNS counters are not saved", "err", err)
	}
}

// sourceAddr returns the address of an IP interface. It is invalid if the interface has none of
// that family or does not exist.
func (a *Appliance) sourceAddr(ifname string, v6 bool) netip.Addr {
	i, _ := netconfig.Interfaces.Get(a.Config.Committed()).Find(ifname)
	if v6 {
		return i.IPv6.Addr()
	}
	return i.IPv4
}

// A resolverApplier flushes the cache when the DNS settings change: other servers may give other
// answers.
type resolverApplier struct{ client *resolver.Client }

// Apply refuses a source interface that does not exist.
func (resolverApplier) Apply(_ context.Context, _, next *config.Config) error {
	name := resolver.DNS.Get(next).Interface
	if _, ok := netconfig.Interfaces.Get(next).Find(name); !ok && name != "" {
		return refusal.Newf("DNS queries are to come from the IP interface %s, which does not exist. "+
			"Choose another one with dnsconfig.", name)
	}
	return nil
}

func (r resolverApplier) Done(_ context.Context, last, next *config.Config) {
	if !reflect.DeepEqual(resolver.DNS.Get(last), resolver.DNS.Get(next)) {
		r.client.Flush()
	}
}
