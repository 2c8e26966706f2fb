package commands

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// A listenerDialogue holds the operations on one listener.
type listenerDialogue struct {
	env  *shell.Env
	name string
}

func editListener(ctx context.Context, env *shell.Env) error {
	n, err := chooseListener(ctx, env, listener.Section.Get(env.Draft), "edit")
	if err != nil {
		return err
	}
	d := &listenerDialogue{env, listener.Section.Get(env.Draft).Listeners[n].Name}
	return env.Menu(ctx, func() shell.Menu {
		l, _ := listener.Section.Get(env.Draft).Find(d.name)
		return shell.Menu{
			Header: func() { printListener(env, l) },
			Items: []shell.Item{
				{Key: "NAME", Text: "Change the name of the listener.", Run: d.rename},
				{Key: "INTERFACE", Text: "Change the interface.", Run: d.move},
				{Key: "CERTIFICATE", Text: "Choose the certificate.", Run: d.certificate},
				{Key: "LIMITS", Text: "Change the injection limits.", Run: d.limits},
				{Key: "SETUP", Text: "Configure general options.", Run: d.setUp},
				{Key: "HOSTACCESS", Text: "Modify the Host Access Table.", Run: d.hosts},
				{Key: "RCPTACCESS", Text: "Modify the Recipient Access Table.",
					Absent: l.Type != listener.Public, Run: d.recipients},
				{Key: "BOUNCECONFIG", Text: "Choose the bounce profile to use for messages injected on " +
					"this listener.", Run: d.bounces},
			},
		}
	})
}

// edit changes the listener in the draft.
func (d *listenerDialogue) edit(
	change func(s *listener.Settings, l *listener.Listener) error) error {
	return editSection(d.env, listener.Section, func(s *listener.Settings) error {
		n := listenerIndex(*s, d.name)
		if n < 0 {
			return refusal.Newf("The listener %s does not exist.", d.name)
		}
		return change(s, &s.Listeners[n])
	})
}

// printListener prints what the menu of EDIT is about.
func printListener(env *shell.Env, l listener.Listener) {
	var networks []string
	if i, ok := netconfig.Interfaces.Get(env.Draft).Find(l.Interface); ok {
		prefixes, _ := i.Prefixes()
		for _, p := range prefixes {
			networks = append(networks, p.String())
		}
	}
	s, tls, auth := listener.Section.Get(env.Draft), "No", "Disabled"
	for _, p := range append(l.Hosts.Policies, listener.Policy{}) {
		e := l.Hosts.Effective(p)
		if e.TLS != listener.Off {
			tls = "Yes"
		}
		if e.Auth != listener.Off {
			auth = "Enabled"
		}
	}
	env.Printf("\nName: %s\nType: %s\nInterface: %s (%s) TCP Port %d\nProtocol: SMTP\n"+
		"Default Domain: %s\nMax Concurrency: %d (TCP Queue: %d)\nDomain Map: Disabled\nTLS: %s\n"+
		"SMTP Authentication: %s\nBounce Profile: %s\n"+
		"Use SenderBase For Reputation Filters and IP Profiling: %s\nFooter: None\nHeading: None\n"+
		"LDAP: Off\n",
		l.Name, l.Type.Title(), l.Interface, strings.Join(networks, ", "), l.Port,
		cmp.Or(l.DefaultDomain, "<none configured>"),
		min(maxConnections(s, l), s.Limits.Connections), queueSize(l), tls, auth,
		cmp.Or(l.BounceProfile, "Default"), yesOrNo(l.SenderBase))
}

func yesOrNo(b bool) string {
	if b {
		return "Yes"
	}
	return "No"
}

func (d *listenerDialogue) rename(ctx context.Context) error {
	name := d.name
	err := d.edit(func(s *listener.Settings, l *listener.Listener) error {
		err := d.env.Form(ctx, listenerName(&l.Name, *s))
		name = l.Name
		return err
	})
	if err == nil {
		d.name = name
	}
	return err
}

func (d *listenerDialogue) move(ctx context.Context) error {
	return d.edit(func(s *listener.Settings, l *listener.Listener) error {
		return d.env.Form(ctx, listenerInterface(d.env, l), listenerPort(d.env, l, *s))
	})
}

