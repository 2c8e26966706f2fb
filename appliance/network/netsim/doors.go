package netsim

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/door"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// doors is the appliance's network with the doors that lead to it: what opens and
// closes listeners passes here, and the doors follow.
type doors struct {
	*vnet.Host // the appliance
	world      *World

	mu        sync.Mutex
	fronts    []*front
	listening map[netip.AddrPort]int // open listeners
	ports     map[string]uint16      // of services that have moved
	up        bool                   // the appliance's services are
	outsiders map[netip.Addr]netip.Addr
	aliases   []netip.Prefix // addresses of the hosts' site
}

var (
	_ network.Network    = (*doors)(nil)
	_ network.Configurer = (*doors)(nil)
)

// A front is a door of the topology's.
type front struct {
	*door.Front
	door topology.Door
}

func newDoors(w *World) *doors {
	d := &doors{
		Host: w.appliance, world: w,
		listening: make(map[netip.AddrPort]int),
		ports:     make(map[string]uint16),
		outsiders: make(map[netip.Addr]netip.Addr),
	}
	for _, c := range w.topology.Doors.In {
		f := &front{door: c}
		listen := c.Listen
		if a, ok := w.options.DoorAddrs[c.Name]; ok {
			listen = a
		}
		config := door.FrontConfig{
			Name: c.Name, Listen: listen, Hosts: w.hosts, Logger: w.options.Logger,
			Enter: func(client netip.Addr) (netip.Addr, netip.AddrPort, error) { return d.enter(f, client) },
		}
		if c.Service == "ftp" {
			lo, hi, _ := c.PassivePortRange() // Check has read them
			config.FTP = &door.FTP{PassiveLow: lo, PassiveHigh: hi, Public: c.PublicAddress}
		}
		f.Front = door.NewFront(config)
		d.fronts = append(d.fronts, f)
	}
	return d
}

// claim takes the real addresses.
func (d *doors) claim(ctx context.Context) error {
	for _, f := range d.fronts {
		if err := f.Claim(ctx); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.follow()
	return nil
}

func (d *doors) close(ctx context.Context) {
	var closing sync.WaitGroup
	for _, f := range d.fronts {
		closing.Go(func() { f.Close(ctx) })
	}
	closing.Wait()
}

func (d *doors) addrs() map[string]netip.AddrPort {
	m := make(map[string]netip.AddrPort)
	for _, f := range d.fronts {
		m[f.door.Name] = f.Addr()
	}
	return m
}

// ready says that the services are up: from now on a door without one is shut.
func (d *doors) ready() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.up = true
	d.follow()
}

// follow opens and shuts the doors as their services do. It is called with mu
// held.
func (d *doors) follow() {
	for _, f := range d.fronts {
		listens := false
		for _, a := range d.targets(f) {
			listens = listens || d.listens(a)
		}
		if listens || d.up {
			f.SetOpen(listens)
		}
	}
}

// portOf is the port of a service as a topology names it. It is called with mu held.
func (d *doors) portOf(service string) uint16 {
	if p, ok := d.ports[service]; ok {
		return p
	}
	return topology.ServicePort(service)
}

// targets are where a door may lead now. It is called with mu held.
func (d *doors) targets(f *front) []netip.AddrPort {
	port := d.portOf(f.door.Service)
	var list []netip.AddrPort
	for _, n := range d.Interfaces() {
		if n.Name == f.door.Interface {
			for _, p := range n.Addrs {
				list = append(list, netip.AddrPortFrom(p.Addr(), port))
			}
		}
	}
	return list
}

func (d *doors) listens(a netip.AddrPort) bool {
	all := netip.IPv4Unspecified()
	if a.Addr().Is6() {
		all = netip.IPv6Unspecified()
	}
	return d.listening[a] > 0 || d.listening[netip.AddrPortFrom(all, a.Port())] > 0
}

// SetServicePort says that a service of the appliance listens on another port
// than usual, so that doors to it lead there. Services are those that a topology
// can name.
func (w *World) SetServicePort(service string, port uint16) error {
	if topology.NamedServicePort(service) == 0 {
		return fmt.Errorf("no service is called %q", service)
	}
	d := w.doors
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ports[service] = port
	d.follow()
	return nil
}

