package commands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "interfaceconfig",
	Summary: "Configure IP interfaces: addresses and the services on them.",
	Help: "An IP interface is an IPv4 address, an IPv6 address or both, on an Ethernet interface,\n" +
		"a VLAN or the loopback interface. Committed changes take effect at once: if an address\n" +
		"is removed, its connections are closed.",
	Source: "public (operations, list), invented (questions, refusals)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Commit: true,
	Run: func(ctx context.Context, env *shell.Env) error {
		d := ipDialogue{env}
		return env.Menu(ctx, func() shell.Menu {
			list := d.list()
			return shell.Menu{
				Header: d.print,
				Items: []shell.Item{
					{Key: "NEW", Text: "Create a new interface.", Run: d.create},
					{Key: "EDIT", Text: "Modify an interface.", Hidden: len(list) == 0, Run: d.edit},
					{Key: "GROUPS", Text: "Define interface groups.", Hidden: len(list) == 0, Run: d.groups},
					{Key: "DELETE", Text: "Remove an interface.", Hidden: len(list) == 0, Run: d.remove},
				},
			}
		})
	},
})

// An ipDialogue holds the menus of interfaceconfig.
type ipDialogue struct{ env *shell.Env }

// list returns the IP interfaces of the draft.
func (d ipDialogue) list() []netconfig.IPInterface {
	return netconfig.Interfaces.Get(d.env.Draft).List
}

func (d ipDialogue) print() {
	d.env.Printf("\nCurrently configured interfaces:\n")
	for n, i := range d.list() {
		d.env.PrintWrapped(fmt.Sprintf("%d. %s (%s on %s: %s)",
			n+1, i.Name, addressText(i), i.Port, i.Hostname))
	}
}

// addressText returns the addresses of an interface with their prefix lengths.
func addressText(i netconfig.IPInterface) string {
	prefixes, err := i.Prefixes()
	if err != nil || len(prefixes) == 0 {
		return "no address"
	}
	texts := make([]string, len(prefixes))
	for n, p := range prefixes {
		texts[n] = p.String()
	}
	return strings.Join(texts, ", ")
}

func (d ipDialogue) create(ctx context.Context) error {
	i := netconfig.IPInterface{
		Netmask: netconfig.Netmask(24), Hostname: netconfig.Hostname.Get(d.env.Draft),
	}
	if err := d.ask(ctx, &i); err != nil {
		return err
	}
	return editSection(d.env, netconfig.Interfaces, func(v *netconfig.IPInterfaces) error {
		v.List = append(v.List, i)
		return nil
	})
}

func (d ipDialogue) edit(ctx context.Context) error {
	was, err := d.choose(ctx, "edit")
	if err != nil {
		return err
	}
	now := was
	if err := d.ask(ctx, &now); err != nil {
		return err
	}
	if now == was {
		return nil
	}
	if sure, err := d.confirmChange(ctx, was, now); err != nil || !sure {
		return err
	}
	err = editSection(d.env, netconfig.Interfaces, func(v *netconfig.IPInterfaces) error {
		at := slices.Index(v.List, was)
		if at < 0 {
			return refusal.Newf("Another session has meanwhile changed the IP interface %s: "+
				"nothing was changed here. Please try again.", was.Name)
		}
		v.List[at] = now
		return nil
	})
	if err == nil {
		err = d.renameReferences(was.Name, now.Name)
	}
	d.warnIfNoSSH()
	return err
}

// renameReferences updates the sections that refer to a renamed interface.
func (d ipDialogue) renameReferences(was, now string) error {
	if now == was {
		return nil
	}
	follow := func(name *string) {
		if *name == was {
			*name = now
		}
	}
	return errors.Join(
		editSection(d.env, netconfig.IPGroups, func(v *netconfig.IPGroupList) error {
			for _, g := range v.List {
				for n := range g.Interfaces {
					follow(&g.Interfaces[n])
				}
			}
			return nil
		}),
		editSection(d.env, listener.Section, func(v *listener.Settings) error {
			for n := range v.Listeners {
				follow(&v.Listeners[n].Interface)
			}
			return nil
		}),
		editSection(d.env, resolver.DNS, func(v *resolver.Settings) error {
			follow(&v.Interface)
			return nil
		}),
		editSection(d.env, ntp.NTP, func(v *ntp.Settings) error {
			follow(&v.Source)
			return nil
		}),
		editSection(d.env, delivery.Config, func(v *delivery.Settings) error {
			follow(&v.Interface)
			return nil
		}),
	)
}

