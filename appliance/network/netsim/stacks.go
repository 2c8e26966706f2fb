package netsim

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/door"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// Sites of the WAN.
const (
	hostSite = iota
	exitSite
)

// siteName is the name of the interface behind the gateways, of the hosts' stack and of the
// back door's.
const siteName = "site"

// hostReceiveBuffer lets hosts receive more at a time than the appliance does.
const hostReceiveBuffer = 256 << 10

var (
	// siteGateway is the WAN's address at its sites, where only the stacks see it.
	siteGateway  = netip.MustParseAddr("169.254.0.1")
	anyIPv4      = netip.MustParsePrefix("0.0.0.0/0")
	anyIPv6      = netip.MustParsePrefix("::/0")
	exitAddress  = netip.MustParsePrefix("169.254.0.2/32")
	exitAddress6 = netip.MustParsePrefix("fd00::2/128")
)

// stacks are the fabric of a world and the stations on it: the routers and the three network
// stacks.
type stacks struct {
	topology *topology.Topology
	options  Options

	fabric    *ether.Fabric
	segments  map[string]*ether.Segment // by the interface that is plugged into it
	wan       *wan.WAN
	appliance *vnet.Host
	hosts     *vnet.Host // all simulated hosts
	exit      *vnet.Host // of the back door; nil if the topology lets nothing out
	back      *door.Back // nil if exit is

	plugs struct {
		sync.Mutex         // a leaf
		list       []*plug // of the network that the world owns
	}
}

// newStacks builds the stacks of topology t.
func newStacks(t *topology.Topology, o Options) (*stacks, error) {
	s := &stacks{topology: t, options: o, segments: make(map[string]*ether.Segment)}
	s.fabric = ether.NewFabric(ether.Options{Clock: o.Clock, Rand: o.Entropy.Stream("netsim/wire")})
	for _, n := range t.Appliance.Interfaces {
		s.segments[n.Name] = s.fabric.NewSegment(n.Name)
	}
	site := s.fabric.NewSegment(siteName)
	exit := s.fabric.NewSegment("exit")
	s.buildWAN(site, exit)
	err := s.buildAppliance()
	if err == nil {
		err = s.buildHosts(site)
	}
	if err == nil && len(t.Doors.Out) > 0 {
		err = s.buildExit(exit)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	o.Uplinks.attach(s)
	return s, nil
}

// close closes the stacks and stops the fabric.
func (s *stacks) close() {
	s.options.Uplinks.detach()
	for _, h := range []*vnet.Host{s.exit, s.hosts, s.appliance} {
		if h != nil {
			h.Close()
		}
	}
	s.wan.Close()
	s.fabric.Close()
}

// segment returns the fabric's segment for one of the topology's.
func (s *stacks) segment(t *topology.Segment) *ether.Segment {
	trunk := s.segments[t.Interface.Name]
	if t.VLAN == 0 {
		return trunk
	}
	return trunk.VLAN(t.VLAN)
}

func (s *stacks) buildWAN(site, exit *ether.Segment) {
	t := s.topology
	o := wan.Options{
		Fabric: s.fabric,
		Rand:   s.options.Entropy.Stream("netsim/wan"),
		Sites: []wan.Gateway{
			hostSite: siteRouter("wan/site", site, t, 1),
			exitSite: siteRouter("wan/exit", exit, t, 2),
		},
	}
	o.Sites[exitSite].OnlyNeighbor = exitMAC()
	for _, n := range t.Appliance.Interfaces {
		o.ApplianceMACs = append(o.ApplianceMACs, ether.MAC(n.MAC))
	}
	for _, seg := range t.Segments() {
		if len(seg.Routers) > 0 && !t.IsReal(seg.Interface.Name) {
			o.Gateways = append(o.Gateways, wan.Gateway{
				Name: gatewayName(&seg), Segment: s.segment(&seg), MAC: ether.MAC(seg.RouterMAC),
				MTU: seg.Interface.MTU, Addrs: seg.Routers,
			})
		}
	}
	s.wan = wan.New(o)
	s.wan.SetHosts(wanHosts(t))
	s.wan.SetPaths(compilePaths(t.Paths))
}

// siteRouter returns the WAN's router at a site, whose MAC is internal address number n.
func siteRouter(name string, site *ether.Segment, t *topology.Topology, n int) wan.Gateway {
	return wan.Gateway{
		Name: name, Segment: site, MAC: internalMAC(n), MTU: siteMTU(t),
		Addrs: []netip.Prefix{single(siteGateway)},
	}
}

// wanHosts returns the addresses behind the gateways, with the site of each.
func wanHosts(t *topology.Topology) []wan.HostRange {
	var hosts []wan.HostRange
	for _, h := range t.Hosts {
		for _, a := range h.Addresses {
			if h.Wire == "" && !t.LeadsOut(a) {
				hosts = append(hosts, wan.HostRange{Net: single(a), Site: hostSite})
			}
		}
	}
	for _, e := range t.Doors.Out {
		hosts = append(hosts, wan.HostRange{Net: single(e.Address), Site: exitSite})
	}
	for _, s := range t.Doors.SeenAs {
		hosts = append(hosts, wan.HostRange{Net: s.As, Site: hostSite})
	}
	return hosts
}

// siteMTU returns the largest MTU of the appliance's interfaces, so that the segments of far
// hosts are as large as the appliance's.
func siteMTU(t *topology.Topology) int {
	mtu := 0
	for _, n := range t.Appliance.Interfaces {
		mtu = max(mtu, n.MTU)
	}
	return mtu
}

// internalMAC returns the address of a station on the segments between the WAN and the
// stacks.
func internalMAC(n int) ether.MAC { return ether.MAC(topology.InternalMAC(n)) }

// exitMAC returns the address of the back door's stack.
func exitMAC() ether.MAC { return internalMAC(4) }

// single returns the network of address a alone.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func (s *stacks) buildAppliance() error {
	a := &s.topology.Appliance
	loopback := 0
	for _, n := range a.Interfaces {
		loopback = max(loopback, n.Link)
	}
	s.appliance = vnet.NewHost(vnet.Options{
		Name: topology.FromAppliance, LoopbackIndex: loopback + 1,
		Rand: s.options.Entropy, Retries: s.options.Retries,
		Personalities: appliancePersonality(&a.TCP), Events: s.options.Events,
	})
	var routes []network.Route
	for _, n := range a.Interfaces {
		err := s.appliance.AddInterface(vnet.InterfaceConfig{
			Name: n.Name, Device: n.Device, Index: n.Link,
			Segment: s.segments[n.Name], MAC: ether.MAC(n.MAC), MTU: n.MTU,
			Addrs: n.StaticAddresses(),
		})
		if err != nil {
			return err
		}
		v4, v6 := n.DefaultGateways()
		for dst, gw := range map[netip.Prefix]netip.Addr{anyIPv4: v4, anyIPv6: v6} {
			known := slices.ContainsFunc(routes, func(r network.Route) bool { return r.Dst == dst })
			if gw.IsValid() && !known {
				routes = append(routes, network.Route{Dst: dst, Gateway: gw})
			}
		}
	}
	return s.appliance.SetRoutes(routes)
}

