package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/shell"
)

// network is the menu of B24 and B45.
func (d *diagnosticRun) network() shell.Menu {
	smtpPing := func(ctx context.Context) error { return smtpPing(ctx, d.env) }
	captureMenu := func(ctx context.Context) error { return captureMenu(ctx, d.env, d.args) }
	return shell.Menu{Items: []shell.Item{
		{Key: "FLUSH", Text: "Flush all network related caches.", Run: d.operation(d.flush)},
		{Key: "ARPSHOW", Text: "Show system ARP cache.", Run: d.operation(d.arpShow)},
		{Key: "NDPSHOW", Text: "Show system NDP cache.", // B44
			Absent: !d.version7, Run: d.operation(d.ndpShow)},
		{Key: "SMTPPING", Text: "Test a remote SMTP server.", Run: d.operation(smtpPing)},
		{Key: "TCPDUMP", Text: "Dump ethernet packets.", Run: captureMenu},
	}}
}

// flush empties the caches and prints the deleted entries, as arp -d and ndp -d do. The cache
// of LDAP answers is always empty because the appliance has no LDAP client.
func (d *diagnosticRun) flush(context.Context) error {
	d.env.Printf("Flushing LDAP cache.\nFlushing DNS cache.\n")
	d.env.Appliance.Resolver.Flush()
	gone, err := d.env.Appliance.Net.FlushNeighbors()
	if err != nil {
		return networkRefusal(err, "flush its neighbor caches")
	}
	list := func(v4 bool) {
		for _, n := range gone {
			if n.Addr.Is4() == v4 {
				text := d.neighborAddr(n)
				d.env.Printf("%s (%s) deleted\n", text, text)
			}
		}
	}
	d.env.Printf("Flushing system ARP cache.\n")
	list(true)
	if d.version7 {
		d.env.Printf("Flushing system NDP cache.\n")
		list(false)
	}
	d.env.Printf("Network reset complete.\n")
	return nil
}

// neighbors returns the entries of one address family.
func (d *diagnosticRun) neighbors(v4 bool) ([]network.Neighbor, error) {
	all, err := d.env.Appliance.Net.Neighbors()
	if err != nil {
		return nil, networkRefusal(err, "list its neighbors")
	}
	var list []network.Neighbor
	for _, n := range all {
		if n.Addr.Is4() == v4 {
			list = append(list, n)
		}
	}
	return list, nil
}

// device returns the system's name of an interface.
func (d *diagnosticRun) device(name string) string {
	for _, i := range d.env.Appliance.Net.Interfaces() {
		if i.Name == name && i.Device != "" {
			return i.Device
		}
	}
	return name
}

// neighborAddr returns a neighbor's address, with its zone if it is link-local.
func (d *diagnosticRun) neighborAddr(n network.Neighbor) string {
	if n.Addr.IsLinkLocalUnicast() && n.Addr.Is6() {
		return n.Addr.WithZone(d.device(n.Interface)).String()
	}
	return n.Addr.String()
}

// arpShow prints the ARP cache as arp -an does.
func (d *diagnosticRun) arpShow(context.Context) error {
	list, err := d.neighbors(true)
	if err != nil {
		return err
	}
	d.env.Printf("System ARP cache contents:\n\n")
	for _, n := range list {
		mac, expires := "(incomplete)", "permanent"
		if n.MAC != nil {
			mac = n.MAC.String()
		}
		if n.State != "permanent" {
			expires = "expired"
			if s := secondsLeft(n.Expires); s > 0 {
				expires = fmt.Sprintf("expires in %d seconds", s)
			}
		}
		d.env.Printf("(%v) at %s on %s %s [ethernet]\n", n.Addr, mac, d.device(n.Interface), expires)
	}
	return nil
}

// secondsLeft rounds up, so that an entry that has not expired has at least one second left.
func secondsLeft(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// ndpStates are the letters of ndp(8) for the states of a neighbor.
var ndpStates = map[string]string{
	"permanent": "R", "reachable": "R", "stale": "S", "incomplete": "I",
}

// The widths of the columns of ndp(8).
const (
	ndpAddress = 36
	ndpLink    = 17
	ndpNetif   = 6
)

// ndpShow prints the NDP cache as ndp -an does. If a value is wider than its column, the next
// column is narrower by as much.
func (d *diagnosticRun) ndpShow(context.Context) error {
	list, err := d.neighbors(false)
	if err != nil {
		return err
	}
	d.env.Printf("System NDP cache contents:\n\n")
	d.env.Printf("%-*s %-*s %*s %-9s %1s %5s\n",
		ndpAddress, "Neighbor", ndpLink, "Linklayer Address", ndpNetif, "Netif", "Expire", "S", "Flags")
	for _, n := range list {
		addr, mac, device := d.neighborAddr(n), "(incomplete)", d.device(n.Interface)
		if n.MAC != nil {
			mac = n.MAC.String()
		}
		expire := "permanent"
		if n.State != "permanent" {
			expire = "expired"
			if s := secondsLeft(n.Expires); s > 0 {
				expire = ndpDuration(s)
			}
		}
		state := ndpStates[n.State]
		flags := ""
		if n.Router {
			flags = " R"
		}
		first := max(len(addr), ndpAddress)
		second := max(len(mac), ndpAddress+ndpLink-first)
		third := max(len(device), ndpAddress+ndpLink+ndpNetif-first-second)
		row := fmt.Sprintf("%-*s %-*s %*s %-9s %1s%s",
			first, addr, second, mac, third, device, expire, state, flags)
		d.env.Printf("%s\n", strings.TrimRight(row, " "))
	}
	return nil
}

// ndpDuration formats a number of seconds as 23h59m58s.
func ndpDuration(s int64) string {
	var b strings.Builder
	for _, u := range []struct {
		seconds int64
		sign    string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}} {
		if n := s / u.seconds; n > 0 || b.Len() > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.sign)
			s -= n * u.seconds
		}
	}
	fmt.Fprintf(&b, "%ds", s)
	return b.String()
}
