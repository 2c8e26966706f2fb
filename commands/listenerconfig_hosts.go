package commands

import (
	"context"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// hosts is the menu of the host access table.
func (d *listenerDialogue) hosts(ctx context.Context) error {
	return d.env.Menu(ctx, func() shell.Menu {
		l, _ := listener.Section.Get(d.env.Draft).Find(d.name)
		t := l.Hosts
		none := len(t.Groups) == 0
		return shell.Menu{
			Header: func() {
				printParameters(d.env, t)
				d.env.Printf("There are currently %d policies defined.\n"+
					"There are currently %d sender groups.\n", len(t.Policies), len(t.Groups))
			},
			Items: []shell.Item{
				{Key: "NEW", Text: "Create a new entry.", Run: d.newHostsEntry},
				{Key: "EDIT", Text: "Modify an entry.", Run: d.editHostsEntry},
				{Key: "DELETE", Text: "Remove an entry.", Run: d.deleteHostsEntry},
				{Key: "MOVE", Text: "Move an entry.", Hidden: none, Run: d.moveGroup},
				{Key: "DEFAULT", Text: "Set the defaults.", Run: d.hostDefaults},
				{Key: "PRINT", Text: "Display the table.",
					Run: func(context.Context) error { d.env.Printf("%s", t.Text()); return nil }},
				{Key: "IMPORT", Text: "Import a table from a file.", Run: d.importHosts},
				{Key: "EXPORT", Text: "Export the table to a file.", Run: func(ctx context.Context) error {
					return exportTable(ctx, d.env, t.FileText())
				}},
				{Key: "CLEAR", Text: "Remove all entries.", Run: d.clearHosts},
				{Key: "RESET", Text: "Remove senders and set policies to system default.", Run: d.resetHosts},
			},
		}
	})
}

// editHosts changes the host access table, if the result is valid.
func (d *listenerDialogue) editHosts(change func(t *listener.HostTable) error) error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		if err := change(&l.Hosts); err != nil {
			return err
		}
		return l.Hosts.Check()
	})
}

// groupOrPolicy asks which kind of entry an operation is about.
func (d *listenerDialogue) groupOrPolicy(ctx context.Context) (group bool, err error) {
	n, err := d.env.Choose(ctx, "Which kind of entry?", 0, "Sender Group", "Policy")
	return n == 0, err
}

func groupNames(t *listener.HostTable) (names []string) {
	for _, g := range t.Groups {
		names = append(names, g.Label())
	}
	return names
}

// behaviors returns what an entry of the table can do: have a policy, or an action.
func behaviors(t *listener.HostTable) []string {
	names := policyNames(t)
	for _, a := range actions() {
		names = append(names, string(a))
	}
	return names
}

func policyNames(t *listener.HostTable) (names []string) {
	for _, p := range t.Policies {
		names = append(names, p.Name)
	}
	return names
}

// newName asks for the name of a sender group or a policy, which no other one has.
func newName(dst *string, question string, others []string) shell.Field {
	return shell.Text(dst, question, func(name string) error {
		if slices.ContainsFunc(others, func(o string) bool { return strings.EqualFold(o, name) }) {
			return refusal.Newf("The name %s is already in use.", name)
		}
		if err := listener.CheckName(name); err != nil {
			return refusal.Newf("%q is no name: expected 1 to 63 characters without blanks and quotes.", name)
		}
		return nil
	})
}

func (d *listenerDialogue) newHostsEntry(ctx context.Context) error {
	group, err := d.groupOrPolicy(ctx)
	if err != nil {
		return err
	}
	return d.editHosts(func(t *listener.HostTable) error {
		if !group {
			p := listener.Policy{Action: listener.Accept}
			if err := d.env.Form(ctx, newName(&p.Name, "Enter a name for this policy.", policyNames(t)),
				policyForm(*t, &p)); err != nil {
				return err
			}
			t.Policies = append(t.Policies, p)
			return nil
		}
		g := listener.SenderGroup{Policy: behaviors(t)[0]}
		if err := d.env.Form(ctx,
			newName(&g.Name, "Enter a name for this sender group.", groupNames(t)),
			hostsField(&g, "Enter the hosts to add, separated by commas."),
			shell.OneOf(&g.Policy, "Select a behavior for this entry.", behaviors(t)...),
			shell.Text(&g.Comment, "Enter a comment for this sender group.", checkComment),
		); err != nil {
			return err
		}
		t.Groups = append(t.Groups, g)
		return nil
	})
}