// The delays of acknowledgements of FreeBSD (net.inet.tcp.delacktime) and Linux (TCP_DELACK_MIN).
const (
	bsdACKDelay   = 100 * time.Millisecond
	linuxACKDelay = 40 * time.Millisecond
)

// appliancePersonality returns the personality of all addresses of the appliance.
func appliancePersonality(t *topology.TCP) map[netip.Addr]*vnet.Personality {
	p := compileTCP(t)
	p.ACKDelay = bsdACKDelay
	return map[netip.Addr]*vnet.Personality{{}: p}
}

// clientPersonality returns the personality of the clients of doors.
func clientPersonality() *vnet.Personality {
	return &vnet.Personality{ACKDelay: linuxACKDelay, DelaysAnswersOnly: true}
}

// clientAddrs returns the addresses of the clients of doors.
func clientAddrs(t *topology.Topology) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range t.Doors.SeenAs {
		all = append(all, s.As)
	}
	for _, h := range t.Hosts {
		isSource := func(d topology.Door) bool { return d.Source == h.Name }
		if slices.ContainsFunc(t.Doors.In, isSource) {
			for _, a := range h.Addresses {
				all = append(all, single(a))
			}
		}
	}
	return all
}

// hostPersonalities returns the personalities of the hosts that have one.
func hostPersonalities(hosts []topology.Host) map[netip.Addr]*vnet.Personality {
	all := make(map[netip.Addr]*vnet.Personality)
	for i := range hosts {
		if h := &hosts[i]; !h.TCP.IsZero() {
			for _, a := range h.Addresses {
				all[a] = compileTCP(&h.TCP)
			}
		}
	}
	return all
}

// compileTCP returns a topology's TCP as the stacks take it.
func compileTCP(t *topology.TCP) *vnet.Personality {
	p := &vnet.Personality{Window: t.Window, WholeSegments: t.WholeSegments}
	for _, name := range t.Options {
		p.Options = append(p.Options, map[string]byte{
			"mss": vnet.OptionMSS, "window-scale": vnet.OptionWindowScale,
			"sack": vnet.OptionSACKPermitted, "timestamps": vnet.OptionTimestamps,
		}[name])
	}
	return p
}

