package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim/uplink"
)

type ctlNet struct {
	Sockets    listSockets    `cmd:"" help:"List the sockets."`
	ARP        listNeighbors  `cmd:"" name:"arp" help:"List the ARP and NDP caches."`
	Routes     listRoutes     `cmd:"" help:"List the routing table."`
	Interfaces listInterfaces `cmd:"" help:"List the interfaces with their counters."`
	Uplinks    listUplinks    `cmd:"" help:"List the cables to real networks, with what has crossed them."`
}

// A machine is the flag that names the machine whose table is shown.
type machine struct {
	Host string `predictor:"host" placeholder:"HOST" help:"A simulated host, by its name or an address in the topology (default: the appliance). A host behind the gateways has sockets only."`
}

type listSockets struct {
	machine
	output
}

func (l listSockets) Run(t stdio, client *control.Client) error {
	list, err := client.Sockets(context.Background(), l.Host)
	return printList(l.output, t, list, err, listing[box.Socket]{
		empty:    "There are no sockets.",
		headings: "PROTOCOL\tUNREAD\tUNACKNOWLEDGED\tLOCAL\tREMOTE\tSTATE\tPROCESS",
		row: func(s box.Socket) string {
			remote := "-"
			if s.Remote.IsValid() {
				remote = s.Remote.String()
			}
			return fmt.Sprintf("%s\t%d\t%d\t%v\t%s\t%s\t%s", s.Protocol, s.ReceiveQueue, s.SendQueue,
				s.Local, remote, cmp.Or(s.State, "-"), cmp.Or(s.Process, "-"))
		},
	})
}

type listUplinks struct{ output }

func (l listUplinks) Run(t stdio, client *control.Client) error {
	list, err := client.Uplinks(context.Background())
	return printList(l.output, t, list, err, listing[uplink.State]{
		empty:    "There are no uplinks.",
		headings: "INTERFACE\tTO\tSTATE\tRECEIVED\tSENT\tNOT RECEIVED\tNOT SENT",
		row: func(u uplink.State) string {
			state := "connected"
			if !u.Connected {
				state = "no carrier: " + u.Reason
			}
			return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%d", u.Interface, u.To, state, u.Received, u.Sent,
				u.Invalid+u.Foreign+u.Flooded, u.Storms+u.Overflow)
		},
	})
}

type listNeighbors struct {
	machine
	output
}

func (l listNeighbors) Run(t stdio, client *control.Client) error {
	list, err := client.Neighbors(context.Background(), l.Host)
	return printList(l.output, t, list, err, listing[box.Neighbor]{
		empty:    "There are no entries.",
		headings: "ADDRESS\tMAC\tINTERFACE\tSTATE\tEXPIRES",
		row: func(n box.Neighbor) string {
			expires := "-"
			if n.Expires > 0 {
				expires = time.Duration(n.Expires).Round(time.Second).String()
			}
			return fmt.Sprintf("%v\t%s\t%s\t%s\t%s", n.Address, cmp.Or(n.MAC, "-"), n.Interface, n.State,
				expires)
		},
	})
}

type listRoutes struct {
	machine
	output
}

func (l listRoutes) Run(t stdio, client *control.Client) error {
	list, err := client.Routes(context.Background(), l.Host)
	return printList(l.output, t, list, err, listing[box.Route]{
		empty:    "There are no routes.",
		headings: "DESTINATION\tGATEWAY\tFLAGS\tINTERFACE\tMTU",
		row: func(r box.Route) string {
			gateway := "-"
			if r.Gateway.IsValid() {
				gateway = r.Gateway.String()
			}
			mtu := "-"
			if r.MTU > 0 {
				mtu = strconv.Itoa(r.MTU)
			}
			return fmt.Sprintf("%v\t%s\t%s\t%s\t%s", r.Destination, gateway, r.Flags, r.Interface, mtu)
		},
	})
}

type listInterfaces struct {
	machine
	output
}

func (l listInterfaces) Run(t stdio, client *control.Client) error {
	list, err := client.Interfaces(context.Background(), l.Host)
	return printList(l.output, t, list, err, listing[box.Interface]{
		empty:    "There are no interfaces.",
		headings: "NAME\tSTATE\tADDRESSES\tPACKETS IN\tBYTES IN\tDROPPED IN\tPACKETS OUT\tBYTES OUT\tDROPPED OUT",
		row: func(i box.Interface) string {
			c := i.Counters
			addrs := cmp.Or(prefixes(i.Addresses), "-")
			if i.DHCP != nil {
				addrs += " (DHCP: " + i.DHCP.State + ")"
			}
			return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d", i.Name, interfaceState(i),
				addrs, c.ReceivedPackets, c.ReceivedBytes, c.ReceivedDropped,
				c.SentPackets, c.SentBytes, c.SentDropped)
		},
	})
}

func interfaceState(i box.Interface) string {
	switch {
	case !i.Up:
		return "down"
	case !i.Carrier:
		return "unplugged"
	}
	return "up"
}

func prefixes(list []netip.Prefix) string {
	var words []string
	for _, p := range list {
		words = append(words, p.String())
	}
	return strings.Join(words, " ")
}

type ctlSession struct {
	List listSessions `cmd:"" help:"List the sessions of SSH, FTP, the page and the serial console that are open."`
	End  endSession   `cmd:"" help:"End a session. Its user is told that it was closed."`
}

type listSessions struct{ output }

func (l listSessions) Run(t stdio, client *control.Client) error {
	list, err := client.Sessions(context.Background())
	return printList(l.output, t, list, err, listing[box.Session]{
		empty:    "No session is open.",
		headings: "ID\tUSER\tROLE\tFROM\tSERVICE\tSINCE\tIDLE",
		row: func(s box.Session) string {
			from := "console"
			if s.Address.IsValid() {
				from = s.Address.String()
			}
			return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s", s.ID, s.User, s.Role, from, s.Service,
				s.Since.Format(timeFormat), time.Duration(s.Idle).Round(time.Second))
		},
	})
}

type endSession struct {
	ID string `arg:"" name:"session" predictor:"session" help:"The number of a session, or all."`
}

func (e endSession) Run(client *control.Client) error {
	return remove(e.ID, "esasim ctl session list", func(ctx context.Context) error {
		list, err := client.Sessions(ctx)
		for _, s := range list {
			if err == nil {
				err = client.EndSession(ctx, s.ID)
			}
		}
		return err
	}, func(ctx context.Context, ref string) error {
		id, err := strconv.Atoi(ref)
		if err != nil {
			return fmt.Errorf("%q is not the number of a session: expected a number such as 1, or %s",
				ref, removeAll)
		}
		return client.EndSession(ctx, id)
	})
}

type ctlUser struct {
	List listUsers `cmd:"" help:"List the accounts of the appliance."`
}

type listUsers struct{ output }

func (l listUsers) Run(t stdio, client *control.Client) error {
	list, err := client.Users(context.Background())
	return printList(l.output, t, list, err, listing[box.User]{
		headings: "NAME\tROLE\tSTATE\tKEYS\tSESSIONS\tFULL NAME",
		row: func(u box.User) string {
			state := "active"
			if u.Locked {
				state = "locked"
			}
			return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%s", u.Name, u.Role, state, u.Keys, u.Sessions,
				printable(u.FullName))
		},
	})
}
