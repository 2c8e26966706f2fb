package commands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "routeconfig",
	Summary: "Configure static routes.",
	Help: "routeconfig new [4|6] <name> <destination> <gateway>\n" +
		"routeconfig edit [4|6] <name> <new name> <destination> <gateway>\n" +
		"routeconfig delete [4|6] <name>\n" +
		"routeconfig clear [4|6]\n" +
		"routeconfig print [4|6]\n\n" +
		"4 and 6 are the IP version. Without it, new and edit take the version of the addresses, and\n" +
		"the other operations apply to both versions.",
	Source: "public (operations, questions, list), invented (IP version, inline form, refusals)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Commit: true,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return routesInline(env)
		}
		v6 := false
		if supportsIPv6(env) {
			n, err := env.Choose(ctx, "Configure routes for:", 0, "IPv4", "IPv6")
			if err != nil {
				return err
			}
			v6 = n == 1
		}
		d := routeDialogue{env, v6}
		return env.Menu(ctx, func() shell.Menu {
			none := len(d.routes()) == 0
			return shell.Menu{
				Header: func() {
					env.Printf("\n")
					printRoutes(env, d.routes())
				},
				Items: []shell.Item{
					{Key: "NEW", Text: "Create a new route.", Run: d.create},
					{Key: "EDIT", Text: "Modify a route.", Hidden: none, Run: d.edit},
					{Key: "DELETE", Text: "Remove a route.", Hidden: none, Run: d.remove},
					{Key: "CLEAR", Text: "Clear all routes.", Hidden: none, Run: d.clear},
				},
			}
		})
	},
})

// printRoutes prints the list above the operations.
func printRoutes(env *shell.Env, routes []netconfig.StaticRoute) {
	env.Printf("Currently configured routes:\n")
	for i, r := range routes {
		env.PrintWrapped(fmt.Sprintf("%d. %s Destination: %s Gateway: %v",
			i+1, r.Name, users.FormatNetwork(r.Destination), r.Gateway))
	}
}

// A routeDialogue holds the operations on the routes of one IP version.
type routeDialogue struct {
	env *shell.Env
	v6  bool
}

func (d routeDialogue) version() string {
	if d.v6 {
		return "IPv6"
	}
	return "IPv4"
}

// routes returns the draft's routes of this version.
func (d routeDialogue) routes() []netconfig.StaticRoute {
	all := netconfig.Routes.Get(d.env.Draft).List
	return slices.DeleteFunc(all, func(r netconfig.StaticRoute) bool {
		return r.Destination.Addr().Is6() != d.v6
	})
}

func (d routeDialogue) create(ctx context.Context) error {
	var r netconfig.StaticRoute
	if err := d.ask(ctx, &r); err != nil {
		return err
	}
	return putRoute(d.env, "", r)
}

func (d routeDialogue) edit(ctx context.Context) error {
	r, err := d.choose(ctx, "Enter the name or number of the route you wish to edit.")
	if err != nil {
		return err
	}
	was := r.Name
	if err := d.ask(ctx, &r); err != nil {
		return err
	}
	return putRoute(d.env, was, r)
}

func (d routeDialogue) remove(ctx context.Context) error {
	r, err := d.choose(ctx, "Enter the name or number of the route you wish to delete.")
	if err != nil {
		return err
	}
	return deleteRoutes(d.env, func(o netconfig.StaticRoute) bool { return o.Name == r.Name })
}

func (d routeDialogue) clear(ctx context.Context) error {
	sure, err := d.env.Confirm(ctx,
		"Are you sure you want to remove all "+d.version()+" routes?", false)
	if err != nil || !sure {
		return err
	}
	return deleteRoutes(d.env, func(r netconfig.StaticRoute) bool {
		return r.Destination.Addr().Is6() == d.v6
	})
}

func (d routeDialogue) choose(ctx context.Context, question string) (netconfig.StaticRoute, error) {
	routes := d.routes()
	names := make([]string, len(routes))
	for i, r := range routes {
		names[i] = r.Name
	}
	n, err := chooseByName(ctx, d.env, question, names, "route")
	if err != nil {
		return netconfig.StaticRoute{}, err
	}
	return routes[n], nil
}

// ask asks the questions that NEW and EDIT share.
func (d routeDialogue) ask(ctx context.Context, r *netconfig.StaticRoute) error {
	was, destination, gateway := r.Name, "", ""
	if r.Destination.IsValid() {
		destination, gateway = users.FormatNetwork(r.Destination), r.Gateway.String()
	}
	example := "192.168.42.0/24"
	if d.v6 {
		example = "2001:db8:42::/48"
	}
	others := netconfig.Routes.Get(d.env.Draft).List
	others = slices.DeleteFunc(others, func(o netconfig.StaticRoute) bool { return o.Name == was })
	return d.env.Form(ctx,
		shell.Text(&r.Name, "Please create a name for the route:", func(name string) error {
			return checkRouteName(name, others)
		}),
		shell.Text(&destination, "Please enter the destination "+d.version()+" address to match on.\n"+
			"CIDR addresses such as "+example+" are also allowed.",
			func(answer string) (err error) {
				r.Destination, err = parseDestination(answer, d.v6, others)
				return err
			}),
		func(ctx context.Context, to shell.Dialogue) error {
			question := "Please enter the gateway IP address for traffic to " +
				users.FormatNetwork(r.Destination) + ":"
			return to.Form(ctx, shell.Text(&gateway, question, func(answer string) (err error) {
				r.Gateway, err = parseHostAddr(answer, d.v6)
				return err
			}))
		},
	)
}

