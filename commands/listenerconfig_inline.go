package commands

import (
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// listenersInline executes the inline form.
func listenersInline(env *shell.Env) error {
	verb, args := strings.ToLower(env.Args[0]), env.Args[1:]
	if verb != "new" && verb != "edit" && verb != "delete" {
		return shell.InvalidArgumentf(printable(env.Args[0]),
			"The operation must be new, edit or delete.")
	}
	if len(args) == 0 {
		return shell.InvalidArgumentf(verb, "The name of a listener is required.")
	}
	if verb == "new" {
		return newListenerInline(env, args)
	}
	s := listener.Section.Get(env.Draft)
	n := listenerIndex(s, args[0])
	if n < 0 {
		return shell.InvalidArgumentf(printable(args[0]), "The listener does not exist.")
	}
	d := &listenerDialogue{env, s.Listeners[n].Name}
	switch {
	case verb == "edit":
		return d.editInline(s.Listeners[n], args[1:])
	case len(args) > 1:
		return shell.InvalidArgumentf(printable(args[1]), "No more arguments are expected.")
	}
	return editSection(env, listener.Section, func(s *listener.Settings) error {
		s.Listeners = slices.Delete(s.Listeners, n, n+1)
		return nil
	})
}

// newListenerInline creates a listener on port 25.
func newListenerInline(env *shell.Env, args []string) error {
	if len(args) != 4 {
		return wrongListenerArguments(env)
	}
	types := map[string]listener.Type{
		"public": listener.Public, "private": listener.Private, "blackhole": listener.BlackHole,
	}
	t, known := types[strings.ToLower(args[1])]
	i, exists := netconfig.Interfaces.Get(env.Draft).Find(args[2])
	switch {
	case !known:
		return shell.InvalidArgumentf(printable(args[1]),
			"The type of a listener must be public, private or blackhole.")
	case !exists:
		return shell.InvalidArgumentf(printable(args[2]), "The IP interface does not exist.")
	case !strings.EqualFold(args[3], "smtp"):
		return shell.InvalidArgumentf(printable(args[3]), "Only the protocol smtp is simulated.")
	}
	return editSection(env, listener.Section, func(s *listener.Settings) error {
		if _, taken := s.Find(args[0]); taken {
			return shell.InvalidArgumentf(printable(args[0]), "There is already a listener of that name.")
		}
		l := listener.New(args[0], i.Name, 25, t, env.Appliance.Product.Version)
		err := listener.CheckName(l.Name)
		if err == nil {
			err = portInUse(env, l, *s)
		}
		s.Listeners = append(s.Listeners, l)
		return invalidArgument(args[0], err)
	})
}

func wrongListenerArguments(env *shell.Env) error {
	return shell.InvalidArgumentf(printable(strings.Join(env.Args, " ")),
		"Type help listenerconfig for the arguments.")
}

// editInline executes an operation on one of the tables of the listener.
func (d *listenerDialogue) editInline(l listener.Listener, args []string) error {
	if len(args) < 2 {
		return wrongListenerArguments(d.env)
	}
	table, verb, rest := strings.ToLower(args[0]), strings.ToLower(args[1]), args[2:]
	switch {
	case table == "hostaccess" && (verb == "new" || verb == "edit" || verb == "delete"):
		return d.hostEntryInline(verb, rest)
	case table == "hostaccess":
		return d.hostTableInline(l.Hosts, verb, rest)
	case table == "rcptaccess" && l.Type == listener.Public:
		return d.recipientsInline(l.Recipients, verb, rest)
	}
	return wrongListenerArguments(d.env)
}

// hostTableInline executes an operation on the whole host access table.
func (d *listenerDialogue) hostTableInline(t listener.HostTable, verb string, args []string) error {
	switch {
	case verb == "default" && len(args) > 0:
		return d.editHosts(func(t *listener.HostTable) error {
			return setPolicyOptions(&t.Default, listener.HostTable{}, args)
		})
	case (verb == "import" || verb == "export") && len(args) == 1:
		return d.fileInline(verb, args[0], t.FileText(), d.replaceHosts)
	case len(args) > 0:
	case verb == "print":
		d.env.Printf("%s", t.Text())
		return nil
	case verb == "clear":
		return d.removeAllHosts()
	case verb == "reset":
		return d.setFactoryHosts()
	}
	return wrongListenerArguments(d.env)
}

// fileInline exports text to a file, or imports one.
func (d *listenerDialogue) fileInline(
	verb, name, text string, replace func(text string) error) error {
	if verb == "export" {
		return invalidArgument(name, writeConfigFile(d.env, name, text))
	}
	text, err := readConfigFile(d.env, name)
	if err == nil {
		err = replace(text)
	}
	return invalidArgument(name, err)
}

// hostEntryInline creates, changes or removes a sender group or a policy.
func (d *listenerDialogue) hostEntryInline(verb string, args []string) error {
	if len(args) < 2 {
		return wrongListenerArguments(d.env)
	}
	kind, name, rest := strings.ToLower(args[0]), args[1], args[2:]
	return d.editHosts(func(t *listener.HostTable) error {
		switch {
		case kind == "policy":
			return d.policyInline(t, verb, name, rest)
		case kind != "sendergroup":
			return wrongListenerArguments(d.env)
		case verb == "new":
			return d.newGroupInline(t, name, rest)
		}
		n := groupIndex(t, name)
		switch {
		case n < 0:
			return shell.InvalidArgumentf(printable(name), "The sender group does not exist.")
		case verb == "delete" && len(rest) == 0:
			t.Groups = slices.Delete(t.Groups, n, n+1)
			return nil
		case verb == "edit" && len(rest) > 0:
			return d.editGroupInline(t, &t.Groups[n], strings.ToLower(rest[0]), rest[1:])
		}
		return wrongListenerArguments(d.env)
	})
}

// newGroupInline appends a sender group: its hosts, its behavior, and perhaps a comment.
func (d *listenerDialogue) newGroupInline(t *listener.HostTable, name string, args []string) error {
	g := listener.SenderGroup{Name: name}
	if len(args) == 4 && args[2] == "--comment" {
		g.Comment, args = args[3], args[:2]
	}
	if len(args) != 2 {
		return wrongListenerArguments(d.env)
	}
	if err := addHosts(&g, args[0]); err != nil {
		return invalidArgument(args[0], err)
	}
	if err := setBehavior(t, &g.Policy, args[1]); err != nil {
		return err
	}
	t.Groups = append(t.Groups, g)
	return invalidArgument(name, t.Check())
}

// setBehavior sets the policy of an entry. A behavior is an action, or Policy: NAME, as in the
// vendor's reference; the name alone is accepted, too.
func setBehavior(t *listener.HostTable, policy *string, behavior string) error {
	name := strings.TrimSpace(behavior)
	if rest, ok := cutPrefixFold(name, "policy:"); ok {
		name = strings.TrimSpace(rest)
	}
	name = strings.TrimPrefix(name, "$")
	if strings.EqualFold(name, "tcp refuse") {
		name = string(listener.TCPRefuse)
	}
	all := behaviors(t)
	n := slices.IndexFunc(all, func(b string) bool { return strings.EqualFold(b, name) })
	if n < 0 {
		return shell.InvalidArgumentf(printable(behavior), "The behavior must be one of: %s.",
			strings.Join(all, ", "))
	}
	*policy = all[n]
	return nil
}

// cutPrefixFold is strings.CutPrefix in any case.
func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// editGroupInline changes a sender group.
func (d *listenerDialogue) editGroupInline(
	t *listener.HostTable, g *listener.SenderGroup, verb string, args []string,
) error {
	all := strings.Join(args, " ")
	switch {
	case verb == "print" && len(args) == 0:
		d.env.Printf("%s", t.GroupText(*g))
		return nil
	case len(args) == 0:
	case verb == "new":
		return invalidArgument(all, addHosts(g, all))
	case verb == "delete":
		return invalidArgument(all, removeHost(g, all))
	case verb == "policy":
		return setBehavior(t, &g.Policy, all)
	case verb == "rename" && len(args) == 1:
		g.Name = args[0]
		return invalidArgument(all, t.Check())
	case verb == "move" && len(args) == 2:
		return moveHost(g, args[0], args[1])
	}
	return wrongListenerArguments(d.env)
}

// moveHost puts a host of a sender group before another one.
func moveHost(g *listener.SenderGroup, host, before string) error {
	index := func(name string) int {
		return slices.IndexFunc(g.Entries,
			func(e listener.Entry) bool { return strings.EqualFold(e.Host, name) })
	}
	for _, name := range []string{host, before} {
		if index(name) < 0 {
			return shell.InvalidArgumentf(printable(name), "The host does not exist in the sender group.")
		}
	}
	if strings.EqualFold(host, before) {
		return nil
	}
	n := index(host)
	e := g.Entries[n]
	g.Entries = slices.Delete(g.Entries, n, n+1)
	g.Entries = slices.Insert(g.Entries, index(before), e)
	return nil
}

// policyInline creates, changes or removes a policy.
func (d *listenerDialogue) policyInline(
	t *listener.HostTable, verb, name string, args []string,
) error {
	n := slices.IndexFunc(t.Policies,
		func(p listener.Policy) bool { return strings.EqualFold(p.Name, name) })
	switch {
	case verb == "new" && n >= 0:
		return shell.InvalidArgumentf(printable(name), "There is already a policy of that name.")
	case verb != "new" && n < 0:
		return shell.InvalidArgumentf(printable(name), "The policy does not exist.")
	case verb == "delete" && len(args) == 0:
		t.Policies = slices.Delete(t.Policies, n, n+1)
		return invalidArgument(name, t.Check())
	case verb == "delete" || len(args) == 0:
		return wrongListenerArguments(d.env)
	}
	var action string
	if err := setBehavior(&listener.HostTable{}, &action, args[0]); err != nil {
		return err
	}
	if verb == "new" {
		n = len(t.Policies)
		t.Policies = append(t.Policies, listener.Policy{Name: name})
	}
	p := &t.Policies[n]
	p.Action = listener.Action(action)
	if err := setPolicyOptions(&p.Parameters, *t, args[1:]); err != nil {
		return err
	}
	return invalidArgument(name, t.Check())
}

// recipientsInline executes an operation on the recipient access table.
func (d *listenerDialogue) recipientsInline(
	t listener.RecipientTable, verb string, args []string,
) error {
	switch {
	case (verb == "import" || verb == "export") && len(args) == 1:
		return d.fileInline(verb, args[0], t.Text(), d.replaceRecipients)
	case len(args) > 0 && (verb == "new" || verb == "edit" || verb == "delete"):
		return d.recipientInline(verb, args[0], args[1:])
	case len(args) > 0:
	case verb == "print":
		d.env.Printf("%s", t.Text())
		return nil
	case verb == "clear":
		return d.removeAllRecipients()
	}
	return wrongListenerArguments(d.env)
}

// recipientInline creates, changes or removes an entry.
func (d *listenerDialogue) recipientInline(verb, address string, options []string) error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		entries := &l.Recipients.Entries
		n := slices.IndexFunc(*entries,
			func(e listener.RecipientEntry) bool { return strings.EqualFold(e.Address, address) })
		switch {
		case verb == "new" && n >= 0:
			return shell.InvalidArgumentf(printable(address), "There is already an entry for that address.")
		case verb != "new" && n < 0:
			return shell.InvalidArgumentf(printable(address), "The entry does not exist.")
		case verb == "delete" && len(options) > 0:
			return wrongListenerArguments(d.env)
		case verb == "delete":
			*entries = slices.Delete(*entries, n, n+1)
			return nil
		case verb == "new":
			n = len(*entries)
			*entries = append(*entries, listener.RecipientEntry{Address: address})
		}
		if err := setRecipientOptions(&(*entries)[n], options); err != nil {
			return err
		}
		return invalidArgument(address, l.Recipients.Check())
	})
}

// errNoOption is the refusal of a word where an option is expected.
func errNoOption(word string, known []string) error {
	return refusal.Newf("%s is no option: expected one of %s.", visible(word), strings.Join(known, ", "))
}