// buildHosts builds the stack of all simulated hosts. It has one interface for each host on
// a wire, so that the host has a MAC of its own, and one for all other hosts.
func (s *stacks) buildHosts(site *ether.Segment) error {
	t := s.topology
	s.hosts = vnet.NewHost(vnet.Options{
		Name: "hosts", Rand: s.options.Entropy, MaxReceiveBuffer: hostReceiveBuffer,
		Personalities:     hostPersonalities(t.Hosts),
		ClientPersonality: clientPersonality(), Clients: clientAddrs(t),
	})
	err := s.hosts.AddInterface(vnet.InterfaceConfig{
		Name: siteName, Device: siteName, Index: 1,
		Segment: site, MAC: internalMAC(3), MTU: siteMTU(t),
	})
	if err != nil {
		return err
	}
	routes := siteRoutes(internalMAC(1))
	for i, h := range t.Hosts {
		if h.Wire == "" || !t.Simulates(&h) {
			continue
		}
		seg := t.Segment(h.Wire, h.VLAN)
		c := vnet.InterfaceConfig{
			Name: h.Name, Device: h.Name, Index: i + 2,
			Segment: s.segment(seg), MAC: ether.MAC(h.MAC), ARPMAC: ether.MAC(h.ARPMAC),
			MTU: seg.Interface.MTU, Dormant: true,
		}
		for _, a := range h.Addresses {
			if p, ok := seg.Network(a); ok {
				c.Addrs = append(c.Addrs, p)
			}
		}
		if err := s.hosts.AddInterface(c); err != nil {
			return err
		}
		if t.IsReal(h.Wire) {
			continue // there is no router
		}
		for _, gw := range seg.Routers {
			dst := anyIPv4
			if gw.Addr().Is6() {
				dst = anyIPv6
			}
			reached := func(p netip.Prefix) bool { return p.Contains(gw.Addr()) }
			if slices.ContainsFunc(c.Addrs, reached) {
				routes = append(routes, network.Route{Dst: dst, Gateway: gw.Addr(), Interface: h.Name})
			}
		}
	}
	return s.hosts.SetRoutes(routes)
}

// siteRoutes returns the routes from a site to the WAN, whose MAC there is gateway.
func siteRoutes(gateway ether.MAC) []network.Route {
	return []network.Route{
		{Dst: anyIPv4, Gateway: siteGateway, Interface: siteName},
		{Dst: anyIPv6, Gateway: wan.LinkLocalAddr(gateway), Interface: siteName},
	}
}

// buildExit builds the stack that receives all packets for addresses that lead out, and the
// back door behind it.
func (s *stacks) buildExit(segment *ether.Segment) error {
	s.exit = vnet.NewHost(vnet.Options{
		Name: "exit", Promiscuous: true, Rand: s.options.Entropy,
		MaxReceiveBuffer: door.ReceiveBuffer,
	})
	err := s.exit.AddInterface(vnet.InterfaceConfig{
		Name: siteName, Device: siteName, Index: 1,
		Segment: segment, MAC: exitMAC(), MTU: siteMTU(s.topology),
		Addrs: []netip.Prefix{exitAddress, exitAddress6},
	})
	if err != nil {
		return err
	}
	s.back = &door.Back{Exit: s.topology.RealAddr, Logger: s.options.Logger}
	s.back.Serve(s.exit)
	return s.exit.SetRoutes(siteRoutes(internalMAC(2)))
}

// applyFaults makes the active faults those that apply to packets and cables, and no others.
func (s *stacks) applyFaults(active []*fault) {
	var live []*wan.Fault
	unplugged, filtered := make(map[string]bool), make(map[string]bool)
	atGateways := false // a fault applies at the gateways, and so between neighbors
	for _, f := range active {
		switch {
		case f.Rule.Action == topology.Unplug:
			unplugged[f.Rule.Cable] = true
			continue
		case f.Rule.Cable != "":
			filtered[f.Rule.Cable] = true
		case f.Rule.Path == "":
			atGateways = true
		}
		live = append(live, f.live)
	}
	s.wan.SetFaults(live)
	apply := func(name string, p *ether.Port, neighbor bool) {
		p.SetPlugged(!unplugged[name])
		if filtered[name] || neighbor && atGateways {
			p.SetFrameFilter(s.wan.FrameFilter(name, neighbor))
		} else {
			p.SetFrameFilter(nil)
		}
	}
	for _, n := range s.topology.Appliance.Interfaces {
		p := s.appliance.Port(n.Name)
		apply(n.Name, p, false)
		if s.options.Owns != nil {
			p.SetPlugged(false)
		}
	}
	s.applyToPlugs(unplugged, filtered, atGateways)
	for _, h := range s.topology.Hosts {
		if h.Wire != "" && s.topology.Simulates(&h) {
			apply(h.Name, s.hosts.Port(h.Name), true)
		}
	}
	for _, p := range s.uplinkPorts() {
		apply("", p, true) // faults name the interface's own cable
	}
}