// Listen is the stack's; the doors hear of it.
func (d *doors) Listen(ctx context.Context, c network.ListenConfig) (network.Listener, error) {
	l, err := d.Host.Listen(ctx, c)
	if err != nil {
		return nil, err
	}
	a := l.Addr().(*net.TCPAddr).AddrPort()
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	d.note(a, 1)
	return &listener{
		Listener: l,
		accepted: func() {
			d.accepted(a.Port())
			d.world.startFollowers(a.Port())
		},
		closed: sync.OnceFunc(func() { d.note(a, -1) }),
	}, nil
}

// accepted tells the doors to a port that a service has accepted a connection
// there.
func (d *doors) accepted(port uint16) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.fronts {
		if d.portOf(f.door.Service) == port {
			f.Accepted()
		}
	}
}

// note counts a listener in or out.
func (d *doors) note(a netip.AddrPort, change int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listening[a] += change; d.listening[a] == 0 {
		delete(d.listening, a)
	}
	d.follow()
}

// SetAddrs is the stack's; the doors lead to the new addresses.
func (d *doors) SetAddrs(ifname string, addrs []netip.Prefix) error {
	err := d.Host.SetAddrs(ifname, addrs)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.follow()
	return err
}

// A listener tells the doors what becomes of it.
type listener struct {
	network.Listener
	accepted, closed func()
}

// Accept is AcceptConn.
func (l *listener) Accept() (net.Conn, error) { return l.AcceptConn() }

// AcceptConn makes room for another client in the doors' queues.
func (l *listener) AcceptConn() (network.Conn, error) {
	c, err := l.Listener.AcceptConn()
	if err == nil {
		l.accepted()
	}
	return c, err
}

// Close shuts the doors before the port: who still gets in is refused by the
// appliance.
func (l *listener) Close() error {
	l.closed()
	return l.Listener.Close()
}

// enter leads a real client to an address of the door's interface whose family is
// that of the client's simulated self: the first one on which the service listens.
func (d *doors) enter(f *front, client netip.Addr) (netip.Addr, netip.AddrPort, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	from, err := d.seenAs(client)
	if err != nil {
		return netip.Addr{}, netip.AddrPort{}, err
	}
	var to netip.AddrPort
	for _, a := range d.targets(f) {
		if a.Addr().Is4() != from.Is4() {
			continue
		}
		if !to.IsValid() || !d.listens(to) {
			to = a // one that refuses, if there is no other
		}
	}
	if to.IsValid() {
		return from, to, nil
	}
	return netip.Addr{}, netip.AddrPort{}, fmt.Errorf("%s has no address for a client at %v", f.door.Interface, from)
}

// seenAs is the simulated address of a real one, which it keeps. It is called with
// mu held.
func (d *doors) seenAs(client netip.Addr) (netip.Addr, error) {
	if a, ok := d.outsiders[client]; ok {
		return a, nil
	}
	for _, s := range d.world.topology.Doors.SeenAs {
		if !s.From.Contains(client) {
			continue
		}
		a := d.pick(s.As)
		if err := d.addAlias(a); err != nil {
			return netip.Addr{}, err
		}
		d.outsiders[client] = a
		return a, nil
	}
	return netip.Addr{}, fmt.Errorf("the topology has no simulated address for %v", client)
}

// pick takes an address of a pool that no real client has yet; when all are
// taken, the one that fewest share. It is called with mu held.
func (d *doors) pick(pool netip.Prefix) netip.Addr {
	if pool.IsSingleIP() {
		return pool.Addr()
	}
	users := make(map[netip.Addr]int)
	for _, a := range d.outsiders {
		users[a]++
	}
	// The first address of a network is nobody's.
	best := pool.Addr().Next()
	for a := best; pool.Contains(a) && users[best] > 0; a = a.Next() {
		if users[a] < users[best] {
			best = a
		}
	}
	return best
}

// addAlias gives the hosts' stack an address behind the gateways, once. It is
// called with mu held.
func (d *doors) addAlias(a netip.Addr) error {
	if slices.Contains(d.aliases, single(a)) {
		return nil
	}
	aliases := append(slices.Clone(d.aliases), single(a))
	if err := d.world.hosts.SetAddrs(siteName, aliases); err != nil {
		return err
	}
	d.aliases = aliases
	return nil
}

// settleHosts gives the hosts' stack the addresses of all hosts behind the
// gateways.
func (d *doors) settleHosts() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.world.topology.Hosts {
		for _, a := range h.Addresses {
			if h.Wire == "" {
				d.aliases = append(d.aliases, single(a))
			}
		}
	}
	return d.world.hosts.SetAddrs(siteName, d.aliases)
}
