package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// groups is the menu of groups of IP interfaces.
func (d ipDialogue) groups(ctx context.Context) error {
	return d.env.Menu(ctx, func() shell.Menu {
		list := netconfig.IPGroups.Get(d.env.Draft).List
		return shell.Menu{
			Header: func() {
				d.env.Printf("\nCurrently configured interface groups:\n")
				for n, g := range list {
					d.env.PrintWrapped(fmt.Sprintf(
						"%d. %s (%s)", n+1, g.Name, strings.Join(g.Interfaces, ", ")))
				}
			},
			Items: []shell.Item{
				{Key: "NEW", Text: "Create a new group.", Run: func(ctx context.Context) error {
					return d.putGroup(ctx, netconfig.IPGroup{})
				}},
				{Key: "EDIT", Text: "Modify a group.", Hidden: len(list) == 0, Run: d.editGroup},
				{Key: "DELETE", Text: "Remove a group.", Hidden: len(list) == 0, Run: d.removeGroup},
			},
		}
	})
}

func (d ipDialogue) chooseGroup(ctx context.Context, verb string) (netconfig.IPGroup, error) {
	list := netconfig.IPGroups.Get(d.env.Draft).List
	names := make([]string, len(list))
	for n, g := range list {
		names[n] = g.Name
	}
	n, err := chooseByName(ctx, d.env,
		"Enter the name or number of the group you wish to "+verb+".", names, "group")
	if err != nil {
		return netconfig.IPGroup{}, err
	}
	return list[n], nil
}

func (d ipDialogue) editGroup(ctx context.Context) error {
	g, err := d.chooseGroup(ctx, "edit")
	if err != nil {
		return err
	}
	return d.putGroup(ctx, g)
}

// putGroup asks the questions that NEW and EDIT share and replaces the group was by the
// result. For a new group, was is the zero IPGroup.
func (d ipDialogue) putGroup(ctx context.Context, was netconfig.IPGroup) error {
	g, names := was, []string{}
	for _, i := range d.list() {
		names = append(names, i.Name)
	}
	taken := slices.Clone(names)
	for _, o := range netconfig.IPGroups.Get(d.env.Draft).List {
		if o.Name != was.Name {
			taken = append(taken, o.Name)
		}
	}
	if err := d.env.Form(ctx,
		shell.Text(&g.Name, "Enter the name of the group:", func(name string) error {
			if slices.ContainsFunc(taken, func(o string) bool { return strings.EqualFold(o, name) }) {
				return refusal.Newf("There is already an interface or a group with the name %s.", name)
			}
			return checkObjectName(name)
		}),
		shell.SomeOf(&g.Interfaces,
			"Choose the interfaces of the group, with commas between them.", names...),
	); err != nil {
		return err
	}
	return editSection(d.env, netconfig.IPGroups, func(v *netconfig.IPGroupList) error {
		at := slices.IndexFunc(v.List, func(o netconfig.IPGroup) bool { return o.Name == was.Name })
		if at < 0 {
			v.List = append(v.List, g)
		} else {
			v.List[at] = g
		}
		return nil
	})
}

func (d ipDialogue) removeGroup(ctx context.Context) error {
	g, err := d.chooseGroup(ctx, "delete")
	if err != nil {
		return err
	}
	return editSection(d.env, netconfig.IPGroups, func(v *netconfig.IPGroupList) error {
		v.List = slices.DeleteFunc(v.List, func(o netconfig.IPGroup) bool { return o.Name == g.Name })
		return nil
	})
}

// groupOf returns a group that contains an interface, if there is one.
func groupOf(env *shell.Env, name string) (group string, ok bool) {
	for _, g := range netconfig.IPGroups.Get(env.Draft).List {
		if slices.Contains(g.Interfaces, name) {
			return g.Name, true
		}
	}
	return "", false
}