func (d ipDialogue) remove(ctx context.Context) error {
	i, err := d.choose(ctx, "delete")
	if err != nil {
		return err
	}
	if g, ok := groupOf(d.env, i.Name); ok {
		return refusal.Newf("The IP interface %s belongs to the group %s: "+
			"use GROUPS to remove it from there first.", i.Name, g)
	}
	onIt := func(l listener.Listener) bool { return l.Interface == i.Name }
	var listeners []string
	for _, l := range listener.Section.Get(d.env.Draft).Listeners {
		if onIt(l) {
			listeners = append(listeners, l.Name)
		}
	}
	if len(listeners) > 0 {
		d.env.PrintWrapped("The listeners on it will be removed too: " +
			strings.Join(listeners, ", ") + ".")
	}
	if d.loggedInOver(i) {
		d.env.PrintWrapped(fmt.Sprintf("You are logged in through the IP interface %s: "+
			"your session will end when the change is committed.", i.Name))
	}
	sure, err := d.env.Confirm(ctx,
		"Are you sure you want to remove the IP interface "+i.Name+"?", false)
	if err != nil || !sure {
		return err
	}
	if err := editSection(d.env, listener.Section, func(v *listener.Settings) error {
		v.Listeners = slices.DeleteFunc(v.Listeners, onIt)
		return nil
	}); err != nil {
		return err
	}
	err = editSection(d.env, netconfig.Interfaces, func(v *netconfig.IPInterfaces) error {
		v.List = slices.DeleteFunc(v.List, func(o netconfig.IPInterface) bool { return o.Name == i.Name })
		return nil
	})
	d.warnIfNoSSH()
	return err
}

func (d ipDialogue) choose(ctx context.Context, verb string) (netconfig.IPInterface, error) {
	list := d.list()
	names := make([]string, len(list))
	for n, i := range list {
		names[n] = i.Name
	}
	n, err := chooseByName(ctx, d.env,
		"Enter the name or number of the interface you wish to "+verb+".", names, "interface")
	if err != nil {
		return netconfig.IPInterface{}, err
	}
	return list[n], nil
}

// loggedInOver reports whether this session is connected to an address of i.
func (d ipDialogue) loggedInOver(i netconfig.IPInterface) bool {
	local := d.env.LocalAddr
	return local.IsValid() && (i.IPv4 == local || i.IPv6.Addr() == local)
}

// confirmChange asks for confirmation if the interface is the one that this session is
// connected to. Other changes are not confirmed because they take effect only at commit.
func (d ipDialogue) confirmChange(
	ctx context.Context, was, now netconfig.IPInterface) (bool, error) {
	if !d.loggedInOver(was) {
		return true, nil
	}
	warning := "You are logged in through the IP interface " + was.Name
	if !d.loggedInOver(now) || was.Port != now.Port {
		warning += ": your session will end when the change is committed"
	}
	d.env.PrintWrapped(warning + ".")
	return d.env.Confirm(ctx, "Are you sure you want to change it?", false)
}

// warnIfNoSSH warns if the draft leaves no way to log in over the network.
func (d ipDialogue) warnIfNoSSH() {
	for _, i := range d.list() {
		if i.SSH != 0 && (i.IPv4.IsValid() || i.IPv6.IsValid()) {
			return
		}
	}
	d.env.PrintWrapped("Warning: no IP interface offers SSH. Once this is committed, " +
		"the command line can be reached by the serial console only.")
}

// others returns the interfaces of the draft except for the one called name.
func (d ipDialogue) others(name string) []netconfig.IPInterface {
	return slices.DeleteFunc(d.list(), func(i netconfig.IPInterface) bool { return i.Name == name })
}

// checkAddrFree refuses an address that another interface has.
func (d ipDialogue) checkAddrFree(a netip.Addr, others []netconfig.IPInterface) error {
	for _, o := range others {
		if o.IPv4 == a || o.IPv6.Addr() == a {
			return refusal.Newf("The IP interface %[2]s already has the address %[1]v.", a, o.Name)
		}
	}
	return nil
}
