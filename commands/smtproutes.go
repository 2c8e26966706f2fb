package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "smtproutes",
	Summary: "Configure to which servers the mail of a domain is delivered.",
	Help: "smtproutes new <domain> <hosts>\n" +
		"smtproutes edit <domain> <hosts>\n" +
		"smtproutes delete <domain>\n" +
		"smtproutes print\n" +
		"smtproutes clear\n" +
		"smtproutes import <file>\n" +
		"smtproutes export <file>\n\n" +
		"The domain is example.com, .example.com for all domains below it, or ALL. Hosts are separated\n" +
		"by commas. Each may be followed by a port (:26) and a priority (/pri=10): the lowest is tried\n" +
		"first. USEDNS stands for the servers that DNS names, /dev/null drops the mail.\n\n" +
		"Files are in the directory configuration. Each line has a domain and its hosts. Import replaces\n" +
		"all routes, export replaces the file.",
	Source: "public (operations, questions of NEW, result), invented (EDIT, DELETE, files, refusals)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Commit: true,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return smtpRoutesInline(env)
		}
		return env.Menu(ctx, func() shell.Menu {
			list := delivery.Routes.Get(env.Draft).List
			none := len(list) == 0
			return shell.Menu{
				Header: func() { env.Printf("\n%s\n", countOf(len(list), "routes")) },
				Items: []shell.Item{
					{Key: "NEW", Text: "Create a new route.", Run: withEnv(env, newSMTPRoute)},
					{Key: "EDIT", Text: "Edit an existing route.",
						Hidden: none, Run: withEnv(env, editSMTPRoute)},
					{Key: "DELETE", Text: "Remove a route.",
						Hidden: none, Run: withEnv(env, deleteSMTPRoute)},
					{Key: "PRINT", Text: "Display all routes.", Hidden: none,
						Run: func(context.Context) error { return printSMTPRoutes(env) }},
					{Key: "IMPORT", Text: "Import new routes from a file.", Unlisted: none,
						Run: withEnv(env, importSMTPRoutes)},
					{Key: "EXPORT", Text: "Export all routes to a file.", Hidden: none,
						Run: func(ctx context.Context) error {
							return exportTable(ctx, env, smtpRoutesText(list))
						}},
					{Key: "CLEAR", Text: "Remove all routes.",
						Hidden: none, Run: withEnv(env, clearSMTPRoutes)},
				},
			}
		})
	},
})

func newSMTPRoute(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Routes, func(l *delivery.RouteList) error {
		var r delivery.Route
		if err := env.Form(ctx, shell.Text(&r.Domain,
			"Enter the domain for which you want to set up a permanent route.\n"+
				"Partial hostnames such as \".example.com\" are allowed.\n"+
				"Use \"ALL\" for the default route.",
			func(domain string) error { return checkNewRoute(*l, domain) })); err != nil {
			return err
		}
		typed, err := askRouteHosts(ctx, env, &r, "")
		if err != nil {
			return err
		}
		l.List = append(l.List, r)
		env.PrintWrapped(fmt.Sprintf("Mapping for %s to %s created.", r.Domain, typed))
		return nil
	})
}

// checkNewRoute refuses a domain that is none, or that has a route.
func checkNewRoute(l delivery.RouteList, domain string) error {
	if err := delivery.CheckRouteDomain(domain); err != nil {
		return err
	}
	if routeIndex(l, domain) >= 0 {
		return refusal.Newf("There is already a route for %s.", domain)
	}
	return nil
}

// routeIndex returns the index of the route that is exactly for domain, or -1.
func routeIndex(l delivery.RouteList, domain string) int {
	return slices.IndexFunc(l.List,
		func(r delivery.Route) bool { return strings.EqualFold(r.Domain, domain) })
}

// askRouteHosts asks where a route leads, and returns the answer as it was typed.
func askRouteHosts(
	ctx context.Context, env *shell.Env, r *delivery.Route, present string) (string, error) {
	return env.Ask(ctx, fmt.Sprintf(
		"Enter the destination hosts, separated by commas, which you want mail\n"+
			"for %s to be delivered.\n"+
			"Enter USEDNS by itself to use normal DNS resolution for this route.\n"+
			"Enter /dev/null by itself if you wish to discard the mail.\n"+
			"Enclose in square brackets to force resolution via address (A)\n"+
			"records, ignoring any MX records.", r.Domain), present, r.SetHosts)
}

func editSMTPRoute(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Routes, func(l *delivery.RouteList) error {
		n, err := chooseSMTPRoute(ctx, env, *l, "edit")
		if err != nil {
			return err
		}
		r := &l.List[n]
		typed, err := askRouteHosts(ctx, env, r, r.HostsText())
		if err != nil {
			return err
		}
		env.PrintWrapped(fmt.Sprintf("Mapping for %s changed to %s.", r.Domain, typed))
		return nil
	})
}

func deleteSMTPRoute(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Routes, func(l *delivery.RouteList) error {
		n, err := chooseSMTPRoute(ctx, env, *l, "delete")
		if err != nil {
			return err
		}
		env.PrintWrapped(fmt.Sprintf("Mapping for %s removed.", l.List[n].Domain))
		l.List = slices.Delete(l.List, n, n+1)
		return nil
	})
}

