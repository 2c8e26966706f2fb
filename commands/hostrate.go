package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "hostrate",
	Summary: "Monitor activity for a given host.",
	Help: "hostrate <domain> [seconds]\n\n" + foldHelp("Displays the state of a destination, its "+
		"connections and active recipients, and what was delivered and bounced since the line "+
		"before, at this interval until Ctrl-C is pressed."),
	Source: "public (inline form), mail.md (columns), invented (questions)",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		seconds, domain := defaultInterval, ""
		var err error
		switch {
		case len(env.Args) > 2:
			err = shell.InvalidArgumentf(printable(env.Args[2]),
				"The arguments are a domain and the number of seconds.")
		case len(env.Args) == 2:
			seconds, err = intervalArgument(env.Args[1])
		case len(env.Args) == 0 && env.Inline:
			err = shell.InvalidArgumentf("", "A domain is required.")
		case len(env.Args) == 0:
			err = env.Form(ctx, recipientHostQuestion(&domain), intervalQuestion(&seconds))
		}
		if err == nil && len(env.Args) > 0 {
			domain, err = recipientHostArgument(env.Args[0])
		}
		if err != nil {
			return err
		}
		return displayEvery(ctx, env, seconds, hostRateHeading, hostRateLine(env, domain))
	},
})

const hostRateHeading = " Time      Host    CrtCncOut   ActvRcp  ActvRcp   DlvRcp  HrdBncRcp  SftBncEvt\n" +
	"           Status                         Delta    Delta      Delta      Delta"

// hostRateLine returns a function that prints a line. Its differences are to the line before.
func hostRateLine(env *shell.Env, domain string) func() {
	var last [4]int64
	first := true
	return func() {
		d, _ := env.Appliance.Destination(domain)
		now := [4]int64{
			int64(d.Active()), int64(d.Count(metrics.DeliveredRecipients)),
			int64(d.Count(metrics.HardBounces)), int64(d.Count(metrics.SoftBounces)),
		}
		if first {
			first, last = false, now
		}
		env.Printf(" %s %6s %11d %9d %8d %8d %10d %10d\n", env.Appliance.Now().Format("15:04:05"),
			d.State, d.Connections, d.Active(),
			now[0]-last[0], now[1]-last[1], now[2]-last[2], now[3]-last[3])
		last = now
	}
}
