package commands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/network"
)

// showRoutes prints the routing tables (B40), one for each address family.
func (n *netstatQuery) showRoutes(ctx context.Context) error {
	routes, err := n.env.Appliance.Net.Routes()
	if err != nil {
		return networkRefusal(err, "list its routes")
	}
	var addrs []netip.Addr
	for _, r := range routes {
		if r.Dst.IsSingleIP() {
			addrs = append(addrs, r.Dst.Addr())
		}
		if r.Gateway.IsValid() {
			addrs = append(addrs, r.Gateway)
		}
	}
	names, err := n.lookUp(ctx, addrs)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("Routing tables\n")
	for _, part := range []struct {
		family, title string
		bits          int
	}{{inet, "Internet:", 32}, {inet6, "Internet6:", 128}} {
		if n.includes(part.family) {
			fmt.Fprintf(&b, "\n%s\n", part.title)
			ofFamily := slices.DeleteFunc(slices.Clone(routes), func(r network.Route) bool {
				return r.Dst.Addr().BitLen() != part.bits
			})
			n.routePart(&b, ofFamily, part.family, names)
		}
	}
	return n.printTable(ctx, &b)
}

// routePart formats the routes of one address family.
func (n *netstatQuery) routePart(
	b *strings.Builder, routes []network.Route, family string, names hostNames) {
	dstWidth, gatewayWidth := 18, 18
	if family == inet6 && n.numeric {
		dstWidth, gatewayWidth = 33, 29
	}
	cells := make([][2]string, len(routes))
	for i, r := range routes {
		cells[i] = [2]string{n.destination(r.Dst, names), n.gateway(r, names)}
		if n.wide {
			dstWidth, gatewayWidth = max(dstWidth, len(cells[i][0])), max(gatewayWidth, len(cells[i][1]))
		}
	}
	fmt.Fprintf(b, "%-*s %-*s %-10s Netif Expire\n",
		dstWidth, "Destination", gatewayWidth, "Gateway", "Flags")
	for i, r := range routes {
		fmt.Fprintf(b, "%-*.*s %-*.*s %-11s %s\n",
			dstWidth, dstWidth, cells[i][0], gatewayWidth, gatewayWidth, cells[i][1],
			r.Flags, r.Interface)
	}
}

func (n *netstatQuery) destination(p netip.Prefix, names hostNames) string {
	switch {
	case p.Bits() == 0:
		return "default"
	case p.IsSingleIP():
		return names.name(p.Addr())
	case n.numeric:
		return p.String()
	}
	return networkName(p)
}

func (n *netstatQuery) gateway(r network.Route, names hostNames) string {
	if !r.Gateway.IsValid() {
		return "link#" + strconv.Itoa(r.Link)
	}
	return names.name(r.Gateway)
}

// networkName formats a network for tables with names. It leaves the prefix length out if the
// zero octets at the end of the address imply it (B39, B40).
func networkName(p netip.Prefix) string {
	if a := p.Masked().Addr(); a.Is4() {
		octets := a.As4()
		nonZero := 4
		for nonZero > 0 && octets[nonZero-1] == 0 {
			nonZero--
		}
		if p.Bits() == 8*nonZero {
			return a.String()
		}
	}
	return p.Masked().String()
}
