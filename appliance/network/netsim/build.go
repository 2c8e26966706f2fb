package netsim

import (
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/door"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
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
	exitMAC      = madeMAC(macInner, 4)
	exitAddress  = netip.MustParsePrefix("169.254.0.2/32")
	exitAddress6 = netip.MustParsePrefix("fd00::2/128")
)

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
func (w *World) segment(l *lan) *ether.Segment {
	wire := w.segments[l.iface.Name]
	if l.vlan == 0 {
		return wire
	}
	return wire.VLAN(l.vlan)
}

func (w *World) buildWAN(site, exit *ether.Segment) {
	t := w.topology
	o := wan.Options{
		Fabric: w.fabric,
		Rand:   w.options.Entropy.Stream("netsim/wan"),
		Sites: []wan.Gateway{
			hostSite: {Name: "wan/site", Segment: site, MAC: madeMAC(macInner, 1), MTU: t.siteMTU(), Addrs: []netip.Prefix{netip.PrefixFrom(siteGateway, 32)}},
			exitSite: {Name: "wan/exit", Segment: exit, MAC: madeMAC(macInner, 2), MTU: t.siteMTU(), Addrs: []netip.Prefix{netip.PrefixFrom(siteGateway, 32)}, All: exitMAC},
		},
	}
	for _, n := range t.Appliance.Interfaces {
		o.Appliance = append(o.Appliance, n.MAC)
	}
	for _, l := range t.lans() {
		if len(l.routers) > 0 {
			o.Gateways = append(o.Gateways, wan.Gateway{
				Name: "wan/" + l.name, Segment: w.segment(&l), MAC: l.mac, MTU: l.iface.MTU, Addrs: l.routers,
			})
		}
	}
	w.wan = wan.New(o)
	var hosts []wan.Host
	for _, h := range t.Hosts {
		for _, a := range h.Addresses {
			if h.Wire == "" && !t.leadsOut(a) {
				hosts = append(hosts, wan.Host{Net: single(a), Site: hostSite})
			}
		}
	}
	for _, e := range t.Doors.Out {
		hosts = append(hosts, wan.Host{Net: single(e.Address), Site: exitSite})
	}
	for _, s := range t.Doors.SeenAs {
		hosts = append(hosts, wan.Host{Net: s.As, Site: hostSite})
	}
	w.wan.SetHosts(hosts)
	w.wan.SetPaths(wanPaths(t.Paths))
}

// siteMTU is that of the widest wire, so that far hosts' segments are as large as
// the appliance's.
func (t *Topology) siteMTU() int {
	mtu := 0
	for _, n := range t.Appliance.Interfaces {
		mtu = max(mtu, n.MTU)
	}
	return mtu
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func (w *World) buildAppliance() error {
	a := &w.topology.Appliance
	loopback := 0
	for _, n := range a.Interfaces {
		loopback = max(loopback, n.Link)
	}
	w.appliance = vnet.NewHost(vnet.Options{Name: fromAppliance, Loopback: loopback + 1, Rand: w.options.Entropy, Retries: w.options.Retries})
	var routes []network.Route
	for _, n := range a.Interfaces {
		err := w.appliance.AddInterface(vnet.InterfaceConfig{
			Name: n.Name, Device: n.Device, Index: n.Link,
			Segment: w.segments[n.Name], MAC: n.MAC, MTU: n.MTU, Addrs: n.Addresses,
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
		Name: siteName, Device: siteName, Index: 1, Segment: site, MAC: madeMAC(macInner, 3), MTU: t.siteMTU(),
	})
	if err != nil {
		return err
	}
	routes := siteRoutes(madeMAC(macInner, 1))
	for i, h := range t.Hosts {
		if h.Wire == "" {
			continue
		}
		l := t.lanOn(h.Wire, h.VLAN)
		c := vnet.InterfaceConfig{
			Name: h.Name, Device: h.Name, Index: i + 2,
			Segment: w.segment(l), MAC: h.MAC, ARPMAC: h.ARPMAC, MTU: l.iface.MTU,
		}
		for _, a := range h.Addresses {
			if p, ok := l.network(a); ok {
				c.Addrs = append(c.Addrs, p)
			}
		}
		if err := w.hosts.AddInterface(c); err != nil {
			return err
		}
		for _, gw := range l.routers {
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
		{Dst: anyIPv6, Gateway: wan.LinkLocal(gateway), Interface: siteName},
	}
}

// buildExit makes the stack that everything which leads out is sent to.
func (w *World) buildExit(segment *ether.Segment) error {
	w.exit = vnet.NewHost(vnet.Options{Name: "exit", Promiscuous: true, Rand: w.options.Entropy, MaxReceiveBuffer: door.ReceiveBuffer})
	err := w.exit.AddInterface(vnet.InterfaceConfig{
		Name: siteName, Device: siteName, Index: 1, Segment: segment, MAC: exitMAC, MTU: w.topology.siteMTU(),
		Addrs: []netip.Prefix{exitAddress, exitAddress6},
	})
	if err != nil {
		return err
	}
	back := &door.Back{Exit: w.topology.exit, Logger: w.options.Logger}
	back.Serve(w.exit)
	return w.exit.SetRoutes(siteRoutes(madeMAC(macInner, 2)))
}

// exit is where an address leads out to. One port is more than all.
func (t *Topology) exit(to netip.AddrPort) (netip.AddrPort, bool) {
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

// simulated are a host's services: none where real machines have taken its place.
func (t *Topology) simulated(h Host) []Service {
	if !slices.ContainsFunc(h.Addresses, func(a netip.Addr) bool { return !t.leadsOut(a) }) {
		return nil
	}
	return h.Services
}

func (w *World) buildPeers() {
	records := w.topology.records()
	for _, h := range w.topology.Hosts {
		for _, s := range w.topology.simulated(h) {
			kind, _ := peers.Lookup(s.Type) // Check has found it
			p := kind.New(peers.Config{
				Name: s.Name, Transport: w.hosts, Addrs: h.Addresses, Port: s.Port, Options: s.Options,
				Records: records, Authority: w.authority, Clock: w.options.Clock, Logger: w.options.Logger,
			})
			w.peers[s.Name] = p
		}
	}
}