func checkComment(s string) error {
	if s == "" {
		return nil
	}
	return listener.CheckReply(s)
}

// hostsField asks for hosts and appends them to a sender group.
func hostsField(g *listener.SenderGroup, question string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		_, err := d.Ask(ctx, question, "", func(answer string) error { return addHosts(g, answer) })
		return err
	}
}

// removeHost removes a host from a sender group.
func removeHost(g *listener.SenderGroup, host string) error {
	i := slices.IndexFunc(g.Entries,
		func(e listener.Entry) bool { return strings.EqualFold(e.Host, strings.TrimSpace(host)) })
	if i < 0 {
		return refusal.Newf("The host %s does not exist in the sender group %s.", visible(host), g.Name)
	}
	g.Entries = slices.Delete(g.Entries, i, i+1)
	return nil
}

func (d *listenerDialogue) editHostsEntry(ctx context.Context) error {
	group, err := d.groupOrPolicy(ctx)
	if err != nil {
		return err
	}
	t := d.table()
	if !group {
		n, err := d.env.Choose(ctx, "Choose the policy to modify.", -1, policyNames(&t)...)
		if err != nil {
			return err
		}
		return d.editHosts(func(t *listener.HostTable) error {
			return d.env.Form(ctx, policyForm(*t, &t.Policies[n]))
		})
	}
	n, err := d.env.Choose(ctx, "Choose the sender group to modify.", -1,
		append(groupNames(&t), "ALL")...)
	switch {
	case err != nil:
		return err
	case n < len(t.Groups):
		return d.editGroup(ctx, t.Groups[n].Label())
	}
	return d.editHosts(func(t *listener.HostTable) error { // all other hosts
		return d.env.Form(ctx, shell.OneOf(&t.Last, "Select a behavior for this entry.", behaviors(t)...))
	})
}

func (d *listenerDialogue) table() listener.HostTable {
	l, _ := listener.Section.Get(d.env.Draft).Find(d.name)
	return l.Hosts
}

// editGroup is the menu of one sender group.
func (d *listenerDialogue) editGroup(ctx context.Context, name string) error {
	edit := func(change func(context.Context, *listener.HostTable, *listener.SenderGroup) error,
	) func(context.Context) error {
		return func(ctx context.Context) error {
			return d.editHosts(func(t *listener.HostTable) error {
				n := groupIndex(t, name)
				if n < 0 {
					return refusal.Newf("The sender group %s does not exist.", name)
				}
				return change(ctx, t, &t.Groups[n])
			})
		}
	}
	return d.env.Menu(ctx, func() shell.Menu {
		return shell.Menu{
			Header: func() {
				t := d.table()
				if n := groupIndex(&t, name); n >= 0 {
					d.env.Printf("%s", t.GroupText(t.Groups[n]))
				}
			},
			Items: []shell.Item{
				{Key: "NEW", Text: "Add hosts to the sender group.", Run: edit(
					func(ctx context.Context, _ *listener.HostTable, g *listener.SenderGroup) error {
						return d.env.Form(ctx, hostsField(g, "Enter the hosts to add, separated by commas."))
					})},
				{Key: "DELETE", Text: "Remove a host from the sender group.", Run: edit(
					func(ctx context.Context, _ *listener.HostTable, g *listener.SenderGroup) error {
						_, err := d.env.Ask(ctx, "Enter the host to remove.", "",
							func(host string) error { return removeHost(g, host) })
						return err
					})},
				{Key: "POLICY", Text: "Change the behavior of the sender group.", Run: edit(
					func(ctx context.Context, t *listener.HostTable, g *listener.SenderGroup) error {
						return d.env.Form(ctx, shell.OneOf(&g.Policy, "Select a behavior for this entry.",
							behaviors(t)...))
					})},
				{Key: "RENAME", Text: "Change the name of the sender group.", Run: edit(
					func(ctx context.Context, t *listener.HostTable, g *listener.SenderGroup) error {
						others := slices.DeleteFunc(groupNames(t),
							func(n string) bool { return strings.EqualFold(n, g.Name) })
						err := d.env.Form(ctx, newName(&g.Name, "Enter a name for this sender group.", others))
						name = g.Label()
						return err
					})},
				{Key: "COMMENT", Text: "Change the comment of the sender group.", Run: edit(
					func(ctx context.Context, _ *listener.HostTable, g *listener.SenderGroup) error {
						return d.env.Form(ctx, shell.Text(&g.Comment, "Enter a comment for this sender group.",
							checkComment))
					})},
			},
		}
	})
}

