package netsim

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/uplink"
)

// Uplinks are the outside ends of the uplinks of a topology. They outlast the worlds that are
// attached to them one after the other, so that the outside notices nothing of a reboot but
// silence. Their methods are safe for concurrent use.
type Uplinks struct {
	list   []*uplink.Uplink // in the order of topology.Uplinks
	of     []topology.Uplink
	shared *SharedNetwork // that interfaces have joined; nil: none
}

// NewUplinks returns the uplinks of a topology, which are not connected. shared is the network that
// its interfaces join, nil if none does. If this system cannot have one of the uplinks, the error is
// an errors.ErrUnsupported.
func NewUplinks(t *topology.Topology, shared *SharedNetwork, log *slog.Logger) (*Uplinks, error) {
	u := &Uplinks{of: t.Uplinks}
	for _, x := range t.Uplinks {
		c := uplink.Config{Uplink: x, Logger: log}
		if shared != nil && t.Joins(x.Interface) {
			c.Wire, u.shared = &sharedWire{shared, x.Interface}, shared
		}
		l, err := uplink.New(c)
		if err != nil {
			u.Close()
			return nil, err
		}
		u.list = append(u.list, l)
	}
	return u, nil
}

// Start connects all uplinks. It returns when each is connected, or its other end is known to be
// absent: see uplink.Uplink.Start for the errors. Calling it again returns the same.
func (u *Uplinks) Start(ctx context.Context) error {
	var starting sync.WaitGroup
	errs := make([]error, len(u.list))
	for i, l := range u.list {
		starting.Go(func() { errs[i] = l.Start(ctx) })
	}
	starting.Wait()
	return errors.Join(errs...)
}

// Close disconnects all uplinks. Calling it again does nothing.
func (u *Uplinks) Close() {
	for _, l := range u.list {
		l.Close()
	}
}

// States returns the states of the uplinks in the order of the topology.
func (u *Uplinks) States() []uplink.State {
	var list []uplink.State
	for _, l := range u.list {
		list = append(list, l.State())
	}
	return list
}

// find returns the uplink of an interface, nil if there is none.
func (u *Uplinks) find(ifname string) *uplink.Uplink {
	i := slices.IndexFunc(u.of, func(x topology.Uplink) bool { return x.Interface == ifname })
	if i < 0 {
		return nil
	}
	return u.list[i]
}

// attach connects the world of s.
func (u *Uplinks) attach(s *stacks) {
	for i, x := range u.of {
		u.list[i].Attach(uplink.Attachment{
			Segment: s.segments[x.Interface], Appliance: s.appliance.Port(x.Interface),
			Addrs: func() []netip.Addr { return s.applianceAddrs(x.Interface) },
		})
	}
}

// detach disconnects the world.
func (u *Uplinks) detach() {
	for _, l := range u.list {
		l.Detach()
	}
}

// applianceAddrs returns the addresses that the appliance has on an interface now.
func (s *stacks) applianceAddrs(ifname string) []netip.Addr {
	var addrs []netip.Addr
	for _, n := range s.appliance.Interfaces() {
		if n.Name == ifname {
			for _, p := range n.Addrs {
				addrs = append(addrs, p.Addr())
			}
		}
	}
	return addrs
}

// uplinkPorts returns the ends of the uplinks in this world.
func (s *stacks) uplinkPorts() []*ether.Port {
	var ports []*ether.Port
	for _, l := range s.options.Uplinks.list {
		if p := l.Port(); p != nil {
			ports = append(ports, p)
		}
	}
	return ports
}

// Uplinks returns the uplinks that the world is attached to.
func (w *World) Uplinks() *Uplinks { return w.stacks.options.Uplinks }
