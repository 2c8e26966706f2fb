package commands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "dnsconfig",
	Summary: "Configure DNS setup.",
	Help: "dnsconfig [print]\n" +
		"dnsconfig parent new address[,address...] [priority]\n" +
		"dnsconfig parent delete address\n" +
		"dnsconfig alt new domain[,domain...] address[,address...]\n" +
		"dnsconfig alt delete domain\n" +
		"dnsconfig roots\n" +
		"dnsconfig roots new domain host address\n" +
		"dnsconfig roots delete domain [host]\n\n" +
		"parent configures your own DNS servers, alt those of single domains. roots removes all\n" +
		"servers and uses the Internet's root servers; roots new then adds the server of a domain.",
	Source: "public (list, questions of SETUP, operations, inline form), invented (other questions)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Commit: true,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return changeDNSInline(env)
		}
		type change func(context.Context, *shell.Env, *resolver.Settings) error
		edit := func(f change) func(context.Context) error {
			return func(ctx context.Context) error {
				return editSection(env, resolver.DNS, func(s *resolver.Settings) error {
					return f(ctx, env, s)
				})
			}
		}
		return env.Menu(ctx, func() shell.Menu {
			s := resolver.DNS.Get(env.Draft)
			none := len(listedServers(s)) == 0
			return shell.Menu{
				Header: func() {
					env.Printf("\n")
					printDNS(env, s)
				},
				Items: []shell.Item{
					{Key: "NEW", Text: "Add a new server.", Run: edit(newServer)},
					{Key: "EDIT", Text: "Edit a server.", Hidden: none, Run: edit(editServer)},
					{Key: "DELETE", Text: "Remove a server.", Hidden: none, Run: edit(deleteServer)},
					{Key: "SETUP", Text: "Configure general settings.", Run: edit(setUpDNS)},
				},
			}
		})
	},
})

// A listedServer is a line of the list: either a server or an alternate.
type listedServer struct {
	server    int // index in Settings.Servers; -1 for an alternate
	alternate int // index in Settings.Alternates; -1 for a server
	addr      netip.Addr
	text      string
}

// listedServers returns the servers that are in use, in the order of their numbers.
func listedServers(s resolver.Settings) (list []listedServer) {
	for i, srv := range s.Servers {
		if !s.UseRoots {
			text := fmt.Sprintf("Priority: %d  %v", srv.Priority, srv.Addr)
			list = append(list, listedServer{i, -1, srv.Addr, text})
		}
	}
	for i, a := range s.Alternates {
		text := fmt.Sprintf("Domain: %s  %v", a.Domain, a.Addr)
		if a.Host != "" {
			text += " (" + a.Host + ")"
		}
		list = append(list, listedServer{-1, i, a.Addr, text})
	}
	return list
}

func printDNS(env *shell.Env, s resolver.Settings) {
	local := "Currently using the local DNS cache servers:"
	switch {
	case s.UseRoots:
		local = "Currently using the Internet root DNS servers."
	case len(s.Servers) == 0:
		local = "No DNS servers configured."
	}
	env.Printf("%s\n", local)
	titled := false
	for n, l := range listedServers(s) {
		if l.alternate >= 0 && !titled {
			env.Printf("\nAlternate authoritative servers:\n")
			titled = true
		}
		env.Printf("%d. %s\n", n+1, l.text)
	}
	if s.UseRoots && !titled {
		env.Printf("\nNo alternate authoritative servers configured.\n")
	}
}

func newServer(ctx context.Context, env *shell.Env, s *resolver.Settings) error {
	if !s.UseRoots {
		kind, err := env.Choose(ctx, "Which kind of server do you want to add?", 0,
			"Local DNS cache server", "Alternate authoritative server for a domain")
		if err != nil {
			return err
		}
		if kind == 0 {
			return newLocalServers(ctx, env, s)
		}
	}
	var a resolver.Alternate
	if err := env.Form(ctx, domainField(&a)); err != nil {
		return err
	}
	addrs, err := askServerAddrs(ctx, env, "the DNS server for "+a.Domain, "")
	if err != nil {
		return err
	}
	addAlternates(s, a, addrs)
	return nil
}

// addAlternates adds servers of a domain. A server that exists already gets the new host name.
func addAlternates(s *resolver.Settings, a resolver.Alternate, addrs []netip.Addr) {
	s.Alternates = slices.DeleteFunc(s.Alternates, func(o resolver.Alternate) bool {
		return o.Domain == a.Domain && slices.Contains(addrs, o.Addr)
	})
	for _, a.Addr = range addrs {
		s.Alternates = append(s.Alternates, a)
	}
}

