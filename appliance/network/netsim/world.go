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
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A World is a running topology. Its methods are safe for concurrent use.
type World struct {
	topology  *topology.Topology
	authority *peers.Authority

	stacks  *stacks
	doors   *doors
	servers *servers
	clients *clients

	faults       *Faults
	ownFaults    bool
	ownUplinks   bool
	detachFaults func()

	mu    sync.Mutex // a leaf
	phase phase
}

// A phase is a part of a world's life.
type phase uint8

const (
	phaseBuilt phase = iota
	phaseRunning
	phaseStopped
)

// New builds a world. The appliance's stack exists when it returns; nothing listens yet. The
// caller must stop the world even if it is never started. If the topology has a mistake, New
// returns the error of Check.
func New(t *topology.Topology, o Options) (*World, error) {
	if !o.Checked {
		if err := Check(t); err != nil {
			return nil, err
		}
	}
	for name := range o.DoorAddrs {
		i := slices.IndexFunc(t.Doors.In, func(d topology.Door) bool { return d.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%s has no door %q", t.File, name)
		}
		if reason, off := t.DoorIsOff(&t.Doors.In[i]); off {
			return nil, fmt.Errorf("%s: the door %s is off: %s", t.File, name, reason)
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
	w := &World{topology: t, faults: o.Faults}
	if w.faults == nil {
		w.faults, w.ownFaults = NewFaults(t, nil), true
	}
	if o.Uplinks == nil {
		var err error
		if o.Uplinks, err = NewUplinks(t, nil, o.Logger); err != nil {
			return nil, fmt.Errorf("%s: %w", t.File, err)
		}
		w.ownUplinks = true
	}
	if err := w.build(o); err != nil {
		if w.ownUplinks {
			o.Uplinks.Close()
		}
		return nil, fmt.Errorf("%s: %w", t.File, err)
	}
	return w, nil
}

// build makes the parts of the world. If it fails, it leaves nothing behind.
func (w *World) build(o Options) error {
	var err error
	if w.stacks, err = newStacks(w.topology, o); err != nil {
		return err
	}
	w.doors = newDoors(w.stacks,
		func(port uint16) { w.clients.accepted(port) },
		func() { w.clients.look() }, func() { w.clients.wait() })
	err = w.doors.checkBackDoors(w.topology)
	if err == nil {
		err = w.doors.addHosts()
	}
	if err != nil {
		w.stacks.close()
		return err
	}
	if w.stacks.back != nil {
		w.stacks.back.Exit = w.doors.exitAddr
	}
	w.clients = newClients(w.stacks, w.doors.servicePort, w.isRunning)
	keys := o.Entropy.Stream("netsim/authority")
	w.authority = peers.NewAuthority("esasim World CA", keys, o.Clock.Now)
	w.authority.KeepIn(o.AuthorityFile)
	w.servers = newServers(w.topology, w.stacks.hosts, peers.Config{
		Authority: w.authority, Clock: o.Clock, Logger: o.Logger, Events: o.Events,
	}, o.Entropy, w.faults, w.isRunning)
	w.detachFaults = w.faults.attach(w.stacks.applyFaults, w.clients.wait)
	if o.Owns != nil {
		o.Owns.attach(w)
	}
	return nil
}

// Network returns the appliance's network. It is also a network.Configurer.
func (w *World) Network() network.Network { return w.doors }

// Hosts returns the network of the simulated hosts. A local address selects the host that
// listens or dials. If the appliance has joined a shared network, they are the hosts of its owner.
func (w *World) Hosts() network.Transport {
	if shared := w.Uplinks().shared; shared != nil {
		return sharedHosts{shared}
	}
	w.clients.wait()
	return w.stacks.hosts
}

// Topology returns the topology that the world was made of. It must not be changed.
func (w *World) Topology() *topology.Topology { return w.topology }

// Authority returns the certificate authority of this world's servers.
func (w *World) Authority() *peers.Authority { return w.authority }

// Faults returns the faults of the network.
func (w *World) Faults() *Faults { return w.faults }

// DoorAddrs returns the real addresses of the front doors by name. Ports are known after
// Start.
func (w *World) DoorAddrs() map[string]netip.AddrPort { return w.doors.addrs() }

// SetServicePort makes doors to a service lead to another port than the usual one. service
// is one of the names that a topology can use.
func (w *World) SetServicePort(service string, port uint16) error {
	return w.doors.setServicePort(service, port)
}

// Peer returns a server by the name of its service (HOST/TYPE unless the topology gives
// one), or nil if there is none.
func (w *World) Peer(name string) peers.Peer {
	w.clients.wait()
	return w.servers.peers[name]
}

// Servers returns the state of all servers in the order of the topology.
func (w *World) Servers() []Server {
	w.clients.wait()
	return w.servers.list()
}

// Server returns the state of one server. The error is a *NotFoundError.
func (w *World) Server(name string) (Server, error) {
	w.clients.wait()
	return w.servers.get(name)
}

// StopServer stops a server as if its machine had crashed: established connections are cut
// and new ones are refused, until StartServer. Another world with the same Faults does not
// start it. If the server is stopped already, StopServer does nothing. The error is a
// *NotFoundError, or ErrStopped if the world is not running.
func (w *World) StopServer(name string) error {
	w.clients.wait()
	return w.servers.stopServer(name)
}

// StartServer starts a server that has been stopped. If the server is running, StartServer
// does nothing.
func (w *World) StartServer(ctx context.Context, name string) error {
	w.clients.wait()
	return w.servers.startServer(ctx, name)
}

// Start starts the servers, connects the uplinks and takes the doors' real addresses. If it fails, it leaves
// nothing behind, and the world is stopped.
func (w *World) Start(ctx context.Context) error {
	if !w.advance(phaseBuilt, phaseRunning) {
		return errors.New("a world is started once")
	}
	err := w.servers.start(ctx)
	if err == nil {
		err = w.Uplinks().Start(ctx)
	}
	if err == nil {
		err = w.doors.claim(ctx)
	}
	if err != nil {
		_ = w.Stop(ctx) // the first error is returned
	}
	return err
}

// StartClients must be called when the appliance's services are up. Doors whose service
// does not listen are then shut, and the topology's connections are opened in their order
// (B38), except those that follow another connection. A slow one does not hold up the next.
// When StartClients returns, those of hosts are open and have sent and received their text;
// the error names those that could not be opened. The appliance's own are opened when somebody
// looks: whatever shows or changes the world waits until they are open (settleTimeout).
func (w *World) StartClients(ctx context.Context) error {
	w.doors.setServicesUp()
	return w.clients.start(ctx)
}

// Stop stops the world: doors, clients, servers, then the stacks and the fabric. Connections
// through doors are given a moment to end by themselves, so the appliance's services should
// be stopped first; when ctx ends, these connections are cut. If the world is stopped
// already, Stop does nothing.
func (w *World) Stop(ctx context.Context) error {
	if !w.advance(phaseBuilt, phaseStopped) && !w.advance(phaseRunning, phaseStopped) {
		return nil
	}
	w.clients.shut()
	if o := w.stacks.options.Owns; o != nil {
		o.detach(w)
	}
	w.detachFaults()
	if w.ownFaults {
		w.faults.Close()
	}
	w.doors.close(ctx)
	w.clients.stop()
	w.servers.stop()
	if w.ownUplinks {
		w.Uplinks().Close()
	}
	w.stacks.close()
	return context.Cause(ctx)
}

// advance takes the world from one phase to the next. It returns false if the world is in
// another phase.
func (w *World) advance(from, to phase) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase != from {
		return false
	}
	w.phase = to
	return true
}

func (w *World) isRunning() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.phase == phaseRunning
}
