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

// sockets returns the sockets of the chosen families, newest first, as BSD lists them.
func (n *netstatQuery) sockets() ([]network.Socket, error) {
	all, err := n.env.Appliance.Net.Sockets()
	if err != nil {
		return nil, networkRefusal(err, "list its sockets")
	}
	all = slices.DeleteFunc(all, func(s network.Socket) bool {
		return !n.includes(inet) && strings.HasSuffix(s.Proto, "4") ||
			!n.includes(inet6) && strings.HasSuffix(s.Proto, "6")
	})
	slices.Reverse(all)
	return all, nil
}

// showSockets prints the table of sockets (B38): TCP, then UDP.
func (n *netstatQuery) showSockets(ctx context.Context) error {
	rows, err := n.sockets()
	if err != nil {
		return err
	}
	slices.SortStableFunc(rows, func(a, b network.Socket) int {
		return strings.Compare(a.Proto[:3], b.Proto[:3])
	})
	addrs := make([]netip.Addr, 0, 2*len(rows))
	for _, s := range rows {
		addrs = append(addrs, s.Local.Addr(), s.Remote.Addr())
	}
	names, err := n.lookUp(ctx, addrs)
	if err != nil {
		return err
	}
	const head = "%-5s %-6s %-6s %-22s %-22s %s\n"
	const row = "%-5s %6d %6d %-22s %-22s %s\n"
	var b strings.Builder
	b.WriteString("Active Internet connections (including servers)\n")
	fmt.Fprintf(&b, head, "Proto", "Recv-Q", "Send-Q", "Local Address", "Foreign Address", "(state)")
	for _, s := range rows {
		fmt.Fprintf(&b, row, s.Proto, s.RecvQ, s.SendQ,
			n.formatEndpoint(s.Local, names), n.formatEndpoint(s.Remote, names), s.State)
	}
	return n.printTable(ctx, &b)
}

// showQueues prints the table of listen queues (B41). It leaves out sockets that several
// processes accept from (B54).
func (n *netstatQuery) showQueues(ctx context.Context) error {
	rows, err := n.sockets()
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(s network.Socket) bool {
		return s.State != "LISTEN" || len(s.Workers) > 0
	})
	addrs := make([]netip.Addr, len(rows))
	for i, s := range rows {
		addrs[i] = s.Local.Addr()
	}
	names, err := n.lookUp(ctx, addrs)
	if err != nil {
		return err
	}
	const format = "%-5s %-14s %s\n"
	var b strings.Builder
	b.WriteString("Current listen queue sizes (qlen/incqlen/maxqlen)\n")
	fmt.Fprintf(&b, format, "Proto", "Listen", "Local Address")
	for _, s := range rows {
		queues := fmt.Sprintf("%d/%d/%d", s.QLen, s.IncQLen, s.MaxQLen)
		fmt.Fprintf(&b, format, s.Proto, queues, n.formatEndpoint(s.Local, names))
	}
	return n.printTable(ctx, &b)
}

// maxHost is the number of characters to which a host is cut.
const maxHost = 16

// formatEndpoint formats one end of a socket as BSD does: address.port, with * for any.
func (n *netstatQuery) formatEndpoint(a netip.AddrPort, names hostNames) string {
	host, port := "*", "*"
	if !a.Addr().IsUnspecified() {
		host = names.name(a.Addr())
	}
	if !n.wide && len(host) > maxHost {
		host = host[:maxHost]
	}
	if a.Port() != 0 {
		port = strconv.Itoa(int(a.Port()))
	}
	return host + "." + port
}
