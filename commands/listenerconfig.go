package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "listenerconfig",
	Summary: "Configure where mail is accepted, and from whom to whom.",
	Help: "listenerconfig new <listener> public|private|blackhole <interface> smtp\n" +
		"listenerconfig delete <listener>\n" +
		"listenerconfig edit <listener> hostaccess print|clear|reset\n" +
		"listenerconfig edit <listener> hostaccess import|export <file>\n" +
		"listenerconfig edit <listener> hostaccess default <options>\n" +
		"listenerconfig edit <listener> hostaccess new sendergroup <group> <hosts> <behavior>\n" +
		"    [--comment <text>]\n" +
		"listenerconfig edit <listener> hostaccess edit sendergroup <group> new|delete <host>\n" +
		"listenerconfig edit <listener> hostaccess edit sendergroup <group> move <host> <host>\n" +
		"listenerconfig edit <listener> hostaccess edit sendergroup <group> policy <behavior>\n" +
		"listenerconfig edit <listener> hostaccess edit sendergroup <group> rename <group>\n" +
		"listenerconfig edit <listener> hostaccess edit sendergroup <group> print\n" +
		"listenerconfig edit <listener> hostaccess new|edit policy <policy> <action> <options>\n" +
		"listenerconfig edit <listener> hostaccess delete sendergroup|policy <name>\n" +
		"listenerconfig edit <listener> rcptaccess print|clear\n" +
		"listenerconfig edit <listener> rcptaccess import|export <file>\n" +
		"listenerconfig edit <listener> rcptaccess new|edit <address> <options>\n" +
		"listenerconfig edit <listener> rcptaccess delete <address>\n\n" +
		"A host is an address, a range such as 192.0.2.1-10, a network, a host name, .example.com,\n" +
		"sbrs[-3.0:-1.0], sbrs[none], dnslist[query.example.net], nx.domain, serv.fail,\n" +
		"not.double.verified or ALL. Several hosts are separated by commas. A behavior is a policy, or\n" +
		"one of the actions Accept, Relay, Reject, \"TCP Refuse\" and Continue.\n\n" +
		"Options of policies: --max_size, --max_conn, --max_msgs, --max_rcpt, --override, --cust_acc,\n" +
		"--acc_code, --cust_rej, --rej_code, --rate_lim, --cust_lim, --lim_code, --dhap. Options of\n" +
		"recipients: --action Accept|Reject, --cust_resp, --resp_code, --bypass_rc Yes|No. Each has a\n" +
		"value; No switches off, and default means the default of the table.\n\n" +
		"Files are in the directory configuration.",
	Source: "public (list, SETUP, menu and tables of EDIT, inline form for hosts), " +
		"mail.md 3.1 (questions of NEW), invented (other questions and inline forms)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Commit: true,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return listenersInline(env)
		}
		return env.Menu(ctx, func() shell.Menu {
			none := len(mailListeners(env)) == 0
			return shell.Menu{
				Header: func() { printListeners(env) },
				Items: []shell.Item{
					{Key: "NEW", Text: "Create a new listener.", Run: withEnv(env, newListener)},
					{Key: "EDIT", Text: "Modify a listener.", Hidden: none, Run: withEnv(env, editListener)},
					{Key: "DELETE", Text: "Remove a listener.",
						Hidden: none, Run: withEnv(env, deleteListener)},
					{Key: "SETUP", Text: "Change global settings.", Run: withEnv(env, setUpListeners)},
				},
			}
		})
	},
})

// mailListeners returns the draft's listeners, except for the one that every appliance has for
// messages from a central quarantine: it has no settings.
func mailListeners(env *shell.Env) []listener.Listener {
	return slices.DeleteFunc(listener.Section.Get(env.Draft).Listeners,
		func(l listener.Listener) bool { return l.Type == listener.Quarantine })
}

