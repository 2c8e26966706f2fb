package netsim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// Tables are the tables of a simulated host.
type Tables struct {
	Sockets []network.Socket // in the order in which they were opened
	// The rest is empty for a host behind the gateways, which has no cable of its own.
	Interfaces []network.Interface
	Neighbors  []network.Neighbor
	Routes     []network.Route
	Counters   map[string]network.Counters // by the name of the interface
}

// Tables returns the tables of a host, which is given by its name in the topology. Servers of the
// host that no client has needed yet begin to listen. The error is a *NotFoundError that lists the
// names, or ErrStopped.
func (w *World) Tables(host string) (Tables, error) {
	h := w.topology.FindHost(host)
	if h == nil {
		return Tables{}, NotFound("%s has no host %q, expected one of %s", w.topology.File, host,
			strings.Join(hostNames(w.topology), ", "))
	}
	w.clients.wait()
	if err := w.servers.wakeHost(*h); err != nil {
		return Tables{}, err
	}
	sockets, err := w.stacks.hosts.Sockets()
	if err != nil {
		return Tables{}, fmt.Errorf("list the sockets of %s: %w", h.Name, err)
	}
	t := Tables{
		Sockets: slices.DeleteFunc(sockets, func(s network.Socket) bool {
			return !slices.Contains(h.Addresses, s.Local.Addr()) && !w.listensOnAll(h, s)
		}),
		Counters: map[string]network.Counters{},
	}
	if h.Wire == "" {
		return t, nil
	}
	for _, i := range w.stacks.hosts.Interfaces() {
		if i.Name != h.Name {
			continue
		}
		t.Interfaces = append(t.Interfaces, i)
		if t.Counters[i.Name], err = w.stacks.hosts.Counters(i.Name); err != nil {
			return t, fmt.Errorf("read the counters of %s: %w", h.Name, err)
		}
	}
	neighbors, err := w.stacks.hosts.Neighbors()
	if err != nil {
		return t, fmt.Errorf("list the neighbors of %s: %w", h.Name, err)
	}
	routes, err := w.stacks.hosts.Routes()
	if err != nil {
		return t, fmt.Errorf("list the routes of %s: %w", h.Name, err)
	}
	t.Neighbors = slices.DeleteFunc(neighbors, func(n network.Neighbor) bool { return n.Interface != h.Name })
	t.Routes = slices.DeleteFunc(routes, func(r network.Route) bool { return r.Interface != h.Name })
	return t, nil
}

// listensOnAll reports whether a socket belongs to a server of the host that receives what is sent to
// all machines.
func (w *World) listensOnAll(h *topology.Host, s network.Socket) bool {
	return s.Local.Addr().IsUnspecified() && slices.ContainsFunc(w.topology.SimulatedServices(*h),
		func(x topology.Service) bool { return x.Name == s.Owner })
}

func hostNames(t *topology.Topology) (names []string) {
	for _, h := range t.Hosts {
		names = append(names, h.Name)
	}
	return names
}

// wakeHost starts those servers of a host that run but wait for their first packet, so that their
// sockets exist.
func (s *servers) wakeHost(h topology.Host) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if !s.running() {
		return ErrStopped
	}
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	for _, service := range s.topology.SimulatedServices(h) {
		for _, p := range started {
			if p.Peer == s.peers[service.Name] && p.cancel != nil {
				s.wake(service.Name, p)
			}
		}
	}
	return nil
}
