package topology

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// setDefaults fills in what the topology left out.
func (t *Topology) setDefaults(servers ServerTypes) {
	a := &t.Appliance
	a.DiskQuota = cmp.Or(a.DiskQuota, defaultQuota)
	for i := range a.Interfaces {
		n := &a.Interfaces[i]
		n.Link = cmp.Or(n.Link, i+1)
		n.MTU = cmp.Or(n.MTU, defaultMTU)
		if n.MAC == (MAC{}) {
			n.MAC = derivedMAC(macInterface, i+1)
		}
		for _, gw := range []*netip.Prefix{&n.Gateway, &n.Gateway6} {
			for _, p := range n.Addresses {
				if gw.IsSingleIP() && p.Contains(gw.Addr()) {
					*gw = netip.PrefixFrom(gw.Addr(), p.Bits())
				}
			}
		}
	}
	for i := range t.Hosts {
		h := &t.Hosts[i]
		if h.Wire != "" && h.MAC == (MAC{}) {
			h.MAC = derivedMAC(macHost, i+1)
		}
		for j := range h.Services {
			s := &h.Services[j]
			if kind, ok := servers[s.Type]; ok {
				s.Port = cmp.Or(s.Port, kind.Port)
			}
			s.Name = cmp.Or(s.Name, h.Name+"/"+s.Type)
		}
	}
	for i := range t.Paths {
		t.Paths[i].Name = cmp.Or(t.Paths[i].Name, t.Paths[i].To.String())
	}
	for i := range t.Doors.In {
		t.Doors.In[i].Name = cmp.Or(t.Doors.In[i].Name, t.Doors.In[i].Service)
	}
}

// addressesOf is what the DNS knows of a name.
func (t *Topology) addressesOf(name string) []netip.Addr {
	addrs, _ := t.Records()
	return addrs[strings.ToLower(name)]
}

// Records are what the DNS knows besides mail exchangers: the addresses of names, which are
// in lower case, and the names of addresses.
func (t *Topology) Records() (addrs map[string][]netip.Addr, names map[netip.Addr]string) {
	addrs, names = make(map[string][]netip.Addr), make(map[netip.Addr]string)
	add := func(name string, list ...netip.Addr) {
		name = strings.ToLower(name)
		addrs[name] = append(addrs[name], list...)
	}
	for _, n := range t.Appliance.Interfaces {
		for _, p := range n.Addresses {
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
