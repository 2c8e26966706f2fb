package netsim

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// A Server is the current state of a simulated server.
type Server struct {
	Name      string           `json:"name"` // for World.Peer
	Type      string           `json:"type"`
	Host      string           `json:"host"`
	Addresses []netip.AddrPort `json:"addresses"`
	Running   bool             `json:"running"`
	// Report is the value of peers.Reporter; nil if the server reports nothing.
	Report any `json:"report,omitempty"`
}

// servers are the peers of a world and the order in which they were started.
type servers struct {
	topology *topology.Topology
	faults   *Faults // remembers which servers are stopped
	running  func() bool
	hosts    *vnet.Host
	logger   *slog.Logger
	events   *events.Stream
	peers    map[string]peers.Peer // by the name of their service

	changing sync.Mutex // held while servers start and stop; mu is taken under it
	mu       sync.Mutex
	started  []*startedPeer // changed only with changing held too
}

// A startedPeer is a server that runs for its clients. It is really started when the first packet
// for it arrives: most servers of a world are never used.
type startedPeer struct {
	peers.Peer
	cancel func() // prevents a start that has not happened yet; nil if it was started at once
	once   sync.Once
	awake  bool // Start has succeeded; guarded by servers.mu until cancel has returned
}

// stop stops the server. servers.mu must not be held.
func (p *startedPeer) stop() {
	if p.cancel != nil {
		p.cancel()
	}
	if p.awake {
		p.Stop()
	}
}

// newServers makes the servers of topology t. The method start starts them. c has the fields of
// their configurations that are the same for all but Transport, which is hosts. running reports whether the world runs.
func newServers(
	t *topology.Topology, hosts *vnet.Host, c peers.Config, random entropy.Source, faults *Faults,
	running func() bool,
) *servers {
	s := &servers{
		topology: t, hosts: hosts, logger: c.Logger, faults: faults, running: running, events: c.Events,
		peers: make(map[string]peers.Peer),
	}
	c.Transport = hosts
	c.Records = dnsRecords(t)
	for h, service := range s.services() {
		kind, _ := peers.Lookup(service.Type) // Check has found it
		c.Name, c.Addrs, c.Port = service.Name, h.Addresses, service.Port
		c.Wire = wireOf(t, h)
		c.Options, c.MailRules = service.Options, faults.mail[service.Name]
		if c.MailRules != nil {
			c.MailRules.SetRandom(random, service.Name)
		}
		s.peers[service.Name] = kind.New(c)
	}
	return s
}

// wireOf returns the wire of a host with its IPv4 address there, nil if it has none.
func wireOf(t *topology.Topology, h topology.Host) *peers.Wire {
	seg := t.Segment(h.Wire, h.VLAN)
	if seg == nil {
		return nil
	}
	for _, a := range h.Addresses {
		network, ok := seg.Network(a)
		if !ok || !a.Is4() {
			continue
		}
		w := &peers.Wire{Interface: h.Name, Network: network}
		for _, r := range seg.Routers {
			if network.Contains(r.Addr()) {
				w.Router = r.Addr()
			}
		}
		return w
	}
	return nil
}

// dnsRecords returns the topology's names as the simulated DNS servers take them.
func dnsRecords(t *topology.Topology) *peers.Records {
	r := &peers.Records{Mail: make(map[string][]peers.MX)}
	r.Addrs, r.Names = t.DNSRecords()
	for _, m := range t.Mail {
		domain := strings.ToLower(m.Domain)
		r.Mail[domain] = append(r.Mail[domain], peers.MX{Preference: m.Preference, Host: m.Host})
	}
	for _, e := range t.Reputation {
		known := peers.Reputation{Network: e.Network.Masked(), Country: e.Country}
		if score, err := strconv.ParseFloat(e.Score, 64); err == nil {
			known.Score = &score
		}
		r.Reputation = append(r.Reputation, known)
	}
	return r
}

// services yields the simulated services, with their hosts, in the order of the topology.
func (s *servers) services() iter.Seq2[topology.Host, topology.Service] {
	return func(yield func(topology.Host, topology.Service) bool) {
		for _, h := range s.topology.Hosts {
			for _, service := range s.topology.SimulatedServices(h) {
				if !yield(h, service) {
					return
				}
			}
		}
	}
}

// start starts all servers except those that have been stopped by their user.
func (s *servers) start(ctx context.Context) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	for _, service := range s.services() {
		if s.faults.isDown(service.Name) {
			continue
		}
		if err := s.startPeer(ctx, service.Name); err != nil {
			return err
		}
	}
	return nil
}