func (d *listenerDialogue) deleteHostsEntry(ctx context.Context) error {
	group, err := d.groupOrPolicy(ctx)
	if err != nil {
		return err
	}
	return d.editHosts(func(t *listener.HostTable) error {
		if group {
			n, err := d.env.Choose(ctx, "Choose the sender group to remove.", -1, groupNames(t)...)
			if err == nil {
				t.Groups = slices.Delete(t.Groups, n, n+1)
			}
			return err
		}
		n, err := d.env.Choose(ctx, "Choose the policy to remove.", -1, policyNames(t)...)
		if err == nil {
			t.Policies = slices.Delete(t.Policies, n, n+1)
		}
		return err
	})
}

// moveGroup changes the order of the sender groups, of which the first match counts.
func (d *listenerDialogue) moveGroup(ctx context.Context) error {
	return d.editHosts(func(t *listener.HostTable) error {
		n, err := d.env.Choose(ctx, "Choose the sender group to move.", -1, groupNames(t)...)
		if err != nil {
			return err
		}
		to := n + 1
		if err := d.env.Form(ctx,
			shell.Number(&to, "Enter its new position.", 1, len(t.Groups))); err != nil {
			return err
		}
		g := t.Groups[n]
		t.Groups = slices.Insert(slices.Delete(t.Groups, n, n+1), to-1, g)
		return nil
	})
}

func (d *listenerDialogue) hostDefaults(ctx context.Context) error {
	return d.editHosts(func(t *listener.HostTable) error {
		return d.env.Form(ctx, parametersForm(&t.Default, listener.HostTable{}.Effective(listener.Policy{})))
	})
}

// importHosts replaces the table by that of a file.
func (d *listenerDialogue) importHosts(ctx context.Context) error {
	return importTable(ctx, d.env, d.replaceHosts)
}

// replaceHosts replaces the table by that of an imported text, if it is valid.
func (d *listenerDialogue) replaceHosts(text string) error {
	t, ignored, err := listener.ParseHosts(text)
	if err != nil {
		return err
	}
	err = d.editHosts(func(to *listener.HostTable) error { *to = t; return nil })
	if err != nil {
		return err
	}
	d.env.Printf("%d policies and %d sender groups imported.\n", len(t.Policies), len(t.Groups))
	if len(ignored) > 0 {
		d.env.PrintWrapped("These parameters are not simulated, and were left out: " +
			strings.Join(ignored, ", ") + ".")
	}
	return nil
}

func (d *listenerDialogue) clearHosts(ctx context.Context) error {
	sure, err := d.env.Confirm(ctx, "Are you sure you want to remove all entries?", false)
	if err != nil || !sure {
		return err
	}
	return d.removeAllHosts()
}

// removeAllHosts leaves the rule for all other hosts, with the action that it has.
func (d *listenerDialogue) removeAllHosts() error {
	return d.editHosts(func(t *listener.HostTable) error {
		last := t.Last
		for _, p := range t.Policies {
			if strings.EqualFold(p.Name, last) {
				last = string(p.Action)
			}
		}
		*t = listener.HostTable{Default: t.Default, Last: last}
		return nil
	})
}

func (d *listenerDialogue) resetHosts(ctx context.Context) error {
	sure, err := d.env.Confirm(ctx, "Are you sure you want to remove all senders and set the policies "+
		"to the system default?", false)
	if err != nil || !sure {
		return err
	}
	return d.setFactoryHosts()
}

// setFactoryHosts sets the table that a new listener has.
func (d *listenerDialogue) setFactoryHosts() error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		l.Hosts = listener.Factory(l.Type, d.env.Appliance.Product.Version)
		return nil
	})
}
