package commands

import (
	"context"
	"fmt"
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
					Run: func(context.Context) error { printHosts(d.env, t); return nil }},
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
		names = append(names, g.Name)
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
		if len(t.Policies) == 0 {
			return refusal.New("There is no policy: create one first.")
		}
		g := listener.SenderGroup{Policy: t.Policies[0].Name}
		if err := d.env.Form(ctx,
			newName(&g.Name, "Enter a name for this sender group.", groupNames(t)),
			hostsField(&g, "Enter the hosts to add, separated by commas."),
			shell.OneOf(&g.Policy, "Select a behavior for this entry.", policyNames(t)...),
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
	return checkReply(s)
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
	n, err := d.env.Choose(ctx, "Choose the sender group to modify.", -1, groupNames(&t)...)
	if err != nil {
		return err
	}
	return d.editGroup(ctx, t.Groups[n].Name)
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
					printGroup(d.env, t.Groups[n])
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
							policyNames(t)...))
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

func printGroup(env *shell.Env, g listener.SenderGroup) {
	env.Printf("%s:\n", g.Name)
	for _, e := range g.Entries {
		env.Printf("        %s\n", e.Host)
	}
	env.Printf("        $%s", g.Policy)
	if g.Comment != "" {
		env.Printf(" (%s)", g.Comment)
	}
	env.Printf("\n")
}

// printHosts prints the host access table.
func printHosts(env *shell.Env, t listener.HostTable) {
	for _, p := range t.Policies {
		env.Printf("$%s\n    %s", p.Name, p.Action)
		if lines := parameterLines(p.Parameters); len(lines) > 0 {
			env.Printf(" {\n        %s\n    }", strings.Join(lines, "\n        "))
		}
		env.Printf("\n")
	}
	for _, g := range t.Groups {
		printGroup(env, g)
	}
	env.Printf("ALL\n    $%s\n", t.Last)
}

// parameterLines returns the parameters that a policy sets as PRINT shows them.
func parameterLines(p listener.Parameters) (lines []string) {
	add := func(key string, set bool, value func() any) {
		if set {
			lines = append(lines, fmt.Sprintf("%s = %v", key, value()))
		}
	}
	quoted := func(v any) string { return fmt.Sprintf("\"%v\"", v) }
	add("max_msgs_per_session", p.MaxMessages != nil, func() any { return *p.MaxMessages })
	add("max_concurrency", p.MaxConnections != nil, func() any { return *p.MaxConnections })
	add("max_rcpts_per_msg", p.MaxRecipients != nil, func() any { return *p.MaxRecipients })
	add("max_rcpts_per_hour", p.MaxRecipientsPerHour != nil,
		func() any { return *p.MaxRecipientsPerHour })
	add("dhap_limit", p.MaxInvalidPerHour != nil, func() any { return *p.MaxInvalidPerHour })
	add("max_message_size", p.MaxMessageSize != nil, func() any { return *p.MaxMessageSize })
	add("tls", p.TLS != nil, func() any { return quoted(*p.TLS) })
	add("smtp_auth", p.Auth != nil, func() any { return quoted(*p.Auth) })
	add("require_tls_to_offer_auth", p.AuthNeedsTLS != nil, func() any { return quoted(*p.AuthNeedsTLS) })
	add("env_sender_verify", p.VerifySender != nil, func() any { return quoted(*p.VerifySender) })
	add("banner", p.Banner != nil, func() any { return quoted(*p.Banner) })
	add("reject_code", p.RejectCode != nil, func() any { return *p.RejectCode })
	add("reject_banner", p.RejectBanner != nil, func() any { return quoted(*p.RejectBanner) })
	return lines
}
