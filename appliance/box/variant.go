package box

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/users"
)

// A Variant is what an appliance has of its own among the appliances of one topology. Fields that
// are zero leave what the topology says.
type Variant struct {
	HostName  string
	Serial    string
	Model     string
	Version   string // release and build: "14.0.0-698"
	BuildDate string // of Version: "2021-07-27"
	// Addresses are those of interfaces, by the name of the interface in the topology.
	Addresses map[string][]netip.Prefix
	// Accounts are added to the factory configuration, or replace those of the same name.
	Accounts []users.Account
	// Configuration is the text of a configuration file, or of a part of one, which is laid over
	// the factory configuration as the command loadconfig does.
	Configuration []byte
}

// With returns the blueprint of an appliance that differs from that of p. The two share what is
// equal. Errors about the topology are of type *topology.Error, those about the configuration as
// those of config.ReadXML.
func (p *Blueprint) With(v Variant) (*Blueprint, error) {
	t, err := v.topology(p.topology)
	if err != nil {
		return nil, err
	}
	q := &Blueprint{
		topology: t, zone: p.zone, accounts: append(slices.Clone(p.accounts), v.Accounts...),
		configurations: slices.Clone(p.configurations),
	}
	if len(v.Configuration) > 0 {
		q.configurations = append(q.configurations, v.Configuration)
	}
	if q.facts, err = productFacts(t); err != nil {
		return nil, err
	}
	if v.onlyNames() {
		if err := t.CheckIdentity(); err != nil {
			return nil, err
		}
		q.factory = p.factory.Clone()
		setIdentity(q.factory, t, q.facts.Version)
	} else {
		if err := netsim.Check(t); err != nil {
			return nil, err
		}
		if q.factory, err = factory(t, q.facts.Version); err != nil {
			return nil, err
		}
	}
	if err := q.configure(v.HostName); err != nil {
		return nil, err
	}
	if err := q.factory.Check(); err != nil {
		return nil, fmt.Errorf("factory configuration: %w", err)
	}
	return q, nil
}

// onlyNames reports whether the variant changes no more than the host name and the serial number,
// so that the checks of the topology and most of the factory configuration hold for it too.
func (v Variant) onlyNames() bool {
	return v.Model == "" && v.Version == "" && v.BuildDate == "" && len(v.Addresses) == 0
}

// topology returns the topology of the variant.
func (v Variant) topology(of *topology.Topology) (*topology.Topology, error) {
	t := *of
	a := &t.Appliance
	a.HostName = cmp.Or(v.HostName, a.HostName)
	a.Serial = cmp.Or(v.Serial, a.Serial)
	a.Model = cmp.Or(v.Model, a.Model)
	if v.Version != "" && v.Version != a.Version {
		a.Version, a.BuildDate = v.Version, "" // the topology's date is that of its version
	}
	a.BuildDate = cmp.Or(v.BuildDate, a.BuildDate)
	a.Interfaces = slices.Clone(a.Interfaces)
	for _, name := range slices.Sorted(maps.Keys(v.Addresses)) {
		i := slices.IndexFunc(a.Interfaces, func(i topology.Interface) bool { return i.Name == name })
		if i < 0 {
			return nil, t.ErrorAt("appliance.interfaces", "there is no interface %q", name)
		}
		a.Interfaces[i].Addresses = v.Addresses[name]
	}
	t.DeriveMACs()
	return &t, nil
}

// configure lays accounts and configurations over the factory configuration. A host name of the
// variant counts more than one that all appliances with such a configuration have.
func (p *Blueprint) configure(hostName string) error {
	if len(p.accounts) > 0 {
		accounts := users.Section.Get(p.factory)
		for _, account := range p.accounts {
			if old := accounts.Find(account.Name); old != nil {
				*old = account
			} else {
				accounts.List = append(accounts.List, account)
			}
		}
		users.Section.SetFactory(p.factory, accounts)
	}
	for _, text := range p.configurations {
		if err := p.factory.ReadXML(bytes.NewReader(text)); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	if hostName != "" && len(p.configurations) > 0 {
		netconfig.Hostname.SetFactory(p.factory, hostName)
	}
	return nil
}
