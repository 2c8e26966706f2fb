package topology

import (
	"net/netip"
	"slices"
	"strings"
)

// SimulatedServices returns the services of a host, none if back doors lead to real machines
// in its place, or it is not simulated.
func (t *Topology) SimulatedServices(h Host) []Service {
	if !t.Simulates(&h) {
		return nil
	}
	if !slices.ContainsFunc(h.Addresses, func(a netip.Addr) bool { return !t.LeadsOut(a) }) {
		return nil
	}
	return h.Services
}

// DNSRecords returns the address and name records of the topology: the addresses of names,
// which are in lower case, and the name of each address.
func (t *Topology) DNSRecords() (addrs map[string][]netip.Addr, names map[netip.Addr]string) {
	addrs, names = make(map[string][]netip.Addr), make(map[netip.Addr]string)
	add := func(name string, list ...netip.Addr) {
		name = strings.ToLower(name)
		addrs[name] = append(addrs[name], list...)
	}
	for _, n := range t.Appliance.Interfaces {
		for _, p := range n.StaticAddresses() {
			add(t.Appliance.HostName, p.Addr())
		}
	}
	for _, h := range t.Hosts {
		for _, name := range h.Names {
			add(name, h.Addresses...)
		}
		if len(h.Names) > 0 {
			for _, a := range h.Addresses {
				names[a] = h.Names[0]
			}
		}
	}
	for a, name := range t.Names {
		add(name, a)
		names[a] = name
	}
	for _, list := range addrs {
		slices.SortFunc(list, netip.Addr.Compare)
	}
	return addrs, names
}

// findInterface returns the interface of that name, or nil.
func (t *Topology) findInterface(name string) *Interface {
	for i := range t.Appliance.Interfaces {
		if n := &t.Appliance.Interfaces[i]; n.Name == name {
			return n
		}
	}
	return nil
}

// findHost returns the host of that name, or nil.
func (t *Topology) findHost(name string) *Host {
	for i := range t.Hosts {
		if t.Hosts[i].Name == name {
			return &t.Hosts[i]
		}
	}
	return nil
}

// hostOf returns the host that has an address, or nil.
func (t *Topology) hostOf(a netip.Addr) *Host {
	for i := range t.Hosts {
		if slices.Contains(t.Hosts[i].Addresses, a) {
			return &t.Hosts[i]
		}
	}
	return nil
}

// isFarHost reports whether a host behind the gateways has the address.
func (t *Topology) isFarHost(a netip.Addr) bool {
	h := t.hostOf(a)
	return h != nil && h.Wire == ""
}