func (d *listenerDialogue) certificate(ctx context.Context) error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		return d.env.Form(ctx, certificateField(d.env, &l.Certificate))
	})
}

func (d *listenerDialogue) setUp(ctx context.Context) error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		has := l.DefaultDomain != ""
		clean, received := l.BareLineEnds == listener.CleanLineEnds, !l.OmitReceived
		err := d.env.Form(ctx,
			shell.YesNo(&has, "Would you like to add a default domain to addresses without one?"),
			shell.When(func() bool { return has }, shell.Text(&l.DefaultDomain,
				"Enter the default domain.", func(s string) error {
					if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "[") {
						return refusal.New("The value must be a domain such as example.com.")
					}
					return delivery.CheckDomain(s)
				})),
			shell.YesNo(&received, "Would you like to add a Received header to messages?"),
			shell.YesNo(&clean, "Would you like to convert bare CR and LF characters to CRLF? "+
				"Otherwise such messages are rejected."),
			shell.YesNo(&l.SenderBase,
				"Would you like to use SenderBase for reputation filters and IP profiling?"),
		)
		if !has {
			l.DefaultDomain = ""
		}
		l.OmitReceived, l.BareLineEnds = !received, listener.RejectLineEnds
		if clean {
			l.BareLineEnds = listener.CleanLineEnds
		}
		return err
	})
}

// limits asks for the limit of connections of the listener alone.
func (d *listenerDialogue) limits(ctx context.Context) error {
	return d.edit(func(s *listener.Settings, l *listener.Listener) error {
		n, places := maxConnections(*s, *l), queueSize(*l)
		err := d.env.Form(ctx, shell.Number(&n,
			"Enter the maximum number of concurrent connections to this listener.", 1, 1000),
			shell.Number(&places, "Enter the size of the TCP queue of this listener.", 1, 1000))
		switch {
		case err != nil:
			return err
		case n > s.Limits.Connections:
			d.env.Printf("The value of %d will be limited to %d by the global limit for concurrent "+
				"connections.\n", n, s.Limits.Connections)
		}
		if l.MaxConnections = n; n == s.Limits.Connections {
			l.MaxConnections = 0
		}
		if l.QueueSize = places; places == listener.DefaultQueueSize {
			l.QueueSize = 0
		}
		return nil
	})
}

// maxConnections returns how many connections a listener takes at most.
func maxConnections(s listener.Settings, l listener.Listener) int {
	if l.MaxConnections > 0 {
		return l.MaxConnections
	}
	return s.Limits.Connections
}

// queueSize returns how many connections may wait for a listener.
func queueSize(l listener.Listener) int { return cmp.Or(l.QueueSize, listener.DefaultQueueSize) }

func (d *listenerDialogue) bounces(ctx context.Context) error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		names := []string{"Default"}
		for _, p := range delivery.Profiles.Get(d.env.Draft).List {
			names = append(names, p.Name)
		}
		present := max(0, slices.Index(names, l.BounceProfile))
		n, err := d.env.Choose(ctx, "Please choose a bounce profile to apply:", present, names...)
		switch {
		case err != nil:
			return err
		case n == 0:
			l.BounceProfile = ""
		default:
			l.BounceProfile = names[n]
		}
		return nil
	})
}

