package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "etherconfig",
	Summary: "Configure Ethernet settings.",
	Help:    "Media, VLANs, the loopback interface, MTU, and ARP replies with a multicast address.",
	Source:  "B46, B47 (menu); public (dialogues, lists); invented (refusals)",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Commit:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		d := etherDialogue{env}
		return env.Menu(ctx, func() shell.Menu {
			return shell.Menu{Items: []shell.Item{
				{Key: "MEDIA", Text: "View and edit ethernet media settings.", Run: d.media},
				{Key: "VLAN", Text: "View and configure VLANs.", Run: d.vlan},
				{Key: "LOOPBACK", Text: "View and configure Loopback.", Run: d.loopback},
				{Key: "MTU", Text: "View and configure MTU.", Run: d.mtu},
				{Key: "MULTICAST", Text: "Accept or reject ARP replies with a multicast address.",
					Run: d.multicast},
			}}
		})
	},
})

// An etherDialogue holds the menus of etherconfig, one for each operation.
type etherDialogue struct{ env *shell.Env }

// editPorts changes the ports of the draft.
func editPorts(env *shell.Env, change func(*netconfig.PortList)) error {
	return editSection(env, netconfig.Ports, func(v *netconfig.PortList) error {
		*v = draftPorts(env)
		change(v)
		return nil
	})
}

// physicalPorts returns the names of the ports that are not VLANs.
func physicalPorts(ports netconfig.PortList) (names []string) {
	for _, p := range ports.List {
		if p.VLAN == 0 {
			names = append(names, p.Name)
		}
	}
	return names
}

// liveInterface returns the present state of an interface, without the draft's changes.
func liveInterface(env *shell.Env, name string) (now network.Interface, ok bool) {
	for _, i := range env.Appliance.Net.Interfaces() {
		if i.Name == name {
			return i, true
		}
	}
	return now, false
}

// choosePort asks for a port by name or number, and returns its name.
func (d etherDialogue) choosePort(
	ctx context.Context, question string, names []string) (string, error) {
	n, err := chooseByName(ctx, d.env, question, names, "interface")
	if err != nil {
		return "", err
	}
	return names[n], nil
}

// loopback is the menu of the loopback interface.
func (d etherDialogue) loopback(ctx context.Context) error {
	return d.env.Menu(ctx, func() shell.Menu {
		on := netconfig.Loopback.Get(d.env.Draft)
		set := func(on bool) func(context.Context) error {
			return func(context.Context) error {
				if user, used := interfaceOnPort(d.env, netconfig.LoopbackPort); used && !on {
					return refusal.Newf("The loopback interface is used by the IP interface %s: "+
						"use interfaceconfig to move or delete that first.", user)
				}
				return editSection(d.env, netconfig.Loopback, func(v *bool) error {
					*v = on
					return nil
				})
			}
		}
		return shell.Menu{
			Header: func() {
				d.env.Printf("\nCurrently configured loopback interface:\n")
				if on {
					d.env.List(netconfig.LoopbackPort)
				}
			},
			Items: []shell.Item{
				{Key: "ENABLE", Text: "Enable Loopback Interface.", Hidden: on, Run: set(true)},
				{Key: "DISABLE", Text: "Disable Loopback Interface.", Hidden: !on, Run: set(false)},
			},
		}
	})
}

// interfaceOnPort returns the name of an IP interface of the draft that is on a port, if any.
func interfaceOnPort(env *shell.Env, port string) (name string, used bool) {
	for _, i := range netconfig.Interfaces.Get(env.Draft).List {
		if i.Port == port {
			return i.Name, true
		}
	}
	return "", false
}

func (d etherDialogue) multicast(ctx context.Context) error {
	return d.env.Menu(ctx, func() shell.Menu {
		accepted := netconfig.MulticastARP.Get(d.env.Draft) == 1
		set := func(to int) func(context.Context) error {
			return func(context.Context) error {
				return editSection(d.env, netconfig.MulticastARP, func(v *int) error {
					*v = to
					return nil
				})
			}
		}
		return shell.Menu{
			Header: func() {
				what := "rejected"
				if accepted {
					what = "accepted"
				}
				d.env.Printf("\nARP replies with a multicast address will be %s.\n", what)
			},
			Items: []shell.Item{
				{Key: "ACCEPT", Text: "Accept ARP replies with a multicast address.",
					Hidden: accepted, Run: set(1)},
				{Key: "REJECT", Text: "Reject ARP replies with a multicast address.",
					Hidden: !accepted, Run: set(0)},
			},
		}
	})
}
