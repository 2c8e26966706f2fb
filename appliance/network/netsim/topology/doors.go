package topology

import (
	"net/netip"
	"slices"
)

// Exit is where an address leads out to. One port is more than all.
func (t *Topology) Exit(to netip.AddrPort) (netip.AddrPort, bool) {
	var out netip.AddrPort
	for _, e := range t.Doors.Out {
		switch {
		case e.Address != to.Addr():
		case e.Port == 0 && !out.IsValid():
			out = netip.AddrPortFrom(e.To, to.Port())
		case e.Port == to.Port() && e.ToPort == 0:
			return netip.AddrPortFrom(e.To, e.Port), true
		case e.Port == to.Port():
			return netip.AddrPortFrom(e.To, e.ToPort), true
		}
	}
	return out, out.IsValid()
}

// Servers are a host's services: none where real machines have taken its place.
func (t *Topology) Servers(h Host) []Service {
	if !slices.ContainsFunc(h.Addresses, func(a netip.Addr) bool { return !t.LeadsOut(a) }) {
		return nil
	}
	return h.Services
}
