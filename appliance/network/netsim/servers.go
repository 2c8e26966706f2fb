package netsim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/network/netsim/peers"
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
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []Server
	for _, h := range w.topology.Hosts {
		for _, s := range w.topology.simulated(h) {
			p := w.peers[s.Name]
			x := Server{Name: s.Name, Type: s.Type, Host: h.Name, Running: slices.Contains(w.started, p)}
			for _, a := range h.Addresses {
				x.Addresses = append(x.Addresses, netip.AddrPortFrom(a, s.Port))
			}
			if r, ok := p.(peers.Reporter); ok {
				x.Report = r.Report()
			}
			list = append(list, x)
		}
	}
	return list
}

// Server is one of them. The error is an *UnknownError.
func (w *World) Server(name string) (Server, error) {
	for _, s := range w.Servers() {
		if s.Name == name {
			return s, nil
		}
	}
	return Server{}, &UnknownError{fmt.Sprintf("%s has no server %q", w.topology.File, name)}
}

// StopServer stops a peer, as if its machine had crashed: connections are cut, and
// who comes is refused, until StartServer; another world with the same Faults leaves it
// stopped. Stopping twice is allowed. The error is an *UnknownError.
func (w *World) StopServer(name string) error {
	return w.withServer(name, func(p peers.Peer) error {
		w.faults.setDown(name, true)
		if i := slices.Index(w.started, p); i >= 0 {
			p.Stop()
			w.started = slices.Delete(w.started, i, i+1)
		}
		return nil
	})
}

// StartServer starts a peer that was stopped. Starting one that runs is allowed.
func (w *World) StartServer(ctx context.Context, name string) error {
	return w.withServer(name, func(p peers.Peer) error {
		if !slices.Contains(w.started, p) {
			if err := w.startPeer(ctx, name); err != nil {
				return err
			}
		}
		w.faults.setDown(name, false)
		return nil
	})
}

// withServer calls f, with mu held, for a peer of a world that runs.
func (w *World) withServer(name string, f func(peers.Peer) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.peers[name]
	switch {
	case p == nil:
		return &UnknownError{fmt.Sprintf("%s has no server %q", w.topology.File, name)}
	case w.state != running:
		return ErrStopped
	}
	return f(p)
}

// peerNames are the names of all peers in the order of the topology.
func (w *World) peerNames() []string {
	var names []string
	for _, h := range w.topology.Hosts {
		for _, s := range w.topology.simulated(h) {
			names = append(names, s.Name)
		}
	}
	return names
}