func editServer(ctx context.Context, env *shell.Env, s *resolver.Settings) error {
	l, err := chooseServer(ctx, env, *s, "edit")
	if err != nil {
		return err
	}
	if l.server >= 0 {
		srv := s.Servers[l.server]
		if err := env.Form(ctx, addrField(&srv.Addr, "your DNS server")); err != nil {
			return err
		}
		if err := env.Form(ctx, priorityField(&srv.Priority, []netip.Addr{srv.Addr})); err != nil {
			return err
		}
		s.Servers = slices.Delete(s.Servers, l.server, l.server+1)
		addServers(s, []netip.Addr{srv.Addr}, srv.Priority)
		return nil
	}
	a := s.Alternates[l.alternate]
	if err := env.Form(ctx, domainField(&a)); err != nil {
		return err
	}
	if err := env.Form(ctx, addrField(&a.Addr, "the DNS server for "+a.Domain)); err != nil {
		return err
	}
	s.Alternates = slices.Delete(s.Alternates, l.alternate, l.alternate+1)
	addAlternates(s, a, []netip.Addr{a.Addr})
	return nil
}

func deleteServer(ctx context.Context, env *shell.Env, s *resolver.Settings) error {
	l, err := chooseServer(ctx, env, *s, "remove")
	switch {
	case err != nil:
		return err
	case l.server < 0:
		s.Alternates = slices.Delete(s.Alternates, l.alternate, l.alternate+1)
	case len(s.Servers) == 1:
		return errLastServer
	default:
		s.Servers = slices.Delete(s.Servers, l.server, l.server+1)
	}
	return nil
}

var errLastServer = refusal.New("The only DNS server cannot be removed. " +
	"To do without one, use the Internet's root DNS servers.")

// chooseServer asks for a server by its number in the list or by its address.
func chooseServer(ctx context.Context, env *shell.Env, s resolver.Settings, verb string) (
	chosen listedServer, err error) {
	list := listedServers(s)
	question := fmt.Sprintf("Enter the number of the server that you want to %s.", verb)
	_, err = env.Ask(ctx, question, "", func(answer string) error {
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(list) {
			chosen = list[n-1]
			return nil
		}
		a, err := netip.ParseAddr(answer)
		named := slices.DeleteFunc(slices.Clone(list), func(l listedServer) bool { return l.addr != a })
		if err != nil || len(named) != 1 { // the server of several domains is listed several times
			return refusal.Newf(
				"The value must be an integer from 1 to %d, or the address of one server.", len(list))
		}
		chosen = named[0]
		return nil
	})
	return chosen, err
}

// addrField asks for the address of a server, which the question calls name.
func addrField(dst *netip.Addr, name string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		question := "Please enter the IP address of " + name + "."
		_, err := d.Ask(ctx, question, dst.String(), func(answer string) error {
			addrs, err := parseServerAddrs(answer)
			if err != nil || len(addrs) > 1 {
				return refusal.New("The value must be an IPv4 or IPv6 address.")
			}
			*dst = addrs[0]
			return nil
		})
		return err
	}
}

// domainField asks for the domain of an alternate server and for the server's name.
func domainField(a *resolver.Alternate) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		question := `Please enter the domain for which the server is authoritative (Ex: "example.com").`
		_, err := d.Ask(ctx, question, a.Domain, func(answer string) (err error) {
			a.Domain, err = parseDomain(answer)
			return err
		})
		if err != nil {
			return err
		}
		question = "Please enter the host name of the DNS server, if it has one."
		_, err = d.Ask(ctx, question, a.Host, func(answer string) error {
			a.Host = ""
			if answer == "" {
				return nil
			}
			host, err := parseDomain(answer)
			a.Host = host
			return err
		})
		return err
	}
}

// parseDomain parses the name of a domain. Its error is a refusal.
func parseDomain(text string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if !resolver.ValidDomain(name) {
		return "", refusal.New("The value must be the name of a domain, such as example.com.")
	}
	return name, nil
}

// setUpDNS asks for the general settings.
func setUpDNS(ctx context.Context, env *shell.Env, s *resolver.Settings) error {
	if err := chooseDNSServers(ctx, env, &s.UseRoots); err != nil {
		return err
	}
	if !s.UseRoots && len(s.Servers) == 0 {
		if err := newLocalServers(ctx, env, s); err != nil {
			return err
		}
	}
	return env.Form(ctx,
		sourceInterface(env, &s.Interface, "Choose the IP interface for DNS traffic."),
		shell.Number(&s.PTRTimeout,
			"Enter the number of seconds to wait before timing out reverse DNS lookups.", 0, 300),
		shell.Number(&s.MinimumTTL, "Enter the minimum TTL in seconds for DNS cache.", 0, 86400),
	)
}

// newLocalServers asks for own DNS servers and adds them.
func newLocalServers(ctx context.Context, env *shell.Env, s *resolver.Settings) error {
	addrs, err := askServerAddrs(ctx, env, "your DNS server", "")
	if err != nil {
		return err
	}
	priority := 0
	if err := env.Form(ctx, priorityField(&priority, addrs)); err != nil {
		return err
	}
	addServers(s, addrs, priority)
	return nil
}

func priorityField(dst *int, addrs []netip.Addr) shell.Field {
	names := make([]string, len(addrs))
	for i, a := range addrs {
		names[i] = a.String()
	}
	return shell.Number(dst, fmt.Sprintf(
		"Please enter the priority for %s.\nServers with a lower number are asked first.",
		strings.Join(names, ", ")), 0, resolver.MaxPriority)
}