func chooseSMTPRoute(
	ctx context.Context, env *shell.Env, l delivery.RouteList, verb string) (n int, err error) {
	_, err = env.Ask(ctx, "Enter the domain of the route that you want to "+verb+".", "",
		func(domain string) error {
			if n = routeIndex(l, domain); n < 0 {
				return refusal.Newf("The route for %s does not exist.", visible(domain))
			}
			return nil
		})
	return n, err
}

func printSMTPRoutes(env *shell.Env) error {
	env.Printf("%s", smtpRoutesText(delivery.Routes.Get(env.Draft).List))
	return nil
}

// smtpRoutesText returns the routes as PRINT and EXPORT write them, one a line.
func smtpRoutesText(list []delivery.Route) string {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "%s %s\n", r.Domain, r.HostsText())
	}
	return b.String()
}

func importSMTPRoutes(ctx context.Context, env *shell.Env) error {
	return importTable(ctx, env, func(text string) error { return replaceSMTPRoutes(env, text) })
}

// replaceSMTPRoutes replaces all routes by those of an imported text, if each of them is valid.
func replaceSMTPRoutes(env *shell.Env, text string) error {
	return editSection(env, delivery.Routes, func(l *delivery.RouteList) error {
		l.List = nil
		seen := map[string]bool{}
		err := eachTableLine(text, func(line string) error {
			domain, hosts, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
			r := delivery.Route{Domain: domain}
			if err := delivery.CheckRouteDomain(domain); err != nil {
				return err
			}
			if key := strings.ToLower(domain); seen[key] {
				return refusal.Newf("There is already a route for %s.", domain)
			} else {
				seen[key] = true
			}
			if err := r.SetHosts(hosts); err != nil {
				return err
			}
			l.List = append(l.List, r)
			return nil
		})
		if err == nil {
			env.Printf("%d routes imported.\n", len(l.List))
		}
		return err
	})
}

func clearSMTPRoutes(ctx context.Context, env *shell.Env) error {
	sure, err := env.Confirm(ctx, "Are you sure you want to remove all routes?", false)
	if err != nil || !sure {
		return err
	}
	return removeAllSMTPRoutes(env)
}

func removeAllSMTPRoutes(env *shell.Env) error {
	return editSection(env, delivery.Routes, func(l *delivery.RouteList) error {
		l.List = nil
		return nil
	})
}

// smtpRoutesInline executes the inline form.
func smtpRoutesInline(env *shell.Env) error {
	verb, args := strings.ToLower(env.Args[0]), env.Args[1:]
	takes, ok := map[string]int{
		"new": 2, "edit": 2, "delete": 1, "print": 0, "clear": 0, "import": 1, "export": 1,
	}[verb]
	if !ok {
		return shell.InvalidArgumentf(printable(env.Args[0]),
			"The operation must be new, edit, delete, print, clear, import or export.")
	}
	if len(args) < takes || takes < 2 && len(args) > takes {
		return shell.InvalidArgumentf(printable(strings.Join(env.Args, " ")),
			"The operation %s takes %d arguments.", verb, takes)
	}
	switch verb {
	case "print":
		return printSMTPRoutes(env)
	case "clear":
		return removeAllSMTPRoutes(env)
	case "export":
		text := smtpRoutesText(delivery.Routes.Get(env.Draft).List)
		return invalidArgument(args[0], writeConfigFile(env, args[0], text))
	case "import":
		text, err := readConfigFile(env, args[0])
		if err == nil {
			err = replaceSMTPRoutes(env, text)
		}
		return invalidArgument(args[0], err)
	}
	return putSMTPRouteInline(env, verb, args)
}

// putSMTPRouteInline executes new, edit and delete.
func putSMTPRouteInline(env *shell.Env, verb string, args []string) error {
	domain, hosts := args[0], strings.Join(args[1:], " ")
	return editSection(env, delivery.Routes, func(l *delivery.RouteList) error {
		n := routeIndex(*l, domain)
		if verb == "new" {
			if err := checkNewRoute(*l, domain); err != nil {
				return invalidArgument(domain, err)
			}
			n = len(l.List)
			l.List = append(l.List, delivery.Route{Domain: domain})
		}
		if n < 0 {
			return shell.InvalidArgumentf(printable(domain), "The route does not exist.")
		}
		r := &l.List[n]
		if verb != "delete" {
			if err := r.SetHosts(hosts); err != nil {
				return invalidArgument(hosts, err)
			}
		}
		switch verb {
		case "new":
			env.PrintWrapped(fmt.Sprintf("Mapping for %s to %s created.", r.Domain, hosts))
		case "edit":
			env.PrintWrapped(fmt.Sprintf("Mapping for %s changed to %s.", r.Domain, hosts))
		default:
			env.PrintWrapped(fmt.Sprintf("Mapping for %s removed.", r.Domain))
			l.List = slices.Delete(l.List, n, n+1)
		}
		return nil
	})
}
