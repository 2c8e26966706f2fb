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

// SetRoutes implements network.Configurer. Of a route, Dst and either Gateway or
// Interface are needed. A gateway must be on a network of an interface's
// (ENETUNREACH); a route whose gateway is cut off by a later SetAddrs rests until
// it is within reach again.
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
		if h.wayOut(r) == nil {
			return fmt.Errorf("route to %v by %v: %w", r.Dst, r.Gateway, syscall.ENETUNREACH)
		}
	}
	h.routes = slices.Clone(routes)
	h.applyRoutes()
	return nil
}

// wayOut is the interface that a route leads out of. It is called with mu held.
func (h *Host) wayOut(r network.Route) *iface {
	if r.Interface != "" {
		i := h.ifaceLocked(r.Interface)
		if i == nil || r.Gateway.IsValid() && !r.Gateway.IsLinkLocalUnicast() && !i.reaches(r.Gateway) {
			return nil
		}
		return i
	}
	for _, i := range h.ifaces {
		if r.Gateway.IsValid() && i.reaches(r.Gateway) {
			return i
		}
	}
	return nil
}

// reaches reports whether a is on a network of the interface's.
func (i *iface) reaches(a netip.Addr) bool {
	return slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool {
		return !p.IsSingleIP() && p.Contains(a.WithZone(""))
	})
}

// carries reports whether packets to a can leave by the interface.
func (i *iface) carries(a netip.Addr) bool {
	return a.Is4() || i.port == nil || i.port.MTU() >= network.MinIPv6MTU
}

// applyRoutes gives the stack the routes that follow from addresses and
// SetRoutes. It is called with mu held.
func (h *Host) applyRoutes() {
	var table []tcpip.Route
	for _, i := range h.ifaces {
		if !i.attached {
			continue
		}
		for _, p := range i.addrs {
			if i.carries(p.Addr()) && (!p.IsSingleIP() || i.port == nil) {
				table = append(table, tcpip.Route{Destination: withPrefix(p.Masked()).Subnet(), NIC: i.id})
			}
		}
		if i.port != nil && i.carries(linkLocal.Addr()) {
			table = append(table, tcpip.Route{Destination: withPrefix(linkLocal).Subnet(), NIC: i.id})
		}
	}
	for _, r := range h.routes {
		if i := h.wayOut(r); i != nil && i.attached && i.carries(r.Dst.Addr()) {
			table = append(table, tcpip.Route{
				Destination: withPrefix(r.Dst.Masked()).Subnet(),
				Gateway:     toAddress(r.Gateway), NIC: i.id, MTU: uint32(r.MTU),
			})
		}
	}
	h.stack.SetRouteTable(table)
}

var linkLocal = netip.MustParsePrefix("fe80::/64")

// Routes implements network.Inspector: defaults first, then by address, as
// BSD's netstat does (B40). An address of the host's own is a host route by lo0.
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
			if !p.IsSingleIP() && i.carries(p.Addr()) {
				rows = append(rows, network.Route{Dst: p.Masked(), Link: int(i.id), Interface: i.name, Flags: "U", MTU: i.port.MTU()})
			}
			if h.options.Loopback != 0 {
				rows = append(rows, network.Route{Dst: host, Link: int(i.id), Interface: "lo0", Flags: "UHS"})
			}
		}
	}
	for _, r := range h.routes {
		i := h.wayOut(r)
		if i == nil || !i.carries(r.Dst.Addr()) {
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
	// Two addresses in one network share its route.
	return slices.CompactFunc(rows, func(a, b network.Route) bool {
		return a.Dst == b.Dst && a.Interface == b.Interface && a.Gateway == b.Gateway
	}), nil
}
