package vnet

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/esasim/esasim/appliance/network"
)

const (
	// failedLife is the time for which an address that did not answer is listed as incomplete
	// (BSD's net.link.ether.inet.host_down_time).
	failedLife = 20 * time.Second
	// ndpReachable is REACHABLE_TIME of RFC 4861. ndpLife is the time for which BSD keeps a
	// stale entry (ND6's garbage collection).
	ndpReachable = 30 * time.Second
	ndpLife      = 24 * time.Hour
)

// A neighborSweeper removes entries from the neighbor caches when they expire. The stack
// notifies it of every change of an entry. It has a timer while there are entries that
// expire.
type neighborSweeper struct {
	host    *Host
	running sync.WaitGroup

	mu     sync.Mutex
	timer  tcpip.Timer
	at     tcpip.MonotonicTime // when the timer fires
	closed bool
	// listeners are notified when a neighbor does not answer, because the stack does not
	// report packets that it drops for that reason.
	listeners map[*icmpListener]bool
}

var _ stack.NUDDispatcher = (*neighborSweeper)(nil)

// arpConfig returns a configuration with which gVisor does not probe an ARP entry before it
// expires.
func (n *neighborSweeper) arpConfig() stack.NUDConfigurations {
	c := stack.DefaultNUDConfigurations()
	longer := n.host.options.NeighborLife + time.Hour
	c.BaseReachableTime, c.MinRandomFactor, c.MaxRandomFactor = longer, 1, 1
	c.DelayFirstProbeTime = longer
	return c
}

// OnNeighborAdded implements stack.NUDDispatcher. The stack's locks are held.
func (n *neighborSweeper) OnNeighborAdded(nic tcpip.NICID, e stack.NeighborEntry) {
	n.publish(nic, e, "")
	n.handleChange(e)
}

// OnNeighborChanged implements stack.NUDDispatcher.
func (n *neighborSweeper) OnNeighborChanged(nic tcpip.NICID, e stack.NeighborEntry) {
	n.publish(nic, e, "")
	n.handleChange(e)
}

// OnNeighborRemoved implements stack.NUDDispatcher.
func (n *neighborSweeper) OnNeighborRemoved(nic tcpip.NICID, e stack.NeighborEntry) {
	n.publish(nic, e, "removed")
}

func (n *neighborSweeper) addListener(l *icmpListener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = make(map[*icmpListener]bool)
	}
	n.listeners[l] = true
}

func (n *neighborSweeper) removeListener(l *icmpListener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.listeners, l)
}

// handleChange handles a new or changed entry. It is called with the stack's locks held.
func (n *neighborSweeper) handleChange(e stack.NeighborEntry) {
	if e.State == stack.Unreachable {
		n.mu.Lock()
		for l := range n.listeners {
			l.reportUnreachable(e.Addr)
		}
		n.mu.Unlock()
	}
	if life := n.lifetime(e); life > 0 {
		n.schedule(life)
	}
}

// life returns the time for which an entry is kept after its last change. 0 means that the
// sweeper does not remove the entry.
func (n *neighborSweeper) lifetime(e stack.NeighborEntry) time.Duration {
	switch {
	case e.State == stack.Static || e.State == stack.Incomplete:
		return 0 // gVisor removes incomplete entries itself
	case e.State == stack.Unreachable || e.LinkAddr == "":
		return failedLife
	case e.Addr.BitLen() == ipv4Bits:
		return n.host.options.NeighborLife
	default:
		return ndpLife
	}
}

const ipv4Bits = 32

// schedule ensures that sweep is called within d.
func (n *neighborSweeper) schedule(d time.Duration) {
	clock := n.host.stack.Clock()
	n.mu.Lock()
	defer n.mu.Unlock()
	at := clock.NowMonotonic().Add(d)
	if n.closed || n.timer != nil && !at.Before(n.at) {
		return
	}
	n.stopTimer()
	n.at = at
	n.running.Add(1)
	var timer tcpip.Timer
	timer = clock.AfterFunc(d, func() {
		defer n.running.Done()
		n.mu.Lock()
		current := n.timer == timer && !n.closed
		if current {
			n.timer = nil
		}
		n.mu.Unlock()
		if current {
			n.sweep()
		}
	})
	n.timer = timer
}

// stopTimer is called with mu held.
func (n *neighborSweeper) stopTimer() {
	if n.timer != nil && n.timer.Stop() {
		n.running.Done()
	}
	n.timer = nil
}

