package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "netstat",
	Summary: "Display network connections, routing tables and network interface statistics.",
	Help: `netstat [1-5 [flags]]

1  List of active sockets            [-n] [-c | -W] [-f FAMILY]
2  State of network interfaces       [-b] [-d] [-W] [-I INTERFACE] [-f FAMILY]
3  Contents of routing tables        [-n] [-c | -W] [-f FAMILY]
4  Size of the listen queues         [-n] [-c | -W] [-f FAMILY]
5  Packet traffic information        [-w SECONDS] [-q COUNT] [-I INTERFACE]

-b  also show the number of bytes in and out
-c  cut long names and addresses (default, except for 1)
-d  also show the number of dropped outgoing packets
-f  show inet (the default), inet6 or all; for 2 also link: the interfaces
    without their addresses
-I  show one interface, by its name in quotes ("Data 1") or by its device name
-n  show network addresses as numbers
-q  stop after this number of lines; without -q stop when Ctrl-C is pressed, or
    without a terminal after ten lines
-w  seconds between two lines (default 10)
-W  do not cut long names and addresses (default for 1)

In table 2 the packets and bytes of an address are those of its interface. An
interface without addresses has a row of its own.`,
	Source: "B36 to B42, B54; netstat(1) of FreeBSD; invented (questions of 1, 3 and 4)",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		n := netstatQuery{env: env, table: activeSockets, family: inet, seconds: 10}
		var err error
		if env.Inline {
			err = n.parse(env.Args)
		} else {
			err = n.ask(ctx)
		}
		if err != nil {
			return err
		}
		return n.show(ctx)
	},
})

// The tables, with their numbers in the menu (B37).
const (
	activeSockets = 1 + iota
	interfaceState
	routingTables
	listenQueues
	packetTraffic
)

// Address families, with their names in FreeBSD's -f.
const (
	inet        = "inet"
	inet6       = "inet6"
	linkLevel   = "link" // interfaces without their addresses
	allFamilies = "all"
)

// A netstatQuery says which table to show, and how.
type netstatQuery struct {
	env     *shell.Env
	table   int
	family  string
	numeric bool   // show addresses instead of names
	wide    bool   // do not cut names and addresses
	iface   string // "": all
	bytes   bool
	drops   bool
	seconds int
	count   int // of lines; 0: no limit
}

// setTable sets the table and its default width: the table of sockets shows names in full, the
// other tables cut them (B38, B40, B41).
func (n *netstatQuery) setTable(table int) {
	n.table, n.wide = table, table == activeSockets
}

// ask asks for the table and its options.
func (n *netstatQuery) ask(ctx context.Context) error {
	table, err := n.env.Choose(ctx, "Choose the information you want to display:", 0,
		"List of active sockets.",
		"State of network interfaces.",
		"Contents of routing tables.",
		"Size of the listen queues.",
		"Packet traffic information.")
	if err != nil {
		return err
	}
	n.setTable(table + 1)
	switch n.table {
	case interfaceState:
		return n.env.Form(ctx,
			n.interfaceField("Select the ethernet interface whose state you wish to display:"),
			shell.YesNo(&n.bytes, "Show the number of bytes in and out?"),
			shell.YesNo(&n.drops, "Show the number of dropped packets?"))
	case packetTraffic:
		return n.env.Form(ctx,
			shell.Number(&n.seconds, "Enter the number of seconds between displays.", 1, maxSeconds),
			n.interfaceField("Select the ethernet interface whose traffic you wish to display:"))
	}
	return n.env.Form(ctx,
		n.familyField,
		shell.YesNo(&n.numeric, "Show network addresses as numbers?"),
		shell.YesNo(&n.wide, "Show long names and addresses whole?"))
}

func (n *netstatQuery) familyField(ctx context.Context, d shell.Dialogue) error {
	if !supportsIPv6(n.env) {
		return nil
	}
	i, err := d.Choose(ctx, "Select the IP version:", 0, "IPv4", "IPv6", "Both")
	if err == nil {
		n.family = []string{inet, inet6, allFamilies}[i]
	}
	return err
}

// interfaceField asks for one of the interfaces, loopback excepted, or for all of them.
func (n *netstatQuery) interfaceField(question string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		var names []string
		for _, i := range n.env.Appliance.Net.Interfaces() {
			if !i.Loopback {
				names = append(names, i.Name)
			}
		}
		i, err := d.Choose(ctx, question, -1, append(names, "ALL")...)
		if err == nil && i < len(names) {
			n.iface = names[i]
		}
		return err
	}
}

// interfaces returns the interfaces to be shown: none if the chosen one does not exist any
// more.
func (n *netstatQuery) interfaces() []network.Interface {
	return slices.DeleteFunc(n.env.Appliance.Net.Interfaces(), func(i network.Interface) bool {
		return n.iface != "" && i.Name != n.iface
	})
}

// show prints the chosen table.
func (n *netstatQuery) show(ctx context.Context) error {
	switch n.table {
	case activeSockets:
		return n.showSockets(ctx)
	case interfaceState:
		return n.showInterfaces(ctx)
	case routingTables:
		return n.showRoutes(ctx)
	case listenQueues:
		return n.showQueues(ctx)
	default:
		return n.showTraffic(ctx)
	}
}

// includes reports whether the table has rows of an address family, inet or inet6.
func (n *netstatQuery) includes(family string) bool {
	return n.family == family || n.family == allFamilies && (family == inet || supportsIPv6(n.env))
}

// printTable writes a table in pieces, so that Ctrl-C ends a long one.
func (n *netstatQuery) printTable(ctx context.Context, table *strings.Builder) error {
	const piece = 16 << 10
	for rest := table.String(); rest != ""; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		end := len(rest)
		if end > piece {
			end = strings.LastIndexByte(rest[:piece], '\n') + 1
		}
		if _, err := n.env.Write([]byte(rest[:end])); err != nil {
			return fmt.Errorf("print table: %w", err)
		}
		rest = rest[end:]
	}
	return nil
}
