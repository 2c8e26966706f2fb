package topology

import (
	"cmp"
	"net/netip"
	"strconv"
)

const (
	defaultMTU   = 1500
	defaultQuota = GiB
)

// setDefaults sets the fields that the topology leaves out.
func (t *Topology) setDefaults(servers ServerTypes) {
	a := &t.Appliance
	a.DiskQuota = cmp.Or(a.DiskQuota, defaultQuota)
	t.derivedMACs = make([]bool, len(a.Interfaces))
	for i := range a.Interfaces {
		n := &a.Interfaces[i]
		n.Link = cmp.Or(n.Link, i+1)
		n.MTU = cmp.Or(n.MTU, defaultMTU)
		if n.MAC == (MAC{}) {
			n.MAC, t.derivedMACs[i] = derivedMAC(macInterface, i+1), true
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
	for i := range t.Uplinks {
		t.Uplinks[i].setDefaults()
	}
	t.DeriveMACs()
	for i := range t.Paths {
		t.Paths[i].Name = cmp.Or(t.Paths[i].Name, t.Paths[i].To.String())
	}
	for i := range t.Traffic.Flows {
		t.Traffic.Flows[i].Name = cmp.Or(t.Traffic.Flows[i].Name, strconv.Itoa(i+1))
	}
	for i := range t.Doors.In {
		t.Doors.In[i].Name = cmp.Or(t.Doors.In[i].Name, t.Doors.In[i].Service)
	}
}
