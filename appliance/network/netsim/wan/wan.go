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

// A Gateway is the router on a wire.
type Gateway struct {
	Name    string
	Segment *ether.Segment
	MAC     ether.MAC
	MTU     int
	// Addrs are its addresses with their networks, which are on this wire. It has
	// a link-local IPv6 address besides, made of its MAC.
	Addrs []netip.Prefix
	// All is the machine that has all addresses on this wire, so that nobody need
	// be asked; zero: there is none.
	All ether.MAC
}

// Options say what a WAN is connected to.
type Options struct {
	Fabric   *ether.Fabric
	Rand     *entropy.Stream // decides loss and jitter; nil means the machine's chance
	Gateways []Gateway
	// Sites are wires of hosts behind the gateways, see SetHosts. What their
	// gateways' networks are does not matter.
	Sites []Gateway
	// Appliance is the cards from whose point of view faults tell in from out.
	Appliance []ether.MAC
}

// A Host says at which site an address is, or all addresses of a network.
type Host struct {
	Net  netip.Prefix
	Site int // of Options.Sites
}

// An End is what becomes of packets at the end of a path.
type End uint8

// Ends of paths.
const (
	Deliver         End = iota // to the host, at its site
	NetUnreachable             // an ICMP error of the last router
	HostUnreachable            // likewise
	Prohibited                 // likewise: administratively prohibited
	Silent                     // nothing
)

// A Hop is a router on a path, or several that share the load.
type Hop struct {
	// Members are the addresses that answer; see netsim.Hop for the choice among
	// them. The first hop of a path is the gateway.
	Members []netip.Addr
	Seed    int
	Delay   time.Duration // one way, from the hop before
	Jitter  time.Duration // of its own answers
	Loss    float64
	Silent  bool // answers no packet whose TTL ends here
}

// A Path leads to a network.
type Path struct {
	Name   string // for faults
	To     netip.Prefix
	Hops   []Hop
	Delay  time.Duration // one way, of the last leg
	Jitter time.Duration // one way; packets keep their order
	Loss   float64
	MTU    int // 0: no limit
	End    End
}

// A WAN is a running network of gateways and paths. Its methods are safe for
// concurrent use.
type WAN struct {
	fabric   *ether.Fabric
	machine  clock.Clock
	rand     *entropy.Stream
	gateways []*gateway
	sites    []*gateway

	mu    sync.Mutex // held while a table is replaced
	table atomic.Pointer[table]

	appliance []ether.MAC
	faults    atomic.Pointer[faultSet]

	// What follows belongs to the pump.
	steps []step // of the packet at hand
	ident uint16 // of our own IPv4 packets
}

// A table is what packets are looked up in. It is not changed, its lanes
// excepted.
type table struct {
	paths   []*path // longest network first
	hosts   map[netip.Addr]*gateway
	pools   []pool
	routers map[netip.Addr]place
}

// A pool is a network of hosts at a site.
type pool struct {
	net  netip.Prefix
	site *gateway
}

// A path is a Path as packets use it. Lanes belong to the pump.
type path struct {
	Path
	there, home lane
}

// A place is a router's on a path.
type place struct {
	path *path
	hop  int
}

// New plugs the gateways into their wires.
func New(o Options) *WAN {
	w := &WAN{fabric: o.Fabric, machine: clock.System(), rand: o.Rand, appliance: o.Appliance}
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

// Close pulls the gateways out of their wires.
func (w *WAN) Close() {
	for _, g := range slices.Concat(w.gateways, w.sites) {
		g.port.Close()
	}
}

// SetHosts says where hosts are. An address of none of them to which a path leads
// is looked for, in vain as a rule, at the first site.
func (w *WAN) SetHosts(hosts []Host) {
	w.change(func(t *table) {
		t.hosts, t.pools = make(map[netip.Addr]*gateway), nil
		for _, h := range hosts {
			if site := w.sites[h.Site]; h.Net.IsSingleIP() {
				t.hosts[h.Net.Addr()] = site
			} else {
				t.pools = append(t.pools, pool{h.Net, site})
			}
		}
	})
}

// SetPaths replaces all paths. Packets under way stay under way.
func (w *WAN) SetPaths(paths []Path) {
	w.change(func(t *table) {
		t.paths, t.routers = nil, make(map[netip.Addr]place)
		for _, p := range paths {
			t.paths = append(t.paths, &path{Path: p})
		}
		slices.SortStableFunc(t.paths, func(a, b *path) int { return b.To.Bits() - a.To.Bits() })
		for _, p := range t.paths {
			for i, h := range p.Hops {
				for _, a := range h.Members {
					if _, ok := t.routers[a]; !ok {
						t.routers[a] = place{p, i}
					}
				}
			}
		}
	})
}

// change replaces the table by a changed copy.
func (w *WAN) change(f func(*table)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := *w.table.Load()
	f(&t)
	w.table.Store(&t)
}

// path is the one to a, nil for none.
func (t *table) path(a netip.Addr) *path {
	for _, p := range t.paths {
		if p.To.Contains(a) {
			return p
		}
	}
	return nil
}

// site is where SetHosts put a, nil for nowhere.
func (t *table) site(a netip.Addr) *gateway {
	if g := t.hosts[a]; g != nil {
		return g
	}
	for _, p := range t.pools {
		if p.net.Contains(a) {
			return p.site
		}
	}
	return nil
}

// onWire is the gateway on whose wire a is, nil if a is not on any.
func (w *WAN) onWire(a netip.Addr) *gateway {
	for _, g := range w.gateways {
		for _, p := range g.addrs {
			if p.Contains(a) {
				return g
			}
		}
	}
	return nil
}

// lost decides whether a packet is, at a given rate of loss.
func (w *WAN) lost(rate float64) bool { return rate > 0 && w.rand.Float64() < rate }

// jitter is a delay of up to limit.
func (w *WAN) jitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(w.rand.Float64() * float64(limit))
}
