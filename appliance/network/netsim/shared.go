package netsim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/uplink"
)

// A SharedNetwork is a network of one world, its owner, that the appliances of other worlds of the
// process have joined. The owner has the gateways, hosts, servers, paths and faults, and its own
// appliance is not plugged in. The wires of a joined interface lead to the owner's wires of the same
// name by an uplink (topology.Topology.Join, Options.Uplinks).
//
// It outlasts the worlds: owners may come one after the other, and while there is none, frames are
// lost. Its methods are safe for concurrent use.
type SharedNetwork struct {
	name string

	mu    sync.Mutex
	owner *World // nil: it does not run
	plugs []*plug
	conns map[*sharedConn]bool // of doors, through the owner
}

// NewSharedNetwork returns a network that has no owner yet. Its name is part of messages.
func NewSharedNetwork(name string) *SharedNetwork {
	return &SharedNetwork{name: name, conns: make(map[*sharedConn]bool)}
}

// attach makes w the owner.
func (n *SharedNetwork) attach(w *World) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.owner = w
	for _, p := range n.plugs {
		p.attach(w.stacks)
	}
	n.adjust()
}

// detach ends the connections through w, if it is the owner, and disconnects its wires.
func (n *SharedNetwork) detach(w *World) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.owner != w {
		return
	}
	n.owner = nil
	for _, p := range n.plugs {
		p.detach()
	}
	for c := range n.conns {
		c.Conn.Abort()
	}
	clear(n.conns)
}

// adjust tells the owner which appliances there are. It is called with mu held.
func (n *SharedNetwork) adjust() {
	if n.owner == nil {
		return
	}
	macs := make(map[ether.MAC]bool)
	for _, p := range n.plugs {
		macs[p.mac] = true
	}
	s := n.owner.stacks
	s.wan.SetOtherAppliances(macs)
	s.plugs.Lock()
	s.plugs.list = slices.Clone(n.plugs)
	s.plugs.Unlock()
	n.owner.faults.reapply()
}

// A sharedWire is a wire of a shared network, as an uplink sees it.
type sharedWire struct {
	network *SharedNetwork
	ifname  string
}

// Plug implements uplink.Wire.
func (w *sharedWire) Plug(mac ether.MAC, receive func(frame []byte)) uplink.Plug {
	n := w.network
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &plug{network: n, ifname: w.ifname, mac: mac, receive: receive}
	p.reason, p.changed = fmt.Sprintf("the network %s does not run", n.name), make(chan struct{})
	n.plugs = append(n.plugs, p)
	if n.owner != nil {
		p.attach(n.owner.stacks)
	}
	n.adjust()
	return p
}

// A plug is the end of an appliance's cable in a shared network.
type plug struct {
	network *SharedNetwork
	ifname  string
	mac     ether.MAC
	receive func(frame []byte)
	port    atomic.Pointer[ether.Port] // of the owner's fabric; nil: there is no owner

	mu      sync.Mutex // a leaf
	reason  string     // why there is no carrier
	changed chan struct{}
}

// plugPrefix is that of the names of plugs' ports.
const plugPrefix = "appliance "

// attach makes the plug's port. It is called with the network's mu held.
func (p *plug) attach(s *stacks) {
	segment := s.segments[p.ifname]
	if segment == nil {
		return // the topologies differ: the uplink says that there is no carrier
	}
	p.port.Store(segment.NewNodePort(plugPrefix+p.mac.String(), p.mac, uplink.MaxMTU, p.receive))
	p.setCarrier("")
}

// detach removes the plug's port. The carrier stays: of an owner that is reset, an appliance notices
// silence. It is called with the network's mu held.
func (p *plug) detach() {
	if port := p.port.Swap(nil); port != nil {
		port.Close()
	}
}