func checkRouteName(name string, others []netconfig.StaticRoute) error {
	for _, o := range others {
		if strings.EqualFold(o.Name, name) {
			return refusal.Newf("There is already a route with the name %s.", name)
		}
	}
	return checkObjectName(name)
}

// parseDestination parses an address, or a network in CIDR form. It refuses a destination that
// one of the other routes has.
func parseDestination(text string, v6 bool, others []netconfig.StaticRoute) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if a, bad := netip.ParseAddr(text); bad == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	version, example := "IPv4", "192.168.42.0/24"
	if v6 {
		version, example = "IPv6", "2001:db8:42::/48"
	}
	switch {
	case err != nil || p.Addr().Is6() != v6 || p.Addr().Is4In6():
		return p, refusal.Newf("The destination must be an %s address, or a network such as %s.",
			version, example)
	case p != p.Masked():
		return p, refusal.Newf("%v is not a network: enter %v, or a single address.", p, p.Masked())
	case p.Bits() == 0:
		return p, refusal.New("The default route is set with the command setgateway.")
	case p.Addr().IsUnspecified() || p.Addr().IsMulticast() ||
		p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast():
		return p, refusal.Newf("%v cannot be reached through a gateway.", p)
	}
	for _, o := range others {
		if o.Destination == p {
			return p, refusal.Newf("The route %s already has the destination %s.",
				o.Name, users.FormatNetwork(p))
		}
	}
	return p, nil
}

// putRoute replaces the route called was by r. If was is empty, putRoute adds r.
func putRoute(env *shell.Env, was string, r netconfig.StaticRoute) error {
	return editSection(env, netconfig.Routes, func(v *netconfig.RouteList) error {
		i := slices.IndexFunc(v.List, func(o netconfig.StaticRoute) bool { return o.Name == was })
		if i < 0 {
			v.List = append(v.List, r)
		} else {
			v.List[i] = r
		}
		return nil
	})
}

func deleteRoutes(env *shell.Env, which func(netconfig.StaticRoute) bool) error {
	return editSection(env, netconfig.Routes, func(v *netconfig.RouteList) error {
		v.List = slices.DeleteFunc(v.List, which)
		return nil
	})
}

// routesInline executes the inline form.
func routesInline(env *shell.Env) error {
	verb, args := strings.ToLower(env.Args[0]), env.Args[1:]
	takes, ok := map[string]int{"new": 3, "edit": 4, "delete": 1, "clear": 0, "print": 0}[verb]
	if !ok {
		return shell.InvalidArgumentf(env.Args[0],
			"The operation must be new, edit, delete, clear or print.")
	}
	version := ""
	if len(args) == takes+1 {
		if version, args = args[0], args[1:]; version != "4" && version != "6" {
			return shell.InvalidArgumentf(version, "The IP version must be 4 or 6.")
		}
	}
	if len(args) != takes {
		return shell.InvalidArgumentf(strings.Join(env.Args, " "),
			"The operation %s takes %d arguments, and the IP version before them.", verb, takes)
	}
	if version == "6" && !supportsIPv6(env) {
		return shell.InvalidArgumentf(version, "This version supports IPv4 only.")
	}
	switch all := netconfig.Routes.Get(env.Draft).List; verb {
	case "print":
		printRoutes(env, slices.DeleteFunc(all, func(r netconfig.StaticRoute) bool {
			return !ofVersion(r, version)
		}))
		return nil
	case "clear":
		return deleteRoutes(env, func(r netconfig.StaticRoute) bool { return ofVersion(r, version) })
	case "new":
		return putRouteInline(env, "", version, args, all)
	default:
		i := slices.IndexFunc(all, func(r netconfig.StaticRoute) bool {
			return strings.EqualFold(r.Name, args[0]) && ofVersion(r, version)
		})
		if i < 0 {
			return shell.InvalidArgumentf(args[0], "The route does not exist.")
		}
		was := all[i].Name
		if verb == "delete" {
			return deleteRoutes(env, func(r netconfig.StaticRoute) bool { return r.Name == was })
		}
		return putRouteInline(env, was, version, args[1:], slices.Delete(all, i, i+1))
	}
}

// ofVersion reports whether r is of an IP version. The empty version stands for both.
func ofVersion(r netconfig.StaticRoute, version string) bool {
	return version == "" || (version == "6") == r.Destination.Addr().Is6()
}

// putRouteInline parses the name, the destination and the gateway of a route, and replaces the
// route called was, or adds a new one.
func putRouteInline(
	env *shell.Env, was, version string, args []string, others []netconfig.StaticRoute) (err error) {
	r := netconfig.StaticRoute{Name: args[0]}
	v6 := version == "6" || version == "" && supportsIPv6(env) && strings.Contains(args[1], ":")
	if err := checkRouteName(r.Name, others); err != nil {
		return invalidArgument(r.Name, err)
	}
	if r.Destination, err = parseDestination(args[1], v6, others); err != nil {
		return invalidArgument(args[1], err)
	}
	if r.Gateway, err = parseHostAddr(args[2], v6); err != nil {
		return invalidArgument(args[2], err)
	}
	return putRoute(env, was, r)
}
