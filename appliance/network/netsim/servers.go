package netsim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// ErrStopped says that a world does not run, or not any more.
var ErrStopped = errors.New("the network has been shut down")

// A Server is a peer of the topology's as it stands.
type Server struct {
	Name      string           `json:"name"` // for World.Peer
	Type      string           `json:"type"`
	Host      string           `json:"host"`
	Addresses []netip.AddrPort `json:"addresses"`
	Running   bool             `json:"running"`
	// Report is what the server has to tell, see peers.Reporter; nil: nothing.
	Report any `json:"report,omitempty"`
}

// Servers lists the peers in the order of the topology.
func (w *World) Servers() []Server {
	var list []Server
	for h, s := range w.services() {
		list = append(list, w.server(h, s))
	}
	return list
}

// Server is one of them. The error is an *UnknownError.
func (w *World) Server(name string) (Server, error) {
	for h, s := range w.services() {
		if s.Name == name {
			return w.server(h, s), nil
		}
	}
	return Server{}, &UnknownError{fmt.Sprintf("%s has no server %q", w.topology.File, name)}
}

// server is a peer as it stands. No lock is held while it is asked: a report may be long.
func (w *World) server(h topology.Host, s topology.Service) Server {
	p := w.peers[s.Name]
	x := Server{Name: s.Name, Type: s.Type, Host: h.Name, Running: w.runs(p)}
	for _, a := range h.Addresses {
		x.Addresses = append(x.Addresses, netip.AddrPortFrom(a, s.Port))
	}
	if r, ok := p.(peers.Reporter); ok {
		x.Report = r.Report()
	}
	return x
}

func (w *World) runs(p peers.Peer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.started, p)
}

// StopServer stops a peer, as if its machine had crashed: connections are cut, and
// who comes is refused, until StartServer; another world with the same Faults leaves it
// stopped. Stopping twice is allowed. The error is an *UnknownError.
func (w *World) StopServer(name string) error {
	return w.withServer(name, func(p peers.Peer) error {
		w.faults.setDown(name, true)
		if w.runs(p) {
			p.Stop()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.started = slices.DeleteFunc(w.started, func(x peers.Peer) bool { return x == p })
		}
		return nil
	})
}

// StartServer starts a peer that was stopped. Starting one that runs is allowed.
func (w *World) StartServer(ctx context.Context, name string) error {
	return w.withServer(name, func(p peers.Peer) error {
		if !w.runs(p) {
			if err := w.startPeer(ctx, name); err != nil {
				return err
			}
		}
		w.faults.setDown(name, false)
		return nil
	})
}

// withServer calls f, with serving held, for a peer of a world that runs.
func (w *World) withServer(name string, f func(peers.Peer) error) error {
	w.serving.Lock()
	defer w.serving.Unlock()
	p := w.peers[name]
	switch {
	case p == nil:
		return &UnknownError{fmt.Sprintf("%s has no server %q", w.topology.File, name)}
	case w.lifeState() != running:
		return ErrStopped
	}
	return f(p)
}

func (w *World) lifeState() lifeState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// services are the simulated servers in the order of the topology.
func (w *World) services() iter.Seq2[topology.Host, topology.Service] {
	return func(yield func(topology.Host, topology.Service) bool) {
		for _, h := range w.topology.Hosts {
			for _, s := range w.topology.Servers(h) {
				if !yield(h, s) {
					return
				}
			}
		}
	}
}
