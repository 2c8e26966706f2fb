package network

import "net/netip"

// A Configurer is a network that owns its interfaces. Each call takes effect at once and
// replaces the former setting. A call that fails changes nothing, except for SetAddrs. A new
// interface has no addresses, so a caller undoes several calls by making them again with the
// former values and in the same order: SetVLANs and SetLoopback, then SetMTU and SetMedia,
// SetAddrs, SetRoutes.
//
// Errors wrap ENXIO if the interface does not exist or cannot have the setting, and EINVAL
// if the value is out of range.
//
// The interface is one and not several, because its methods have one caller, the commit of a
// configuration, which needs all of them: it applies a change as a sequence of these calls
// and undoes them if one fails. A network with some of the methods only could not undo.
type Configurer interface {
	// SetAddrs gives the interface exactly these addresses. The interface no longer
	// answers for an address that is removed; connections of that address stay until
	// AbortConns.
	SetAddrs(ifname string, addrs []netip.Prefix) error
	// SetMTU sets the size of the largest IP packet that the interface sends, from 576 to
	// 9000 bytes. It receives packets of up to 1500 bytes in any case. A VLAN's MTU is at
	// most its parent's; if it is set to the parent's, it follows the parent's from then
	// on.
	SetMTU(ifname string, mtu int) error
	// SetMedia sets the rate of a physical interface. The rate limits the traffic that the
	// interface sends and receives.
	SetMedia(ifname string, m Media) error
	// SetVLANs makes exactly these interfaces over physical ones. Each is named
	// "VLAN <ID>" ("vlan<ID>"), and its frames carry IEEE 802.1Q tags. VLANs that exist
	// already keep all their settings. A VLAN that is removed, or moves to another parent,
	// loses its addresses, as by SetAddrs.
	SetVLANs(vlans []VLAN) error
	// SetLoopback makes or removes the interface "Loopback" (lo1). Its addresses are the
	// appliance's on every segment, but are not announced by ARP or NDP: packets to them
	// arrive by a route or from a load balancer (direct server return).
	SetLoopback(on bool) error
	// AcceptMulticastARP sets whether ARP messages are accepted if their sender's Ethernet
	// address is a multicast address, as the machines of a cluster send them. At first they
	// are not. Entries that were accepted stay in the cache.
	AcceptMulticastARP(accept bool) error
	// SetRoutes sets the static routes, default routes included.
	SetRoutes(routes []Route) error
	// AbortConns closes every connection and every listener of an address that no
	// interface has any more, and returns their number. It sends nothing to the peers, as
	// a real host without the address could not.
	AbortConns() int
}

// Media is the mode of an Ethernet port. The zero Media is autoselect: 1000 Mb/s, full
// duplex.
type Media struct {
	Rate       int64 // bits a second: 10, 100 or 1000 million; 0: autoselect
	HalfDuplex bool  // both directions share the rate
}

// A VLAN is an interface over a physical one (IEEE 802.1Q).
type VLAN struct {
	ID     int    // 1 to 4094, unique
	Parent string // name of a physical interface
}
