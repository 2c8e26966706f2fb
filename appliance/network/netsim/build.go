package netsim

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/door"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// Sites of the WAN.
const (
	hostSite = iota
	exitSite
)

// siteName is the interface of the hosts' stack behind the gateways, and of the
// exit's.
const siteName = "site"

var (
	// siteGateway is the WAN's address at its sites. Nobody else sees it.
	siteGateway  = netip.MustParseAddr("169.254.0.1")
	anyIPv4      = netip.MustParsePrefix("0.0.0.0/0")
	anyIPv6      = netip.MustParsePrefix("::/0")
	exitMAC      = internalMAC(4)
	exitAddress  = netip.MustParsePrefix("169.254.0.2/32")
	exitAddress6 = netip.MustParsePrefix("fd00::2/128")
)

// hostReceiveBuffer lets hosts take more at a time than the appliance does.
const hostReceiveBuffer = 256 << 10

// build makes what the topology asks for, lowest first.
func (w *World) build() error {
	t := w.topology
	w.fabric = ether.NewFabric(ether.Options{Clock: w.options.Clock, Rand: w.options.Entropy.Stream("netsim/wire")})
	for _, n := range t.Appliance.Interfaces {
		w.segments[n.Name] = w.fabric.NewSegment(n.Name)
	}
	site := w.fabric.NewSegment(siteName)
	exit := w.fabric.NewSegment("exit")
	w.buildWAN(site, exit)
	if err := w.buildAppliance(); err != nil {
		return err
	}
	if err := w.buildHosts(site); err != nil {
		return err
	}
	if len(t.Doors.Out) > 0 {
		if err := w.buildExit(exit); err != nil {
			return err
		}
	}
	w.buildPeers()
	w.doors = newDoors(w)
	return w.doors.settleHosts()
}

// segment is where a lan's machines are plugged in.
func (w *World) segment(l *topology.Segment) *ether.Segment {
	wire := w.segments[l.Interface.Name]
	if l.VLAN == 0 {
		return wire
	}
	return wire.VLAN(l.VLAN)
}

func (w *World) buildWAN(site, exit *ether.Segment) {
	t := w.topology
	o := wan.Options{
		Fabric: w.fabric,
		Rand:   w.options.Entropy.Stream("netsim/wan"),
		Sites: []wan.Gateway{
			hostSite: {Name: "wan/site", Segment: site, MAC: internalMAC(1), MTU: siteMTU(t), Addrs: []netip.Prefix{netip.PrefixFrom(siteGateway, 32)}},
			exitSite: {Name: "wan/exit", Segment: exit, MAC: internalMAC(2), MTU: siteMTU(t), Addrs: []netip.Prefix{netip.PrefixFrom(siteGateway, 32)}, OnlyNeighbor: exitMAC},
		},
	}
	for _, n := range t.Appliance.Interfaces {
		o.ApplianceMACs = append(o.ApplianceMACs, ether.MAC(n.MAC))
	}
	for _, l := range t.Segments() {
		if len(l.Routers) > 0 {
			o.Gateways = append(o.Gateways, wan.Gateway{
				Name: "wan/" + l.Name, Segment: w.segment(&l), MAC: ether.MAC(l.RouterMAC), MTU: l.Interface.MTU, Addrs: l.Routers,
			})
		}
	}
	w.wan = wan.New(o)
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
	w.wan.SetHosts(hosts)
	w.wan.SetPaths(compilePaths(t.Paths))
}

// siteMTU is that of the widest wire, so that far hosts' segments are as large as
// the appliance's.
func siteMTU(t *topology.Topology) int {
	mtu := 0
	for _, n := range t.Appliance.Interfaces {
		mtu = max(mtu, n.MTU)
	}
	return mtu
}

// internalMAC is the address of a station on the links between the parts of the world.
func internalMAC(n int) ether.MAC { return ether.MAC(topology.InternalMAC(n)) }

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func (w *World) buildAppliance() error {
	a := &w.topology.Appliance
	loopback := 0
	for _, n := range a.Interfaces {
		loopback = max(loopback, n.Link)
	}
	w.appliance = vnet.NewHost(vnet.Options{Name: topology.FromAppliance, Loopback: loopback + 1, Rand: w.options.Entropy, Retries: w.options.Retries})
	var routes []network.Route
	for _, n := range a.Interfaces {
		err := w.appliance.AddInterface(vnet.InterfaceConfig{
			Name: n.Name, Device: n.Device, Index: n.Link,
			Segment: w.segments[n.Name], MAC: ether.MAC(n.MAC), MTU: n.MTU, Addrs: n.Addresses,
		})
		if err != nil {
			return err
		}
		v4, v6 := n.DefaultGateways()
		for dst, gw := range map[netip.Prefix]netip.Addr{anyIPv4: v4, anyIPv6: v6} {
			if gw.IsValid() && !slices.ContainsFunc(routes, func(r network.Route) bool { return r.Dst == dst }) {
				routes = append(routes, network.Route{Dst: dst, Gateway: gw})
			}
		}
	}
	return w.appliance.SetRoutes(routes)
}

