package netsim

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// Groups of made addresses, the fourth byte.
const (
	macInterface = iota + 1
	macGateway
	macHost
	macInner
	macVLAN
)

// madeMAC is a locally administered address: number n of a group.
func madeMAC(group byte, n int) ether.MAC {
	return ether.MAC{0x02, 0x00, 0x00, group, byte(n >> 8), byte(n)}
}

// setDefaults fills in what the topology left out.
func (t *Topology) setDefaults() {
	a := &t.Appliance
	a.DiskQuota = cmp.Or(a.DiskQuota, defaultQuota)
	for i := range a.Interfaces {
		n := &a.Interfaces[i]
		n.Link = cmp.Or(n.Link, i+1)
		n.MTU = cmp.Or(n.MTU, defaultMTU)
		if n.MAC == (ether.MAC{}) {
			n.MAC = madeMAC(macInterface, i+1)
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
		if h.Wire != "" && h.MAC == (ether.MAC{}) {
			h.MAC = madeMAC(macHost, i+1)
		}
		for j := range h.Services {
			s := &h.Services[j]
			if kind, ok := peers.Lookup(s.Type); ok {
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
	return t.records().Addrs[strings.ToLower(name)]
}

// records are what the DNS knows.
func (t *Topology) records() *peers.Records {
	r := &peers.Records{
		Addrs: make(map[string][]netip.Addr),
		Names: make(map[netip.Addr]string),
		Mail:  make(map[string][]peers.MX),
	}
	add := func(name string, addrs ...netip.Addr) {
		name = strings.ToLower(name)
		r.Addrs[name] = append(r.Addrs[name], addrs...)
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
				r.Names[a] = h.Names[0]
			}
		}
	}
	for a, name := range t.Names {
		add(name, a)
		r.Names[a] = name
	}
	for _, addrs := range r.Addrs {
		slices.SortFunc(addrs, netip.Addr.Compare)
	}
	for _, m := range t.Mail {
		domain := strings.ToLower(m.Domain)
		r.Mail[domain] = append(r.Mail[domain], peers.MX{Preference: m.Preference, Host: m.Host})
	}
	return r
}
