package netsim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// Options are a world's surroundings.
type Options struct {
	Clock   clock.Clock    // wall time, of captures for example; nil means the machine's
	Entropy entropy.Source // loss, jitter, ports, sequence numbers
	Logger  *slog.Logger   // for the program's operator; nil discards
	// DoorAddrs are real addresses of doors, by name, in place of the topology's.
	DoorAddrs map[string]netip.AddrPort
	// Faults are what is wrong with the network, from an earlier world for example.
	// They stay their owner's, and must be of the same topology. nil means those of
	// the topology, on the machine's clock.
	Faults *Faults
	// Retries is how often the appliance's TCP sends a segment again before it gives a
	// connection up; 0 means BSD's 12, which take about ten minutes.
	Retries int
}

// A World is a running topology. Its methods are safe for concurrent use.
type World struct {
	topology *topology.Topology
	options  Options

	fabric    *ether.Fabric
	segments  map[string]*ether.Segment // by interface
	wan       *wan.WAN
	appliance *vnet.Host
	hosts     *vnet.Host // all simulated hosts
	exit      *vnet.Host // nil: nothing leads out
	doors     *doors

	authority *peers.Authority
	peers     map[string]peers.Peer // by the name of their service

	followers sync.WaitGroup  // what startFollowers started
	life      context.Context // ends with Stop
	end       context.CancelFunc

	serving sync.Mutex // held while servers start and stop; mu is taken under it
	mu      sync.Mutex
	state   lifeState
	started []peers.Peer       // changes under serving, too
	conns   []network.Conn     // of the topology's clients
	waiting []*topology.Client // those that come after somebody

	faults    *Faults
	ownFaults bool
}

// A lifeState is how far a world's life has come.
type lifeState uint8

const (
	built lifeState = iota
	running
	stopped
)

// New builds the world. Its appliance's stack is there, nothing listens yet. A
// World must be stopped, also one that was never started. A topology with a mistake
// is refused with Check's error.
func New(t *topology.Topology, o Options) (*World, error) {
	if err := t.Check(serverTypes()); err != nil {
		return nil, err
	}
	for name := range o.DoorAddrs {
		if !slices.ContainsFunc(t.Doors.In, func(d topology.Door) bool { return d.Name == name }) {
			return nil, fmt.Errorf("%s has no door %q", t.File, name)
		}
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, warning := range t.Warnings() {
		o.Logger.Warn("the topology may be mistaken", "problem", warning)
	}
	w := &World{
		topology: t, options: o,
		segments: make(map[string]*ether.Segment),
		peers:    make(map[string]peers.Peer),
		faults:   o.Faults,
	}
	if w.faults == nil {
		w.faults, w.ownFaults = NewFaults(t, nil), true
	}
	w.authority = peers.NewAuthority("esasim World CA", o.Entropy.Stream("netsim/authority"), o.Clock.Now)
	w.life, w.end = context.WithCancel(context.Background())
	for i := range t.Clients {
		if c := &t.Clients[i]; c.After != "" {
			w.waiting = append(w.waiting, c)
		}
	}
	if err := w.build(); err != nil {
		_ = w.Stop(context.Background()) // what went wrong first is told
		return nil, fmt.Errorf("%s: %w", t.File, err)
	}
	w.faults.attach(w)
	return w, nil
}

// Network is the appliance's. It is also a network.Configurer.
func (w *World) Network() network.Network { return w.doors }

// Hosts is the network of the simulated hosts: what listens and dials there is
// a neighbour of the appliance's. A local address says which one.
func (w *World) Hosts() network.Transport { return w.hosts }

// Topology is what the world was made of. It must not be changed.
func (w *World) Topology() *topology.Topology { return w.topology }

// Peer is a server of the topology's, by its service's name (HOST/TYPE unless
// the topology gives one); nil if there is none.
func (w *World) Peer(name string) peers.Peer { return w.peers[name] }

// Authority is the certificate authority that vouches for this world's servers.
func (w *World) Authority() *peers.Authority { return w.authority }

// Doors are the doors' real addresses by name. Ports are known after Start.
func (w *World) Doors() map[string]netip.AddrPort { return w.doors.addrs() }

// Start starts the servers and claims the doors' real addresses. If it fails, it
// leaves nothing behind, and the world is stopped.
func (w *World) Start(ctx context.Context) error {
	if !w.begin() {
		return errors.New("a world is started once")
	}
	err := w.startPeers(ctx)
	if err == nil {
		err = w.doors.claim(ctx)
	}
	if err != nil {
		_ = w.Stop(ctx) // likewise
	}
	return err
}

// begin begins the world's life, once.
func (w *World) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != built {
		return false
	}
	w.state = running
	return true
}

func (w *World) startPeers(ctx context.Context) error {
	w.serving.Lock()
	defer w.serving.Unlock()
	for _, s := range w.services() {
		if w.faults.isDown(s.Name) {
			continue
		}
		if err := w.startPeer(ctx, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// startPeer is called with serving held.
func (w *World) startPeer(ctx context.Context, name string) error {
	p := w.peers[name]
	if err := p.Start(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = append(w.started, p)
	return nil
}

// Stop ends the world: doors, clients, servers, then the stacks and wires.
// Connections through doors are given a moment to end by themselves, so the
// appliance's services are to be stopped before; ctx bounds that. Stopping twice
// is allowed.
func (w *World) Stop(ctx context.Context) error {
	w.mu.Lock()
	if w.state == stopped {
		w.mu.Unlock()
		return nil
	}
	w.state = stopped
	conns := w.conns
	w.conns = nil
	w.mu.Unlock()
	w.end()
	w.faults.detach(w)
	if w.ownFaults {
		w.faults.Close()
	}
	if w.doors != nil {
		w.doors.close(ctx)
	}
	for _, c := range conns {
		c.Abort()
	}
	w.followers.Wait()
	w.stopPeers()
	for _, h := range []*vnet.Host{w.exit, w.hosts, w.appliance} {
		if h != nil {
			h.Close()
		}
	}
	if w.wan != nil {
		w.wan.Close()
	}
	if w.fabric != nil {
		w.fabric.Close()
	}
	return context.Cause(ctx)
}

// stopPeers waits for a server that is just being started or stopped.
func (w *World) stopPeers() {
	w.serving.Lock()
	defer w.serving.Unlock()
	w.mu.Lock()
	started := w.started
	w.started = nil
	w.mu.Unlock()
	for _, p := range slices.Backward(started) {
		p.Stop()
	}
}
