package vnet

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/ports"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/esasim/esasim/appliance/network"
)

// putToSleep lets a new listener wait for its first segment without an endpoint, and reports whether
// that is possible: not if it takes a free port, or if gVisor, which must not know less than the
// other sockets need, could give its port away, or if it cannot have the address. It has no other
// listener on the same address either.
func (h *Host) putToSleep(l *listener) bool {
	c := &l.config
	if h.options.Promiscuous || c.Addr.Port() == 0 || c.Addr.Port() >= firstPort || c.Addr.Addr().Zone() != "" {
		return false
	}
	h.openListeners(func(o netip.AddrPort) bool { return overlap(o, c.Addr) })
	proto, addr := protocolOf(c.Addr.Addr()), toAddress(c.Addr.Addr())
	if addr.Len() != 0 && h.stack.CheckLocalAddress(0, proto, addr) == 0 {
		return false
	}
	r := ports.Reservation{
		Networks: []tcpip.NetworkProtocolNumber{proto}, Transport: tcp.ProtocolNumber,
		Addr: addr, Port: c.Addr.Port(), Flags: ports.Flags{TupleOnly: true},
	}
	listens := func(uint16) (bool, tcpip.Error) { // as gVisor's bind asks
		id := stack.TransportEndpointID{LocalAddress: addr, LocalPort: r.Port}
		err := h.stack.CheckRegisterTransportEndpoint(r.Networks, r.Transport, id, r.Flags, 0)
		return err == nil, nil
	}
	if _, err := h.stack.ReservePort(h.stack.SecureRNG(), r, listens); err != nil {
		return false
	}
	h.stack.ReleasePort(r)
	return h.sockets.addAsleep(l)
}

// overlap reports whether a segment for one of two addresses could be one for the other.
func overlap(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Is4() == b.Addr().Is4() &&
		(a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}

// openListeners opens the listeners that are asleep whose addresses match.
func (h *Host) openListeners(match func(netip.AddrPort) bool) {
	for _, l := range h.sockets.asleepAt(match) {
		_, _ = l.open() // fails only if its address has been taken from the host
	}
}

// openFor opens the listeners that a socket on local could be in the way of, or that a segment to
// remote could reach without passing a port.
func (h *Host) openFor(local, remote netip.AddrPort) {
	to := remote.Addr()
	own := to.IsLoopback() || to.IsUnspecified() || h.ifaceByAddr(to.WithZone("")) != nil
	h.openListeners(func(a netip.AddrPort) bool {
		return a.Port() == local.Port() || own && a.Port() == remote.Port()
	})
}

// addAsleep registers a listener that is asleep. It returns false if another one has its address, or
// if the host is closed.
func (r *registry) addAsleep(l *listener) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.asleep[l.config.Addr] != nil {
		return false
	}
	if r.asleep == nil {
		r.asleep = make(map[netip.AddrPort]*listener)
	}
	r.lastSeq++
	l.sock.seq = r.lastSeq
	r.asleep[l.config.Addr] = l
	return true
}

// wake registers the endpoint of a listener, which is in the stack's list already: Sockets reads that
// list last. It returns false if the host is closed.
func (r *registry) wake(l *listener, ep tcpip.Endpoint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asleep[l.config.Addr] == l {
		delete(r.asleep, l.config.Addr)
	}
	l.sock.ep = ep
	return r.addLocked(l.sock)
}

// forget removes a listener that is asleep.
func (r *registry) forget(l *listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asleep[l.config.Addr] == l {
		delete(r.asleep, l.config.Addr)
	}
}

// asleepAt returns the listeners that are asleep whose addresses match.
func (r *registry) asleepAt(match func(netip.AddrPort) bool) (all []*listener) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for a, l := range r.asleep {
		if match(a) {
			all = append(all, l)
		}
	}
	return all
}

// asleepRows returns the rows of the listeners that are asleep.
func (r *registry) asleepRows() (rows []network.Socket) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for a, l := range r.asleep {
		version, proto := "4", protocolOf(a.Addr())
		if proto == ipv6.ProtocolNumber {
			version = "6"
		}
		row := network.Socket{
			Proto: "tcp" + version, State: "LISTEN", Local: a,
			Remote: netip.AddrPortFrom(anyAddr(a.Addr()), 0),
		}
		l.sock.describe(&row)
		rows = append(rows, row)
	}
	return rows
}
