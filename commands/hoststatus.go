package commands

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "hoststatus",
	Summary: "Get the status of the given hostname.",
	Help: "hoststatus <domain>\n\n" + foldHelp("Shows what happened to the mail for a domain "+
		"since the system came up, what waits for it, and the servers that the DNS cache knows."),
	Source: "public (first lines), mail.md (the rest), invented (question)",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		domain := ""
		var err error
		switch {
		case len(env.Args) > 1:
			err = shell.InvalidArgumentf(printable(env.Args[1]), "The only argument is a domain.")
		case len(env.Args) == 1:
			domain, err = recipientHostArgument(env.Args[0])
		case env.Inline:
			err = shell.InvalidArgumentf("", "A domain is required.")
		default:
			err = env.Form(ctx, recipientHostQuestion(&domain))
		}
		if err != nil {
			return err
		}
		d, _ := env.Appliance.Destination(domain)
		printHostCounters(env, domain, &d)
		printExchangers(env, domain)
		printLast5XX(env, &d)
		return nil
	},
})

// hostCounters are the rows of the counters before and after the kinds of hard bounces.
var hostCounters = [2][]figureRow{{
	{label: "  Queue", heading: true},
	{label: "    Soft Bounced Events", counter: metrics.SoftBounces},
	{label: "  Completion", heading: true},
	{label: "    Completed Recipients", counter: metrics.CompletedRecipients},
	{label: "      Hard Bounced Recipients", counter: metrics.HardBounces},
}, {
	{label: "      Delivered Recipients", counter: metrics.DeliveredRecipients},
	{label: "      Deleted Recipients", counter: metrics.DeletedRecipients},
}}

func printHostCounters(env *shell.Env, domain string, d *appliance.Destination) {
	env.Printf("Host mail status for: '%s'\n", domain)
	env.Printf("Status as of: %s\n", moment(env, env.Appliance.Now()))
	env.Printf("Host up/down: %s\n", d.State)
	env.Printf("Counters:\n")
	for _, row := range slices.Concat(hostCounters[0], hardBounceKinds, hostCounters[1]) {
		if row.heading {
			env.Printf("%s\n", row.label)
		} else {
			printFigures(env, row.label, thousands(d.Count(row.counter)))
		}
	}
	env.Printf("Gauges:\n  Queue\n")
	printFigures(env, "    Active Recipients", count(d.Active()))
	printFigures(env, "      Unattempted Recipients", count(d.Unattempted))
	printFigures(env, "      Attempted Recipients", count(d.Attempted))
	env.Printf("  Connections\n")
	printFigures(env, "    Current Outbound Connections", count(d.Connections))
	pending := max(env.Appliance.MTA.Delivery.Connections(domain)-d.Connections, 0)
	printFigures(env, "    Pending Outbound Connections", count(pending))
	env.Printf("%-21s %s\n", "Oldest Message", oldestText(d.OldestMID, d.OldestAge))
	activity := "Never"
	if !d.LastActivity.IsZero() {
		activity = moment(env, d.LastActivity)
	}
	env.Printf("%-21s %s\n", "Last Activity", activity)
}

// An exchanger is a mail server of a destination, as the DNS cache or an SMTP route has it.
type exchanger struct {
	preference int
	name       string
	ttl        time.Duration // of the MX record
}

// printExchangers prints the servers of a destination, without asking the DNS.
func printExchangers(env *shell.Env, domain string) {
	list := cachedExchangers(env, domain)
	servers := list
	route, ok := delivery.Routes.Get(env.Appliance.Config.Committed()).Find(domain)
	if ok && (route.Discard || len(route.Hosts) > 0) {
		servers = nil
		for _, h := range route.Hosts {
			servers = append(servers, exchanger{preference: h.Priority, name: strings.Trim(h.Name, "[]")})
		}
	} else if len(servers) == 0 {
		servers = []exchanger{{name: strings.Trim(domain, "[]")}}
	}
	printAddresses(env, servers)
	if len(list) == 0 {
		return
	}
	env.Printf("MX Records:\n    Preference   TTL      Hostname\n")
	for _, x := range list {
		env.Printf("    %-12d %-8s %s\n", x.preference, x.ttl, x.name)
	}
}

// printAddresses prints the known addresses of servers and when the first of them expires.
func printAddresses(env *shell.Env, servers []exchanger) {
	var rows strings.Builder
	var expiry time.Duration
	for _, x := range servers {
		if a, err := netip.ParseAddr(x.name); err == nil {
			fmt.Fprintf(&rows, "    %-12d %s\n", x.preference, a)
			continue
		}
		for _, kind := range []string{"A", "AAAA"} {
			for _, r := range env.Appliance.Resolver.Cached(x.name, kind) {
				ttl := time.Duration(r.TTL) * time.Second
				expiry = min(cmp.Or(expiry, ttl), ttl)
				fmt.Fprintf(&rows, "    %-12d %s\n", x.preference, r.Data)
			}
		}
	}
	if rows.Len() == 0 {
		return
	}
	until := ""
	if expiry > 0 {
		until = " (expiring at " + moment(env, env.Appliance.Now().Add(expiry)) + ")"
	}
	env.Printf("Ordered IP addresses:%s\n    Preference   IPs\n%s", until, &rows)
}

// cachedExchangers returns the MX records of a domain that the DNS cache has, by preference.
func cachedExchangers(env *shell.Env, domain string) (list []exchanger) {
	for _, r := range env.Appliance.Resolver.Cached(domain, "MX") {
		preference, name, _ := strings.Cut(r.Data, " ")
		n, err := strconv.Atoi(preference)
		if err != nil {
			continue
		}
		ttl := time.Duration(r.TTL) * time.Second
		list = append(list, exchanger{n, strings.TrimSuffix(name, "."), ttl})
	}
	slices.SortStableFunc(list, func(a, b exchanger) int { return a.preference - b.preference })
	return list
}

// printLast5XX prints the last reply that refused mail for good, if there was one.
func printLast5XX(env *shell.Env, d *appliance.Destination) {
	if d.Last5XXAt.IsZero() {
		return
	}
	env.Printf("Last 5XX Error:\n----------\n")
	for _, line := range d.Last5XX.Lines {
		env.Printf("%d %s\n", d.Last5XX.Code, printable(line))
	}
	env.Printf("(at %s)\n----------\n", moment(env, d.Last5XXAt))
}
