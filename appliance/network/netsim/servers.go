package netsim

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
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
	peers    map[string]peers.Peer // by the name of their service

	changing sync.Mutex // held while servers start and stop; mu is taken under it
	mu       sync.Mutex
	started  []peers.Peer // changed only with changing held too
}

// newServers makes the servers of topology t. The method start starts them. c has the fields of
// their configurations that are the same for all. running reports whether the world runs.
func newServers(
	t *topology.Topology, c peers.Config, faults *Faults, running func() bool,
) *servers {
	s := &servers{topology: t, faults: faults, running: running, peers: make(map[string]peers.Peer)}
	c.Records = dnsRecords(t)
	for h, service := range s.services() {
		kind, _ := peers.Lookup(service.Type) // Check has found it
		c.Name, c.Addrs, c.Port = service.Name, h.Addresses, service.Port
		c.Options = service.Options
		s.peers[service.Name] = kind.New(c)
	}
	return s
}

// dnsRecords returns the topology's names as the simulated DNS servers take them.
func dnsRecords(t *topology.Topology) *peers.Records {
	r := &peers.Records{Mail: make(map[string][]peers.MX)}
	r.Addrs, r.Names = t.DNSRecords()
	for _, m := range t.Mail {
		domain := strings.ToLower(m.Domain)
		r.Mail[domain] = append(r.Mail[domain], peers.MX{Preference: m.Preference, Host: m.Host})
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
		if err := s.startPeer(ctx, s.peers[service.Name]); err != nil {
			return err
		}
	}
	return nil
}

// startPeer is called with changing held.
func (s *servers) startPeer(ctx context.Context, p peers.Peer) error {
	if err := p.Start(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = append(s.started, p)
	return nil
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
		p.Stop()
	}
}

// isRunning reports whether a peer has been started.
func (s *servers) isRunning(p peers.Peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.started, p)
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
	for _, a := range h.Addresses {
		x.Addresses = append(x.Addresses, netip.AddrPortFrom(a, service.Port))
	}
	if r, ok := p.(peers.Reporter); ok {
		x.Report = r.Report()
	}
	return x
}

// stopServer is World.StopServer.
func (s *servers) stopServer(name string) error {
	return s.change(name, func(p peers.Peer) error {
		s.faults.setDown(name, true)
		if s.isRunning(p) {
			p.Stop()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.started = slices.DeleteFunc(s.started, func(x peers.Peer) bool { return x == p })
		}
		return nil
	})
}

// startServer is World.StartServer.
func (s *servers) startServer(ctx context.Context, name string) error {
	return s.change(name, func(p peers.Peer) error {
		if !s.isRunning(p) {
			if err := s.startPeer(ctx, p); err != nil {
				return err
			}
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