// startPeer is called with changing held.
func (s *servers) startPeer(ctx context.Context, name string) error {
	p := &startedPeer{Peer: s.peers[name]}
	addrs, shared := s.addrs(name)
	if e, ok := p.Peer.(peers.Eager); shared || ok && e.Eager() {
		if err := p.Start(ctx); err != nil {
			return err
		}
		p.awake = true
	} else {
		p.cancel = s.hosts.OnFirstPacket(addrs, func() { s.wake(name, p) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = append(s.started, p)
	return nil
}

// addrs returns the addresses of a service, and reports whether another service has one of them
// too. If both use the same protocol, starting the second one fails.
func (s *servers) addrs(name string) (addrs []netip.AddrPort, shared bool) {
	for h, service := range s.services() {
		if service.Name == name {
			addrs = addrsOf(h, service)
		}
	}
	for h, service := range s.services() {
		if service.Name != name {
			shared = shared || slices.ContainsFunc(addrsOf(h, service),
				func(a netip.AddrPort) bool { return slices.Contains(addrs, a) })
		}
	}
	return addrs, shared
}

func addrsOf(h topology.Host, service topology.Service) []netip.AddrPort {
	var list []netip.AddrPort
	for _, a := range h.Addresses {
		list = append(list, netip.AddrPortFrom(a, service.Port))
	}
	return list
}

// wake starts a server for which the first packet has arrived, unless that has happened already.
func (s *servers) wake(name string, p *startedPeer) {
	p.once.Do(func() {
		err := p.Start(context.Background())
		if err != nil {
			s.logger.Error("a simulated server does not start", "server", name, "error", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		p.awake = err == nil
	})
}

// stop stops all servers, the last one first, after the changes that are under way.
func (s *servers) stop() {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	started := s.started
	s.started = nil
	s.mu.Unlock()
	for _, p := range slices.Backward(started) {
		p.stop()
	}
	for _, p := range s.peers {
		p.Stop() // also those that no client has needed: somebody may wait for their mail
	}
}

// isRunning reports whether a peer has been started.
func (s *servers) isRunning(p peers.Peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.started, func(x *startedPeer) bool { return x.Peer == p })
}

// list returns the state of all servers in the order of the topology.
func (s *servers) list() []Server {
	var list []Server
	for h, service := range s.services() {
		list = append(list, s.describe(h, service))
	}
	return list
}

// get returns the state of one server. The error is a *NotFoundError.
func (s *servers) get(name string) (Server, error) {
	for h, service := range s.services() {
		if service.Name == name {
			return s.describe(h, service), nil
		}
	}
	return Server{}, s.notFound(name)
}

func (s *servers) notFound(name string) error {
	return &NotFoundError{fmt.Sprintf("%s has no server %q", s.topology.File, name)}
}

// describe returns the state of a server. It calls Report without a lock: a report may take
// long.
func (s *servers) describe(h topology.Host, service topology.Service) Server {
	p := s.peers[service.Name]
	x := Server{Name: service.Name, Type: service.Type, Host: h.Name, Running: s.isRunning(p)}
	x.Addresses = addrsOf(h, service)
	if r, ok := p.(peers.Reporter); ok {
		x.Report = r.Report()
	}
	return x
}

// stopServer is World.StopServer.
func (s *servers) stopServer(name string) error {
	return s.change(name, func(p peers.Peer) error {
		s.faults.setDown(name, true)
		s.mu.Lock()
		i := slices.IndexFunc(s.started, func(x *startedPeer) bool { return x.Peer == p })
		var found *startedPeer
		if i >= 0 {
			found = s.started[i]
			s.started = slices.Delete(slices.Clone(s.started), i, i+1)
		}
		s.mu.Unlock()
		if found != nil {
			found.stop()
			events.Publish(s.events, 0, ServerStopped{name})
		}
		return nil
	})
}

// startServer is World.StartServer.
func (s *servers) startServer(ctx context.Context, name string) error {
	return s.change(name, func(p peers.Peer) error {
		if !s.isRunning(p) {
			if err := s.startPeer(ctx, name); err != nil {
				return err
			}
			events.Publish(s.events, 0, ServerStarted{name})
		}
		s.faults.setDown(name, false)
		return nil
	})
}

// change calls f, with changing held, for a peer of a world that runs.
func (s *servers) change(name string, f func(peers.Peer) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	p := s.peers[name]
	switch {
	case p == nil:
		return s.notFound(name)
	case !s.running():
		return ErrStopped
	}
	return f(p)
}