func (d *listenerDialogue) recipients(ctx context.Context) error {
	return d.env.Menu(ctx, func() shell.Menu {
		l, _ := listener.Section.Get(d.env.Draft).Find(d.name)
		none := len(l.Recipients.Entries) == 0
		return shell.Menu{
			Header: func() {
				d.env.Printf("\nRecipient Access Table\n\nThere are currently %d recipients.\n"+
					"Default Access: %s\n", len(l.Recipients.Entries), defaultAccess(l.Recipients))
			},
			Items: []shell.Item{
				{Key: "NEW", Text: "Create a new entry.", Run: d.newRecipient},
				{Key: "EDIT", Text: "Modify an existing entry.", Hidden: none, Run: d.editRecipient},
				{Key: "DELETE", Text: "Remove an existing entry.", Hidden: none, Run: d.deleteRecipient},
				{Key: "PRINT", Text: "Display the entire recipient access table.",
					Run: func(context.Context) error { d.env.Printf("%s", l.Recipients.Text()); return nil }},
				{Key: "IMPORT", Text: "Import entries from a file.", Run: d.importRecipients},
				{Key: "EXPORT", Text: "Export all entries to a file.", Run: func(ctx context.Context) error {
					return exportTable(ctx, d.env, l.Recipients.Text())
				}},
				{Key: "CLEAR", Text: "Remove all entries.", Hidden: none, Run: d.clearRecipients},
				{Key: "VALIDATION", Text: "Edit the list of the addresses that exist.", Run: d.validation},
			},
		}
	})
}

// defaultAccess returns what happens to a recipient that has no entry of its own.
func defaultAccess(t listener.RecipientTable) string {
	for _, e := range t.Entries {
		if strings.EqualFold(e.Address, "ALL") && !e.Reject {
			return "ACCEPT"
		}
	}
	return "REJECT"
}

// recipientForm asks what happens to the recipients of an entry.
func recipientForm(e *listener.RecipientEntry) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		custom := e.Code != 0
		action := 0
		if e.Reject {
			action = 1
		}
		n, err := d.Choose(ctx, "Select the action to apply to this address:", action, "Accept", "Reject")
		if err != nil {
			return err
		}
		least, most := 200, 299
		if e.Reject = n == 1; e.Reject {
			least, most = 400, 599
			e.Bypass = false
		}
		if e.Code < least || e.Code > most {
			e.Code, e.Reply, custom = 0, "", false
		}
		err = d.Form(ctx, shell.YesNo(&custom, "Would you like to specify a custom SMTP response?"),
			shell.When(func() bool { return custom }, func(ctx context.Context, d shell.Dialogue) error {
				e.Code = max(e.Code, map[bool]int{false: 250, true: 550}[e.Reject])
				return d.Form(ctx,
					shell.Number(&e.Code, "Enter the SMTP code to use in the response.", least, most),
					shell.Text(&e.Reply, "Enter your custom SMTP response.", listener.CheckReply))
			}),
			shell.When(func() bool { return !e.Reject }, shell.YesNo(&e.Bypass,
				"Would you like to bypass receiving control for this entry?")))
		if !custom {
			e.Code, e.Reply = 0, ""
		}
		return err
	}
}

func (d *listenerDialogue) newRecipient(ctx context.Context) error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		var e listener.RecipientEntry
		return d.env.Form(ctx,
			shell.Text(&e.Address, "Enter the recipient address for this entry.\n"+
				"Domains such as \".example.com\", users such as \"postmaster@\" and ALL are allowed.",
				func(s string) error {
					next := slices.Concat(l.Recipients.Entries, []listener.RecipientEntry{{Address: s}})
					return listener.RecipientTable{Entries: next}.Check()
				}),
			recipientForm(&e),
			func(context.Context, shell.Dialogue) error {
				l.Recipients.Entries = append(l.Recipients.Entries, e)
				return nil
			})
	})
}

func (d *listenerDialogue) editRecipient(ctx context.Context) error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		n, err := d.chooseRecipient(ctx, *l, "edit")
		if err != nil {
			return err
		}
		return d.env.Form(ctx, recipientForm(&l.Recipients.Entries[n]))
	})
}

func (d *listenerDialogue) deleteRecipient(ctx context.Context) error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		n, err := d.chooseRecipient(ctx, *l, "delete")
		if err == nil {
			l.Recipients.Entries = slices.Delete(l.Recipients.Entries, n, n+1)
		}
		return err
	})
}

func (d *listenerDialogue) chooseRecipient(
	ctx context.Context, l listener.Listener, verb string) (int, error) {
	names := make([]string, len(l.Recipients.Entries))
	for i, e := range l.Recipients.Entries {
		names[i] = e.Address
	}
	return d.env.Choose(ctx, "Enter the number of the entry you wish to "+verb+".", -1, names...)
}
