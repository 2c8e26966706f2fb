package appliance

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/dhcp"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/resolver"
)

// addDHCP makes dhclient. What it finds out becomes a part of the factory configuration, so that it
// holds until an administrator commits something else, and is never saved with the configuration.
func (a *Appliance) addDHCP(o Options) {
	if len(o.DHCP) == 0 {
		a.DHCP = dhcp.New(dhcp.Options{})
		return
	}
	base := o.Factory
	if base == nil {
		base = config.NewFactory()
	}
	a.DHCP = dhcp.New(dhcp.Options{
		Net:        a.Net,
		Interfaces: o.DHCP,
		Clock:      a.Clock,
		Rand:       a.Entropy.Stream("dhclient"),
		HostName:   a.Hostname,
		Apply: func(ctx context.Context, bindings map[string]dhcp.Binding) error {
			return a.Config.EditFactory(ctx, func(f *config.Factory) {
				setBindings(f, base, o.DHCP, bindings)
			})
		},
		Load: a.loadLeases,
		Save: a.saveLeases,
		Log: func(warning bool, text string) {
			level := Information
			if warning {
				level = Warning
			}
			a.Log(SystemLog, level, text)
		},
		Events: a.Events,
	})
	a.DHCP.SetActive(netconfig.Interfaces.IsFactory(a.Config.Committed()))
	a.Add(a.DHCP)
	a.Config.AddApplier(dhcpApplier{a.DHCP})
}

// setBindings sets the addresses, the default gateway and the DNS servers of a factory configuration
// that was base before any interface had an address.
func setBindings(
	f, base *config.Factory, interfaces []dhcp.Interface, bindings map[string]dhcp.Binding,
) {
	ips, gateways, dns := netconfig.Interfaces.Get(base), netconfig.Gateways.Get(base), resolver.DNS.Get(base)
	var servers []resolver.Server
	chosen := false
	for _, n := range interfaces {
		b, ok := bindings[n.Name]
		if !ok {
			continue
		}
		for i := range ips.List {
			if ip := &ips.List[i]; ip.Port == n.Name && ip.Name == n.Name {
				ip.IPv4, ip.Netmask = b.Address.Addr(), netconfig.Netmask(b.Address.Bits())
			}
		}
		if b.Router.IsValid() && !chosen && (n.Default || !gateways.IPv4.IsValid()) {
			gateways.IPv4, chosen = b.Router, true
		}
		for _, addr := range b.DNS {
			servers = append(servers, resolver.Server{Addr: addr})
		}
	}
	if servers != nil {
		dns.Servers, dns.UseRoots = servers, false
	}
	netconfig.Interfaces.SetFactory(f, ips)
	netconfig.Gateways.SetFactory(f, gateways)
	resolver.DNS.SetFactory(f, dns)
}

// A dhcpApplier stops dhclient when an administrator configures the interfaces, and starts it when
// the factory configuration is restored.
type dhcpApplier struct{ daemon *dhcp.Daemon }

func (dhcpApplier) Apply(context.Context, *config.Config, *config.Config) error { return nil }

func (d dhcpApplier) Done(_ context.Context, _, next *config.Config) {
	d.daemon.SetActive(netconfig.Interfaces.IsFactory(next))
}

// loadLeases reads the leases of the last run.
func (a *Appliance) loadLeases() (leases map[string]dhcp.Lease) {
	a.loadState(leasesFile, func(text string) error {
		if err := json.Unmarshal([]byte(text), &leases); err != nil {
			leases = nil
			return fmt.Errorf("expected leases in JSON: %w", err)
		}
		return nil
	})
	return leases
}

func (a *Appliance) saveLeases(leases map[string]dhcp.Lease) {
	text, err := json.Marshal(leases)
	if err == nil {
		err = writeState(a.state, leasesFile, string(text))
	}
	if err != nil {
		a.Logger.Warn("the leases of addresses are not saved", "err", err)
	}
}
