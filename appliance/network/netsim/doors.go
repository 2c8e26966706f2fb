package netsim

import (
	"context"
	"errors"
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

// doors is the appliance's network, with the front doors that lead to it. Listeners and
// addresses are opened, closed and changed through it, and the doors follow.
type doors struct {
	*vnet.Host // the appliance's stack
	stacks     *stacks
	accepted   func(port uint16) // called when a service has accepted a connection
	look       func()            // opens the connections of the topology as soon as they can be
	settle     func()            // blocks until connections of the topology are open

	mu          sync.Mutex
	fronts      []*front
	listening   map[netip.AddrPort]int // open listeners
	ports       map[string]uint16      // of services that listen on another port than usual
	servicesUp  bool                   // the appliance's services have been started
	clientAddrs map[netip.Addr]netip.Addr
	siteAddrs   []netip.Prefix // of the hosts' stack behind the gateways
}

var (
	_ network.Network    = (*doors)(nil)
	_ network.Configurer = (*doors)(nil)

	_ network.ReadReporter   = (*doors)(nil)
	_ network.FrameSender    = (*doors)(nil)
	_ network.CarrierWatcher = (*doors)(nil)
)

// ReadByPeer implements network.ReadReporter. It knows what real servers have read.
func (d *doors) ReadByPeer(local, remote netip.AddrPort) (n int64, ok bool) {
	if d.stacks.back == nil {
		return 0, false
	}
	return d.stacks.back.ReadByServer(local, remote)
}

// A front is a front door of the topology.
type front struct {
	*door.Front
	door topology.Door
}

// newDoors makes the doors, which are shut. It calls accepted, without a lock, when a service
// has accepted a connection on a port, look when packets are observed from now on, and settle before
// it shows or changes the network.
func newDoors(s *stacks, accepted func(port uint16), look, settle func()) *doors {
	d := &doors{
		Host: s.appliance, stacks: s, accepted: accepted, look: look, settle: settle,
		listening:   make(map[netip.AddrPort]int),
		ports:       make(map[string]uint16),
		clientAddrs: make(map[netip.Addr]netip.Addr),
	}
	for _, c := range s.topology.Doors.In {
		if _, off := s.topology.DoorIsOff(&c); off {
			continue
		}
		f := &front{door: c}
		listen := c.Listen
		if a, ok := s.options.DoorAddrs[c.Name]; ok {
			listen = a
		}
		config := door.FrontConfig{
			Name: c.Name, Listen: listen, Hosts: s.doorHosts(&c), Logger: s.options.Logger,
			Held: func() *net.TCPListener { return s.options.HeldDoors.take(c.Name) },
			Enter: func(client netip.Addr) (from netip.Addr, to netip.AddrPort, err error) {
				return d.enter(f, client)
			},
		}
		if c.Service == "ftp" {
			low, high, _ := c.PassivePortRange() // Check has read them
			config.FTP = &door.FTP{PassiveLow: low, PassiveHigh: high, Public: c.PublicAddress}
		}
		f.Front = door.NewFront(config)
		d.fronts = append(d.fronts, f)
	}
	return d
}

// claim takes the real addresses. The error is about all addresses that cannot be taken, except those
// that an earlier world had and could not hold: SetOpen tries again to take them.
func (d *doors) claim(ctx context.Context) error {
	var errs []error
	for _, f := range d.fronts {
		lost := d.stacks.options.HeldDoors.isLost(f.door.Name)
		if err := f.Claim(ctx); err != nil && !lost {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.update()
	return nil
}

// close closes all doors and waits for their connections.
func (d *doors) close(ctx context.Context) {
	var closing sync.WaitGroup
	for _, f := range d.fronts {
		closing.Go(func() { f.Close(ctx) })
	}
	closing.Wait()
}

// addrs returns the real addresses by name.
func (d *doors) addrs() map[string]netip.AddrPort {
	m := make(map[string]netip.AddrPort)
	for _, f := range d.fronts {
		m[f.door.Name] = f.Addr()
	}
	return m
}

// setServicesUp shuts the doors whose service does not listen. Until then clients of such a
// door wait.
func (d *doors) setServicesUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.servicesUp = true
	d.update()
}

// update opens and shuts the doors as their services listen. It is called with mu held.
func (d *doors) update() {
	if len(d.fronts) == 0 {
		return
	}
	interfaces := d.Interfaces()
	for _, f := range d.fronts {
		listens := slices.ContainsFunc(d.targets(f, interfaces), d.listens)
		if listens || d.servicesUp {
			f.SetOpen(listens)
		}
	}
}

// servicePort returns the port on which a service, as a topology names it, listens.
func (d *doors) servicePort(service string) uint16 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.portOf(service)
}

// portOf is servicePort, called with mu held.
func (d *doors) portOf(service string) uint16 {
	if p, ok := d.ports[service]; ok {
		return p
	}
	return topology.ServicePort(service)
}

// setServicePort is World.SetServicePort.
func (d *doors) setServicePort(service string, port uint16) error {
	if topology.NamedServicePort(service) == 0 {
		return fmt.Errorf("no service is called %q", service)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ports[service] = port
	d.update()
	return nil
}

// targets returns the simulated addresses that a door may lead to, which are those of one of the
// appliance's interfaces. It is called with mu held.
func (d *doors) targets(f *front, interfaces []network.Interface) []netip.AddrPort {
	port := d.portOf(f.door.Service)
	var list []netip.AddrPort
	for _, n := range interfaces {
		if n.Name == f.door.Interface {
			for _, p := range n.Addrs {
				list = append(list, netip.AddrPortFrom(p.Addr(), port))
			}
		}
	}
	return list
}

// listens reports whether a listener of the appliance takes connections to a. It is called
// with mu held.
func (d *doors) listens(a netip.AddrPort) bool {
	all := netip.IPv4Unspecified()
	if a.Addr().Is6() {
		all = netip.IPv6Unspecified()
	}
	return d.listening[a] > 0 || d.listening[netip.AddrPortFrom(all, a.Port())] > 0
}

// Listen listens on the appliance's stack. Doors to the service open and shut with the
// listener.
func (d *doors) Listen(ctx context.Context, c network.ListenConfig) (network.Listener, error) {
	l, err := d.Host.Listen(ctx, c)
	if err != nil {
		return nil, err
	}
	a := l.Addr().(*net.TCPAddr).AddrPort()
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	d.countListener(a, 1)
	return &listener{
		Listener: l,
		accepted: func() {
			d.connectionAccepted(a.Port())
			d.accepted(a.Port())
		},
		closed: sync.OnceFunc(func() { d.countListener(a, -1) }),
	}, nil
}

// connectionAccepted lets another client through the doors to a port.
func (d *doors) connectionAccepted(port uint16) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.fronts {
		if d.portOf(f.door.Service) == port {
			f.Accepted()
		}
	}
}

// countListener adds change to the number of listeners on an address.
func (d *doors) countListener(a netip.AddrPort, change int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listening[a] += change; d.listening[a] == 0 {
		delete(d.listening, a)
	}
	d.update()
}

// A listener notifies the doors when it accepts a connection and when it is closed.
type listener struct {
	network.Listener
	accepted, closed func()
}

// Accept is AcceptConn.
func (l *listener) Accept() (net.Conn, error) { return l.AcceptConn() }

// AcceptConn accepts a connection, and so makes room for another client of the doors.
func (l *listener) AcceptConn() (network.Conn, error) {
	c, err := l.Listener.AcceptConn()
	if err == nil {
		l.accepted()
	}
	return c, err
}

// Serve implements network.Server.
func (l *listener) Serve(handle func(network.Conn)) (wait func()) {
	return l.Listener.(network.Server).Serve(func(c network.Conn) {
		l.accepted()
		handle(c)
	})
}

// SetBacklog implements network.BacklogSetter.
func (l *listener) SetBacklog(n int) { l.Listener.(network.BacklogSetter).SetBacklog(n) }

// Close shuts the doors and then closes the listener. The appliance refuses clients that
// come in between.
func (l *listener) Close() error {
	l.closed()
	return l.Listener.Close()
}

// enter returns the simulated address of a real client, and the address that the door leads
// to: the first of the door's interface on which the service listens, in the family of the
// simulated address.
func (d *doors) enter(f *front, client netip.Addr) (from netip.Addr, to netip.AddrPort, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sources, err := d.sources(f, client)
	if err != nil {
		return netip.Addr{}, netip.AddrPort{}, err
	}
	for _, a := range d.targets(f, d.Interfaces()) {
		i := slices.IndexFunc(sources, func(s netip.Addr) bool { return s.Is4() == a.Addr().Is4() })
		if i >= 0 && (!to.IsValid() || !d.listens(to)) {
			from, to = sources[i], a // if no address listens, one that refuses
		}
	}
	if to.IsValid() {
		return from, to, nil
	}
	from = sources[0]
	err = fmt.Errorf("%s has no address for a client at %v", f.door.Interface, from)
	return netip.Addr{}, netip.AddrPort{}, err
}

// sources returns the simulated addresses of a real client of a door: at least one. It is called
// with mu held.
func (d *doors) sources(f *front, client netip.Addr) ([]netip.Addr, error) {
	if d.stacks.topology.Joins(f.door.Interface) {
		return d.stacks.options.Uplinks.shared.sources(&f.door, client)
	}
	return d.ownSources(&f.door, client)
}

// ownSources is sources for a door whose clients are hosts of this world. It is called with mu held.
func (d *doors) ownSources(to *topology.Door, client netip.Addr) ([]netip.Addr, error) {
	for _, h := range d.stacks.topology.Hosts {
		if to.Source == h.Name {
			return h.Addresses, nil
		}
	}
	a, err := d.clientAddr(client)
	return []netip.Addr{a}, err
}

// clientAddr returns the simulated address of a real one, which keeps it as long as the world
// exists. It is called with mu held.
func (d *doors) clientAddr(client netip.Addr) (netip.Addr, error) {
	if a, ok := d.clientAddrs[client]; ok {
		return a, nil
	}
	for _, s := range d.stacks.topology.Doors.SeenAs {
		if !s.From.Contains(client) {
			continue
		}
		a := d.pick(s.As)
		if err := d.addSiteAddr(a); err != nil {
			return netip.Addr{}, err
		}
		d.clientAddrs[client] = a
		return a, nil
	}
	return netip.Addr{}, fmt.Errorf("the topology has no simulated address for %v", client)
}

// pick returns the address of a pool that the fewest real clients have. It is called with mu
// held.
func (d *doors) pick(pool netip.Prefix) netip.Addr {
	if pool.IsSingleIP() {
		return pool.Addr()
	}
	clients := make(map[netip.Addr]int)
	for _, a := range d.clientAddrs {
		clients[a]++
	}
	best := pool.Addr().Next() // the first address is that of the network
	for a := best; pool.Contains(a) && clients[best] > 0; a = a.Next() {
		if clients[a] < clients[best] {
			best = a
		}
	}
	return best
}

// addSiteAddr gives the hosts' stack an address behind the gateways, unless it has it. It is
// called with mu held.
func (d *doors) addSiteAddr(a netip.Addr) error {
	if slices.Contains(d.siteAddrs, single(a)) {
		return nil
	}
	addrs := append(slices.Clone(d.siteAddrs), single(a))
	if err := d.stacks.hosts.SetAddrs(siteName, addrs); err != nil {
		return err
	}
	d.siteAddrs = addrs
	return nil
}

// addHosts gives the hosts' stack the addresses of all hosts behind the gateways.
func (d *doors) addHosts() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.stacks.topology.Hosts {
		for _, a := range h.Addresses {
			if h.Wire == "" {
				d.siteAddrs = append(d.siteAddrs, single(a))
			}
		}
	}
	return d.stacks.hosts.SetAddrs(siteName, d.siteAddrs)
}