// buildHosts makes the stack of all simulated hosts: an interface for each host
// on a wire, so that it has a MAC of its own, and one for all others.
func (w *World) buildHosts(site *ether.Segment) error {
	t := w.topology
	w.hosts = vnet.NewHost(vnet.Options{Name: "hosts", Rand: w.options.Entropy, MaxReceiveBuffer: hostReceiveBuffer})
	err := w.hosts.AddInterface(vnet.InterfaceConfig{
		Name: siteName, Device: siteName, Index: 1, Segment: site, MAC: internalMAC(3), MTU: siteMTU(t),
	})
	if err != nil {
		return err
	}
	routes := siteRoutes(internalMAC(1))
	for i, h := range t.Hosts {
		if h.Wire == "" {
			continue
		}
		l := t.Segment(h.Wire, h.VLAN)
		c := vnet.InterfaceConfig{
			Name: h.Name, Device: h.Name, Index: i + 2,
			Segment: w.segment(l), MAC: ether.MAC(h.MAC), ARPMAC: ether.MAC(h.ARPMAC), MTU: l.Interface.MTU,
		}
		for _, a := range h.Addresses {
			if p, ok := l.Network(a); ok {
				c.Addrs = append(c.Addrs, p)
			}
		}
		if err := w.hosts.AddInterface(c); err != nil {
			return err
		}
		for _, gw := range l.Routers {
			dst := anyIPv4
			if gw.Addr().Is6() {
				dst = anyIPv6
			}
			if slices.ContainsFunc(c.Addrs, func(p netip.Prefix) bool { return p.Contains(gw.Addr()) }) {
				routes = append(routes, network.Route{Dst: dst, Gateway: gw.Addr(), Interface: h.Name})
			}
		}
	}
	return w.hosts.SetRoutes(routes)
}

// siteRoutes lead from a site to the WAN, whose MAC there is gateway.
func siteRoutes(gateway ether.MAC) []network.Route {
	return []network.Route{
		{Dst: anyIPv4, Gateway: siteGateway, Interface: siteName},
		{Dst: anyIPv6, Gateway: wan.LinkLocalAddr(gateway), Interface: siteName},
	}
}

// buildExit makes the stack that everything which leads out is sent to.
func (w *World) buildExit(segment *ether.Segment) error {
	w.exit = vnet.NewHost(vnet.Options{Name: "exit", Promiscuous: true, Rand: w.options.Entropy, MaxReceiveBuffer: door.ReceiveBuffer})
	err := w.exit.AddInterface(vnet.InterfaceConfig{
		Name: siteName, Device: siteName, Index: 1, Segment: segment, MAC: exitMAC, MTU: siteMTU(w.topology),
		Addrs: []netip.Prefix{exitAddress, exitAddress6},
	})
	if err != nil {
		return err
	}
	back := &door.Back{Exit: w.topology.Exit, Logger: w.options.Logger}
	back.Serve(w.exit)
	return w.exit.SetRoutes(siteRoutes(internalMAC(2)))
}

func (w *World) buildPeers() {
	records := records(w.topology)
	for _, h := range w.topology.Hosts {
		for _, s := range w.topology.Servers(h) {
			kind, _ := peers.Lookup(s.Type) // Check has found it
			p := kind.New(peers.Config{
				Name: s.Name, Transport: w.hosts, Addrs: h.Addresses, Port: s.Port, Options: s.Options,
				Records: records, Authority: w.authority, Clock: w.options.Clock, Logger: w.options.Logger,
			})
			w.peers[s.Name] = p
		}
	}
}

// records are what the simulated DNS knows of the topology.
func records(t *topology.Topology) *peers.Records {
	r := &peers.Records{Mail: make(map[string][]peers.MX)}
	r.Addrs, r.Names = t.Records()
	for _, m := range t.Mail {
		domain := strings.ToLower(m.Domain)
		r.Mail[domain] = append(r.Mail[domain], peers.MX{Preference: m.Preference, Host: m.Host})
	}
	return r
}