func printListeners(env *shell.Env) {
	list := mailListeners(env)
	if len(list) == 0 {
		env.Printf("\nNo listeners are configured.\n")
		return
	}
	env.Printf("\nCurrently configured listeners:\n")
	lines := make([]string, len(list))
	for i, l := range list {
		lines[i] = fmt.Sprintf("%s (on %s) SMTP TCP Port %d %s",
			l.Name, strings.Join(append([]string{l.Interface}, listenerAddrs(env, l)...), ", "),
			l.Port, l.Type.Title())
	}
	env.List(lines...)
}

// listenerAddrs returns the addresses of the IP interface of a listener.
func listenerAddrs(env *shell.Env, l listener.Listener) (out []string) {
	if i, ok := netconfig.Interfaces.Get(env.Draft).Find(l.Interface); ok {
		for _, a := range i.AddrPorts(l.Port) {
			out = append(out, a.Addr().String())
		}
	}
	return out
}

// chooseListener asks for a listener and returns its index in the section.
func chooseListener(
	ctx context.Context, env *shell.Env, s listener.Settings, verb string) (int, error) {
	var names []string
	for _, l := range mailListeners(env) {
		names = append(names, l.Name)
	}
	n, err := chooseByName(ctx, env,
		"Enter the name or number of the listener you wish to "+verb+".", names, "listener")
	if err != nil {
		return 0, err
	}
	return listenerIndex(s, names[n]), nil
}

// listenerIndex returns the index of the listener of that name, or -1.
func listenerIndex(s listener.Settings, name string) int {
	return slices.IndexFunc(s.Listeners, func(l listener.Listener) bool {
		return l.Type != listener.Quarantine && strings.EqualFold(l.Name, name)
	})
}

func deleteListener(ctx context.Context, env *shell.Env) error {
	return editSection(env, listener.Section, func(s *listener.Settings) error {
		n, err := chooseListener(ctx, env, *s, "delete")
		if err != nil {
			return err
		}
		sure, err := env.Confirm(ctx, fmt.Sprintf(
			"Are you sure you want to delete the listener \"%s\"?", s.Listeners[n].Name), false)
		if sure {
			s.Listeners = slices.Delete(s.Listeners, n, n+1)
		}
		return err
	})
}

// newListener asks what a new listener is for, where it listens, and the tables' first contents.
func newListener(ctx context.Context, env *shell.Env) error {
	return editSection(env, listener.Section, func(s *listener.Settings) error {
		types := []listener.Type{listener.Private, listener.Public, listener.BlackHole}
		n, err := env.Choose(ctx, "Please select the type of listener you want to create.", 1,
			"Private", "Public", "Blackhole")
		if err != nil {
			return err
		}
		l := listener.New("", "", 25, types[n], env.Appliance.Product.Version)
		if err := env.Form(ctx,
			listenerName(&l.Name, *s),
			listenerInterface(env, &l),
			onlyFirst("Choose a protocol.", "QMQP is not simulated.", "SMTP", "QMQP"),
			listenerPort(env, &l, *s),
			shell.When(func() bool { return l.Type == listener.Public }, acceptedDomains(&l.Recipients)),
			shell.When(func() bool { return l.Type == listener.Private }, relayHosts(&l.Hosts)),
			func(ctx context.Context, d shell.Dialogue) error {
				printParameters(env, l.Hosts)
				change := false
				return d.Form(ctx,
					shell.YesNo(&change, "Would you like to change the default host access policy?"),
					shell.When(func() bool { return change }, parametersForm(&l.Hosts.Default,
						listener.HostTable{}.Effective(listener.Policy{}))))
			},
		); err != nil {
			return err
		}
		s.Listeners = append(s.Listeners, l)
		env.Printf("Listener %s created.\nDefaults have been set for a %s listener.\n"+
			"Use the listenerconfig->EDIT command to customize the listener.\n", l.Name, l.Type.Title())
		return nil
	})
}
