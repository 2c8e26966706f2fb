package vnet

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/esasim/esasim/appliance/network"
)

// SetRoutes implements network.Configurer. A route needs Dst and either Gateway or Interface.
// A gateway must be in the network of an interface, otherwise the error is ENETUNREACH. If a
// later SetAddrs removes that network, the route is inactive until it is added again.
func (h *Host) SetRoutes(routes []network.Route) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("set routes: %w", net.ErrClosed)
	}
	for _, r := range routes {
		if !r.Dst.IsValid() || r.Gateway.IsValid() && r.Gateway.Is4() != r.Dst.Addr().Is4() {
			return fmt.Errorf("route to %v by %v: %w", r.Dst, r.Gateway, syscall.EINVAL)
		}
		if h.outgoingIface(r) == nil {
			return fmt.Errorf("route to %v by %v: %w", r.Dst, r.Gateway, syscall.ENETUNREACH)
		}
	}
	h.routes = slices.Clone(routes)
	h.applyRoutes()
	return nil
}

// outgoingIface returns the interface by which packets of a route leave, nil if there is none.
// It is called with mu held.
func (h *Host) outgoingIface(r network.Route) *iface {
	if r.Interface != "" {
		i := h.ifaceLocked(r.Interface)
		if i == nil || r.Gateway.IsValid() && !r.Gateway.IsLinkLocalUnicast() && !i.isOnLink(r.Gateway) {
			return nil
		}
		return i
	}
	for _, i := range h.ifaces {
		if r.Gateway.IsValid() && i.isOnLink(r.Gateway) {
			return i
		}
	}
	return nil
}

// isOnLink reports whether a is in a network of the interface.
func (i *iface) isOnLink(a netip.Addr) bool {
	return slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool {
		return !p.IsSingleIP() && p.Contains(a.WithZone(""))
	})
}

// canSend reports whether the interface can send packets of a's address family: IPv6 needs a
// minimum MTU.
func (i *iface) canSend(a netip.Addr) bool {
	return a.Is4() || i.port == nil || i.port.MTU() >= network.MinIPv6MTU
}

// applyRoutes sets the stack's routes to those that follow from addresses and SetRoutes. It is
// called with mu held.
func (h *Host) applyRoutes() {
	var table []tcpip.Route
	for _, i := range h.ifaces {
		if !i.attached {
			continue
		}
		for _, p := range i.addrs {
			if i.canSend(p.Addr()) && (!p.IsSingleIP() || i.port == nil) {
				table = append(table, tcpip.Route{Destination: withPrefix(p.Masked()).Subnet(), NIC: i.id})
			}
		}
		if i.port != nil && i.canSend(linkLocal.Addr()) {
			table = append(table, tcpip.Route{Destination: withPrefix(linkLocal).Subnet(), NIC: i.id})
		}
	}
	for _, r := range h.routes {
		if i := h.outgoingIface(r); i != nil && i.attached && i.canSend(r.Dst.Addr()) {
			table = append(table, tcpip.Route{
				Destination: withPrefix(r.Dst.Masked()).Subnet(),
				Gateway:     toAddress(r.Gateway), NIC: i.id, MTU: uint32(r.MTU),
			})
		}
	}
	h.stack.SetRouteTable(table)
}

var linkLocal = netip.MustParsePrefix("fe80::/64")

// Routes implements network.Inspector. As in BSD's netstat (B40), default routes come first,
// then routes are sorted by address, and each of the host's own addresses is a host route by
// lo0.
func (h *Host) Routes() ([]network.Route, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var rows []network.Route
	for _, i := range h.ifaces {
		for _, p := range i.addrs {
			host := netip.PrefixFrom(p.Addr(), p.Addr().BitLen())
			if i.port == nil {
				rows = append(rows, network.Route{Dst: host, Link: int(i.id), Interface: i.name, Flags: "UH"})
				continue
			}
			if !p.IsSingleIP() && i.canSend(p.Addr()) {
				rows = append(rows, network.Route{
					Dst: p.Masked(), Link: int(i.id), Interface: i.name, Flags: "U",
					MTU: i.port.MTU(),
				})
			}
			if h.options.LoopbackIndex != 0 {
				rows = append(rows, network.Route{Dst: host, Link: int(i.id), Interface: "lo0", Flags: "UHS"})
			}
		}
	}
	for _, r := range h.routes {
		i := h.outgoingIface(r)
		if i == nil || !i.canSend(r.Dst.Addr()) {
			continue
		}
		r.Dst, r.Link, r.Interface, r.Flags = r.Dst.Masked(), int(i.id), i.name, "US"
		if r.Gateway.IsValid() {
			r.Flags = "UGS"
		}
		if r.Dst.IsSingleIP() {
			r.Flags = r.Flags[:len(r.Flags)-1] + "HS"
		}
		rows = append(rows, r)
	}
	slices.SortStableFunc(rows, func(a, b network.Route) int {
		return cmp.Or(
			cmp.Compare(a.Dst.Addr().BitLen(), b.Dst.Addr().BitLen()),
			a.Dst.Addr().Compare(b.Dst.Addr()),
			cmp.Compare(a.Dst.Bits(), b.Dst.Bits()))
	})
	// Several addresses in one network share its route.
	return slices.CompactFunc(rows, func(a, b network.Route) bool {
		return a.Dst == b.Dst && a.Interface == b.Interface && a.Gateway == b.Gateway
	}), nil
}
