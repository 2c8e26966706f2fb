package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "tophosts",
	Summary: "Display the top hosts by queue size.",
	Help: "tophosts [active_rcpts | conn_out | deliv_recip | hard_bounced | soft_bounced]\n\n" +
		foldHelp("Lists the 20 destinations with the most active recipients, connections, or "+
			"recipients that were delivered or bounced, and the queues inside the appliance."),
	Source: "public (heading, rows, active_rcpts), mail.md (choices, other words)",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		by := 0
		var err error
		switch {
		case len(env.Args) > 1:
			err = shell.InvalidArgumentf(printable(env.Args[1]), "The only argument is the order.")
		case len(env.Args) == 1:
			by = slices.IndexFunc(hostOrders, func(o hostOrder) bool { return o.word == env.Args[0] })
			if by < 0 {
				err = shell.InvalidArgumentf(printable(env.Args[0]), "The order is one of: "+
					"active_rcpts, conn_out, deliv_recip, hard_bounced, soft_bounced.")
			}
		case !env.Inline:
			var choices []string
			for _, o := range hostOrders {
				choices = append(choices, o.choice)
			}
			by, err = env.Choose(ctx, "Sort results by:", 0, choices...)
		}
		if err == nil {
			printTopHosts(env, hostOrders[by].value)
		}
		return err
	},
})

// A hostOrder is an order of destinations, the largest value first.
type hostOrder struct {
	word, choice string
	value        func(appliance.Destination) int
}

var hostOrders = []hostOrder{
	{"active_rcpts", "Active Recipients", appliance.Destination.Active},
	{"conn_out", "Connections Out", func(d appliance.Destination) int { return d.Connections }},
	{"deliv_recip", "Delivered Recipients", counterOf(metrics.DeliveredRecipients)},
	{"hard_bounced", "Hard Bounced Recipients", counterOf(metrics.HardBounces)},
	{"soft_bounced", "Soft Bounced Events", counterOf(metrics.SoftBounces)},
}

func counterOf(c metrics.Counter) func(appliance.Destination) int {
	return func(d appliance.Destination) int { return int(d.Count(c)) }
}

const maxTopHosts = 20

// printTopHosts prints the first destinations, those of equal value by name, and then the queues
// inside the appliance, which the list always has.
func printTopHosts(env *shell.Env, value func(appliance.Destination) int) {
	list := env.Appliance.Destinations()
	slices.SortStableFunc(list, func(a, b appliance.Destination) int {
		return cmp.Compare(value(b), value(a))
	})
	list = list[:min(len(list), maxTopHosts)]
	for _, name := range appliance.InternalDestinations() {
		list = append(list, appliance.Destination{Host: metrics.Host{Domain: name}})
	}
	env.Printf("Status as of:                   %s\n", moment(env, env.Appliance.Now()))
	env.Printf("Hosts marked with '*' were down as of the last delivery attempt.\n")
	const row = "%-3s %-25s %6s %6s %10s %10s %10s\n"
	env.Printf(row, "", "", "Active", "Conn.", "Deliv.", "Soft", "Hard")
	env.Printf(row, "#", "Recipient Host", "Recip.", "Out", "Recip.", "Bounced", "Bounced")
	for i, d := range list {
		number := fmt.Sprint(i + 1)
		if d.State == metrics.HostDown {
			number += "*"
		}
		env.Printf(row, number, printable(d.Domain), fmt.Sprint(d.Active()), fmt.Sprint(d.Connections),
			fmt.Sprint(d.Count(metrics.DeliveredRecipients)), fmt.Sprint(d.Count(metrics.SoftBounces)),
			fmt.Sprint(d.Count(metrics.HardBounces)))
	}
}
