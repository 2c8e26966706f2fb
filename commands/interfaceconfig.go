package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
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
	return d.add(i)
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
	err = d.replace(was, now)
	d.warnIfNoSSH()
	return err
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
