package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// showInterfaces prints the table of interfaces (B39).
func (n *netstatQuery) showInterfaces(ctx context.Context) error {
	var b strings.Builder
	n.interfaceRow(&b, interfaceCells{
		name: "Name", mtu: "Mtu", network: "Network", address: "Address",
		inPackets: "Ipkts", inErrors: "Ierrs", inDrops: "Idrop", inBytes: "Ibytes",
		outPackets: "Opkts", outErrors: "Oerrs", outBytes: "Obytes", collisions: "Coll", outDrops: "Drop",
	})
	for _, i := range n.interfaces() {
		c, err := n.counters(i.Name)
		if err != nil {
			return err
		}
		var addrs []netip.Prefix
		for _, p := range i.Addrs {
			if p.Addr().Is4() && n.includes(inet) || p.Addr().Is6() && n.includes(inet6) {
				addrs = append(addrs, p)
			}
		}
		// An interface without an address to show has a row, too.
		if n.family == linkLevel || n.family == allFamilies || len(addrs) == 0 {
			n.interfaceRow(&b, linkCells(i, c))
		}
		for _, p := range addrs {
			n.interfaceRow(&b, addressCells(i, p, c))
		}
	}
	return n.printTable(ctx, &b)
}

// counters reads an interface's counters.
func (n *netstatQuery) counters(name string) (network.Counters, error) {
	c, err := n.env.Appliance.Net.Counters(name)
	if err != nil {
		return c, networkRefusal(err, "count packets")
	}
	return c, nil
}

// interfaceCells are the cells of a row of the table of interfaces.
type interfaceCells struct {
	name, mtu, network, address           string
	inPackets, inErrors, inDrops, inBytes string
	outPackets, outErrors, outBytes       string
	collisions, outDrops                  string
}

// linkCells returns the cells of the row for the interface itself.
func linkCells(i network.Interface, c network.Counters) interfaceCells {
	address := i.MAC.String()
	if address == "" { // a loopback interface
		address = i.Device
	}
	return interfaceCells{
		name: interfaceName(i), mtu: strconv.Itoa(i.MTU),
		network: fmt.Sprintf("<Link#%d>", i.Index), address: address,
		inPackets: number(c.RxPackets), inErrors: number(c.RxErrors),
		inDrops: number(c.RxDropped), inBytes: number(c.RxBytes),
		outPackets: number(c.TxPackets), outErrors: number(c.TxErrors), outBytes: number(c.TxBytes),
		collisions: number(c.Collisions), outDrops: number(c.TxDropped),
	}
}

// addressCells returns the cells of the row for one of its addresses. The cells that concern
// the link are "-". The network does not count by address, so packets and bytes are the
// interface's.
func addressCells(i network.Interface, p netip.Prefix, c network.Counters) interfaceCells {
	cells := linkCells(i, c)
	cells.network, cells.address = networkName(p), p.Addr().String()
	for _, cell := range []*string{
		&cells.mtu, &cells.inErrors, &cells.inDrops,
		&cells.outErrors, &cells.collisions, &cells.outDrops,
	} {
		*cell = "-"
	}
	return cells
}

// interfaceName returns the name of an interface, with BSD's mark if it is down.
func interfaceName(i network.Interface) string {
	if !i.Up {
		return i.Name + "*"
	}
	return i.Name
}

func number(v uint64) string { return strconv.FormatUint(v, 10) }

// interfaceRow formats a row, or the headings.
func (n *netstatQuery) interfaceRow(b *strings.Builder, c interfaceCells) {
	network, address := c.network, c.address
	if !n.wide {
		network, address = fmt.Sprintf("%.13s", network), fmt.Sprintf("%.17s", address)
	}
	if len(c.name) >= 6 && len(c.mtu) >= 5 { // lo1, whose MTU has five digits
		c.mtu = " " + c.mtu
	}
	fmt.Fprintf(b, "%-6s%5s %-13s %-17s %8s %5s %5s",
		c.name, c.mtu, network, address, c.inPackets, c.inErrors, c.inDrops)
	if n.bytes {
		fmt.Fprintf(b, " %10s", c.inBytes)
	}
	fmt.Fprintf(b, " %8s %5s", c.outPackets, c.outErrors)
	if n.bytes {
		fmt.Fprintf(b, " %10s", c.outBytes)
	}
	fmt.Fprintf(b, " %5s", c.collisions)
	if n.drops {
		fmt.Fprintf(b, " %5s", c.outDrops)
	}
	b.WriteByte('\n')
}

const (
	// trafficPage is the number of lines after which FreeBSD repeats the headings.
	trafficPage = 20
	// trafficCount is the number of lines without a terminal, where Ctrl-C cannot be pressed.
	trafficCount = 10
)

// showTraffic prints the traffic (B42) until Ctrl-C is pressed.
func (n *netstatQuery) showTraffic(ctx context.Context) error {
	if _, terminal := n.env.Prompter.(shell.Screen); !terminal && n.count == 0 {
		n.count = trafficCount
	}
	before, device, err := n.traffic()
	for line := 0; err == nil && (n.count == 0 || line < n.count); line++ {
		if line%trafficPage == 0 {
			n.env.Printf("%s", trafficHead(device))
		}
		if err = n.env.Appliance.Clock.Sleep(ctx, time.Duration(n.seconds)*time.Second); err != nil {
			break
		}
		var now network.Counters
		if now, device, err = n.traffic(); err == nil {
			n.env.Printf("%s", trafficRow(before, now))
			before = now
		}
	}
	if errors.Is(err, shell.ErrInterrupt) {
		return nil
	}
	return err
}

// traffic adds up the counters of the chosen interfaces. device is their name in the headings.
func (n *netstatQuery) traffic() (sum network.Counters, device string, err error) {
	device = "(Total)"
	list := n.interfaces()
	if len(list) == 0 {
		return sum, device, refusal.Newf("The interface %s does not exist any more.", n.iface)
	}
	for _, i := range list {
		c, err := n.counters(i.Name)
		if err != nil {
			return sum, device, err
		}
		sum.RxPackets += c.RxPackets
		sum.RxErrors += c.RxErrors
		sum.RxDropped += c.RxDropped
		sum.RxBytes += c.RxBytes
		sum.TxPackets += c.TxPackets
		sum.TxErrors += c.TxErrors
		sum.TxBytes += c.TxBytes
		sum.Collisions += c.Collisions
		sum.TxDropped += c.TxDropped
		if n.iface != "" {
			device = i.Device
		}
	}
	return sum, device, nil
}

func trafficHead(device string) string {
	return fmt.Sprintf("%17s %14s %16s\n", "input", device, "output") +
		fmt.Sprintf("%10s %5s %6s %10s %10s %5s %10s %5s %5s\n",
			"packets", "errs", "idrops", "bytes", "packets", "errs", "bytes", "colls", "drops")
}

// trafficRow formats the difference between two readings of the counters.
func trafficRow(before, now network.Counters) string {
	since := func(before, now uint64) uint64 {
		if now < before { // the counter has been reset
			return now
		}
		return now - before
	}
	return fmt.Sprintf("%10d %5d %5d %10d %10d %5d %10d %5d %5d\n",
		since(before.RxPackets, now.RxPackets), since(before.RxErrors, now.RxErrors),
		since(before.RxDropped, now.RxDropped), since(before.RxBytes, now.RxBytes),
		since(before.TxPackets, now.TxPackets), since(before.TxErrors, now.TxErrors),
		since(before.TxBytes, now.TxBytes), since(before.Collisions, now.Collisions),
		since(before.TxDropped, now.TxDropped))
}