// sweep removes the entries that have expired, and schedules the next sweep for the others.
func (n *neighborSweeper) sweep() {
	next := time.Duration(0)
	n.host.eachNeighbor(func(i *iface, proto tcpip.NetworkProtocolNumber, e stack.NeighborEntry) {
		life := n.lifetime(e)
		if life == 0 {
			return
		}
		left := life - n.host.stack.Clock().NowMonotonic().Sub(e.UpdatedAt)
		if left <= 0 {
			_ = n.host.stack.RemoveNeighbor(i.id, proto, e.Addr) // fails if it has been removed
			return
		}
		if next == 0 || left < next {
			next = left
		}
	})
	if next > 0 {
		n.schedule(next)
	}
}

func (n *neighborSweeper) close() {
	n.mu.Lock()
	n.closed = true
	n.stopTimer()
	n.mu.Unlock()
	n.running.Wait()
}

// eachNeighbor calls f for each entry of each cache.
func (h *Host) eachNeighbor(f func(*iface, tcpip.NetworkProtocolNumber, stack.NeighborEntry)) {
	h.mu.RLock()
	ifaces := slices.Clone(h.ifaces)
	h.mu.RUnlock()
	for _, proto := range []tcpip.NetworkProtocolNumber{ipv4.ProtocolNumber, ipv6.ProtocolNumber} {
		for _, i := range ifaces {
			if i.port == nil {
				continue
			}
			entries, err := h.stack.Neighbors(i.id, proto)
			if err != nil {
				continue
			}
			slices.SortFunc(entries, func(a, b stack.NeighborEntry) int {
				return fromAddress(a.Addr, proto).Compare(fromAddress(b.Addr, proto))
			})
			for _, e := range entries {
				f(i, proto, e)
			}
		}
	}
}

// Neighbors implements network.Inspector. The host's own addresses are listed as
// permanent entries, as BSD does, before the others of their interface.
func (h *Host) Neighbors() ([]network.Neighbor, error) {
	var all []network.Neighbor
	routers := h.gateways()
	for _, v4 := range []bool{true, false} {
		for _, i := range h.Interfaces() {
			if i.Loopback {
				continue
			}
			for _, p := range i.Addrs {
				if p.Addr().Is4() == v4 {
					all = append(all, network.Neighbor{
						Interface: i.Name, Addr: p.Addr(), MAC: i.MAC, State: "permanent",
					})
				}
			}
		}
		h.eachNeighbor(func(i *iface, proto tcpip.NetworkProtocolNumber, e stack.NeighborEntry) {
			if (proto == ipv4.ProtocolNumber) == v4 {
				all = append(all, h.neighbor(i, e, routers))
			}
		})
	}
	return all, nil
}

// neighbor returns an entry as network.Inspector shows it.
func (h *Host) neighbor(i *iface, e stack.NeighborEntry, routers []netip.Addr) network.Neighbor {
	addr := fromAddress(e.Addr, ipv4.ProtocolNumber)
	n := network.Neighbor{Interface: i.name, Addr: addr, Router: slices.Contains(routers, addr)}
	age := h.stack.Clock().NowMonotonic().Sub(e.UpdatedAt)
	life := h.neighbors.lifetime(e)
	switch e.State {
	case stack.Unknown, stack.Incomplete, stack.Unreachable:
		n.State = "incomplete"
	case stack.Static:
		n.MAC, n.State = net.HardwareAddr(e.LinkAddr), "permanent"
	case stack.Stale, stack.Delay, stack.Probe:
		n.MAC, n.State = net.HardwareAddr(e.LinkAddr), "stale"
	default:
		n.MAC, n.State = net.HardwareAddr(e.LinkAddr), "reachable"
		if addr.Is6() {
			life = ndpReachable
		}
	}
	if addr.Is4() && n.State == "stale" {
		n.State = "reachable" // BSD's ARP has no stale entries
	}
	if life > 0 {
		n.Expires = max(0, life-age)
	}
	return n
}

// gateways returns the gateways of all routes.
func (h *Host) gateways() []netip.Addr {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var all []netip.Addr
	for _, r := range h.routes {
		if r.Gateway.IsValid() {
			all = append(all, r.Gateway.WithZone(""))
		}
	}
	return all
}

// FlushNeighbors implements network.Inspector.
func (h *Host) FlushNeighbors() ([]network.Neighbor, error) {
	var gone []network.Neighbor
	routers := h.gateways()
	h.eachNeighbor(func(i *iface, proto tcpip.NetworkProtocolNumber, e stack.NeighborEntry) {
		if e.State != stack.Static && h.stack.RemoveNeighbor(i.id, proto, e.Addr) == nil {
			gone = append(gone, h.neighbor(i, e, routers))
		}
	})
	return gone, nil
}
