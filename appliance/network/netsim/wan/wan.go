package wan

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
)

// A Gateway is the configuration of the router on a segment.
type Gateway struct {
	Name    string
	Segment *ether.Segment
	MAC     ether.MAC
	MTU     int
	// Addrs are the router's addresses with the networks that are on the segment. The
	// router has a link-local IPv6 address besides, see LinkLocalAddr.
	Addrs []netip.Prefix
	// OnlyNeighbor is the machine that has all addresses on the segment, so that ARP and
	// neighbor discovery are not needed. Zero means that there is no such machine.
	OnlyNeighbor ether.MAC
}

// Options describe what a WAN is connected to.
type Options struct {
	Fabric   *ether.Fabric
	Rand     *entropy.Stream // decides loss and jitter; nil means the machine's randomness
	Gateways []Gateway
	// Sites are the routers on the segments of far hosts, see SetHosts. The networks of
	// their addresses have no effect.
	Sites []Gateway
	// ApplianceMACs are the MACs of the appliance. A rule's direction is Out for packets
	// that come from one of them, and In for all others.
	ApplianceMACs []ether.MAC
}

// A HostRange places far hosts at a site: one host, or all hosts of a network.
type HostRange struct {
	Net  netip.Prefix
	Site int // index in Options.Sites
}

// An End is what happens to packets at the end of a path.
type End uint8

// Ends of paths.
const (
	EndDeliver         End = iota // delivered to the host, at its site
	EndNetUnreachable             // answered by the last router: network unreachable
	EndHostUnreachable            // answered by the last router: host unreachable
	EndProhibited                 // answered by the last router: administratively prohibited
	EndSilent                     // dropped
)

// A Hop is a router on a path, or several routers that share the load.
type Hop struct {
	// Members are the addresses that answer; see topology.Hop for the choice among
	// them. The first hop of a path is the gateway.
	Members []netip.Addr
	Seed    int
	Delay   time.Duration // one way, from the previous hop
	Jitter  time.Duration // of the hop's own answers
	Loss    float64       // fraction of the packets that are lost, 0 to 1
	Silent  bool          // does not answer packets whose TTL expires here
}

// A Path leads to the far hosts of a network.
type Path struct {
	Name   string // which rules refer to
	To     netip.Prefix
	Hops   []Hop
	Delay  time.Duration // one way, from the last hop to the host
	Jitter time.Duration // one way; packets keep their order
	Loss   float64       // fraction of the packets that are lost, 0 to 1
	MTU    int           // 0: no limit
	End    End
}

// A WAN is a running network of gateways and paths. Its methods are safe for
// concurrent use.
type WAN struct {
	fabric       *ether.Fabric
	machineClock clock.Clock
	rand         *entropy.Stream
	gateways     []*gateway
	sites        []*gateway

	mu    sync.Mutex // held while a table or the observers are replaced
	table atomic.Pointer[table]

	applianceMACs []ether.MAC
	otherMACs     atomic.Pointer[map[ether.MAC]bool] // of more appliances; nil if there are none
	faults        atomic.Pointer[faultSet]
	observers     atomic.Pointer[observers] // nil if there are none

	// Used by the pump only.
	steps    []step // memory for the steps of the next transit
	received packet // the packet that a gateway is handling
	lastIPID uint16 // IP identification of the latest IPv4 packet that a router sent
}

// A table holds what packets are looked up by. It is replaced, never changed, except for
// the lanes of its paths.
type table struct {
	paths    []*path // longest prefix first
	hosts    map[netip.Addr]*gateway
	siteNets []siteNet
	routers  map[netip.Addr]routerPlace
}

// A siteNet is a network of far hosts and the router at their site.
type siteNet struct {
	net  netip.Prefix
	site *gateway
}

// A path is a Path with its lanes to and from the far hosts. The lanes are used by the pump
// only.
type path struct {
	Path
	outLane, backLane lane
}

// A routerPlace is the place of a router on a path.
type routerPlace struct {
	path *path
	hop  int
}

// New attaches the gateways to their segments and returns the running WAN, which has no
// paths, hosts and faults yet.
func New(o Options) *WAN {
	w := &WAN{
		fabric: o.Fabric, machineClock: clock.System(), rand: o.Rand,
		applianceMACs: o.ApplianceMACs,
	}
	if w.rand == nil {
		w.rand = entropy.System().Stream("wan")
	}
	w.table.Store(&table{})
	w.SetFaults(nil)
	for _, g := range o.Gateways {
		w.gateways = append(w.gateways, newGateway(w, g, false))
	}
	for _, g := range o.Sites {
		w.sites = append(w.sites, newGateway(w, g, true))
	}
	return w
}

// Close detaches the gateways from their segments.
func (w *WAN) Close() {
	for _, g := range slices.Concat(w.gateways, w.sites) {
		g.port.Close()
	}
}

// SetHosts replaces the places of all far hosts. If a path leads to an address without a
// place, the first site is assumed: the address is usually not found there, and the sender
// gets "host unreachable".
func (w *WAN) SetHosts(hosts []HostRange) {
	w.change(func(t *table) {
		t.hosts, t.siteNets = make(map[netip.Addr]*gateway), nil
		for _, h := range hosts {
			if site := w.sites[h.Site]; h.Net.IsSingleIP() {
				t.hosts[h.Net.Addr()] = site
			} else {
				t.siteNets = append(t.siteNets, siteNet{h.Net, site})
			}
		}
	})
}

// SetPaths replaces all paths. Packets in flight are unaffected.
func (w *WAN) SetPaths(paths []Path) {
	w.change(func(t *table) {
		t.paths, t.routers = nil, make(map[netip.Addr]routerPlace)
		for _, p := range paths {
			t.paths = append(t.paths, &path{Path: p})
		}
		slices.SortStableFunc(t.paths, func(a, b *path) int { return b.To.Bits() - a.To.Bits() })
		for _, p := range t.paths {
			for i, h := range p.Hops {
				for _, a := range h.Members {
					if _, ok := t.routers[a]; !ok {
						t.routers[a] = routerPlace{p, i}
					}
				}
			}
		}
	})
}

// change replaces the table by a copy that f has changed.
func (w *WAN) change(f func(*table)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := *w.table.Load()
	f(&t)
	w.table.Store(&t)
}

// path returns the path to a, nil if there is none.
func (t *table) path(a netip.Addr) *path {
	for _, p := range t.paths {
		if p.To.Contains(a) {
			return p
		}
	}
	return nil
}

// site returns the router at the site of a, nil if SetHosts did not place a.
func (t *table) site(a netip.Addr) *gateway {
	if g := t.hosts[a]; g != nil {
		return g
	}
	for _, p := range t.siteNets {
		if p.net.Contains(a) {
			return p.site
		}
	}
	return nil
}

// gatewayOn returns the gateway on whose segment a is, nil if there is none.
func (w *WAN) gatewayOn(a netip.Addr) *gateway {
	for _, g := range w.gateways {
		for _, p := range g.addrs {
			if p.Contains(a) {
				return g
			}
		}
	}
	return nil
}

// randomLoss decides at random whether a packet is lost; rate is the probability.
func (w *WAN) randomLoss(rate float64) bool { return rate > 0 && w.rand.Float64() < rate }

// randomJitter returns a random delay of less than limit.
func (w *WAN) randomJitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(w.rand.Float64() * float64(limit))
}