func (p *plug) setCarrier(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason != reason {
		p.reason = reason
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// Carrier implements uplink.Plug.
func (p *plug) Carrier() (reason string, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reason, p.changed
}

// Transmit implements uplink.Plug.
func (p *plug) Transmit(frames [][]byte) {
	port := p.port.Load()
	if port == nil {
		return
	}
	f := port.Fabric()
	f.Hold()
	defer f.Release()
	for _, frame := range frames {
		port.Transmit(frame)
	}
}

// Unplug implements uplink.Plug.
func (p *plug) Unplug() {
	n := p.network
	n.mu.Lock()
	defer n.mu.Unlock()
	n.plugs = slices.DeleteFunc(n.plugs, func(q *plug) bool { return q == p })
	p.detach()
	n.adjust()
}

// applyToPlugs makes faults of an interface's cable apply to the cables of all appliances that have
// joined its wire, and those of the gateways to packets between two of them.
func (s *stacks) applyToPlugs(unplugged, filtered map[string]bool, atGateways bool) {
	s.plugs.Lock()
	defer s.plugs.Unlock()
	ports := make(map[*ether.Port]bool)
	for _, p := range s.plugs.list {
		ports[p.port.Load()] = true
	}
	for _, p := range s.plugs.list {
		port := p.port.Load()
		if port == nil {
			continue
		}
		port.SetPlugged(!unplugged[p.ifname])
		if unplugged[p.ifname] {
			p.setCarrier("its cable is unplugged in the network " + p.network.name)
		} else {
			p.setCarrier("")
		}
		if filtered[p.ifname] || atGateways {
			if !atGateways {
				ports = nil
			}
			port.SetFrameFilter(s.plugFilter(p.ifname, port, ports))
		} else {
			port.SetFrameFilter(nil)
		}
	}
}

// plugFilter returns the filter of an appliance's cable. The faults of the gateways apply once
// between two of the appliances that have ports: at the cable of the one that receives the packet.
func (s *stacks) plugFilter(ifname string, port *ether.Port, ports map[*ether.Port]bool) ether.FrameFilter {
	own := s.wan.FrameFilter(ifname, false)
	between := s.wan.FrameFilter(ifname, true)
	return func(from, to *ether.Port, frame []byte) (delay time.Duration, pass bool) {
		if to == port && ports[from] {
			return between(from, to, frame)
		}
		return own(from, to, frame)
	}
}

// sources returns the simulated addresses of a real client of an appliance's door. They are of hosts
// of the owner.
func (n *SharedNetwork) sources(to *topology.Door, client netip.Addr) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.owner == nil {
		return nil, n.stopped()
	}
	d := n.owner.doors
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ownSources(to, client)
}

func (n *SharedNetwork) stopped() error {
	return fmt.Errorf("the network %s does not run: %w", n.name, ErrStopped)
}

// doorHosts returns the network of the clients of a door.
func (s *stacks) doorHosts(d *topology.Door) network.Transport {
	if s.topology.Joins(d.Interface) {
		return sharedHosts{s.options.Uplinks.shared}
	}
	return s.hosts
}

// sharedHosts is the network of the hosts of a shared network's owner.
type sharedHosts struct{ network *SharedNetwork }

func (h sharedHosts) hosts() (network.Transport, error) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	if h.network.owner == nil {
		return nil, h.network.stopped()
	}
	return h.network.owner.stacks.hosts, nil
}

// Dial implements network.Transport. The connection is reset when the owner stops.
func (h sharedHosts) Dial(ctx context.Context, c network.DialConfig) (network.Conn, error) {
	hosts, err := h.hosts()
	if err != nil {
		return nil, err
	}
	conn, err := hosts.Dial(ctx, c)
	if err != nil {
		return nil, err
	}
	x := &sharedConn{Conn: conn, network: h.network}
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	if h.network.owner == nil || network.Transport(h.network.owner.stacks.hosts) != hosts {
		conn.Abort()
		return nil, h.network.stopped()
	}
	h.network.conns[x] = true
	return x, nil
}

// Listen implements network.Transport.
func (h sharedHosts) Listen(ctx context.Context, c network.ListenConfig) (network.Listener, error) {
	hosts, err := h.hosts()
	if err != nil {
		return nil, err
	}
	return hosts.Listen(ctx, c)
}

// ListenPacket implements network.Transport.
func (h sharedHosts) ListenPacket(ctx context.Context, c network.DialConfig) (network.PacketConn, error) {
	hosts, err := h.hosts()
	if err != nil {
		return nil, err
	}
	return hosts.ListenPacket(ctx, c)
}

// A sharedConn is a connection that the network knows, until it is closed.
type sharedConn struct {
	network.Conn
	network *SharedNetwork
}

func (c *sharedConn) forget() {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	delete(c.network.conns, c)
}

func (c *sharedConn) Close() error {
	c.forget()
	return c.Conn.Close()
}

func (c *sharedConn) Abort() {
	c.forget()
	c.Conn.Abort()
}
