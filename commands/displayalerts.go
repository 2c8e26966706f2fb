package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "displayalerts",
	Summary: "Display the last alerts that were sent.",
	Help: "displayalerts [number]\n\n" +
		"The newest alert is shown first. Without a number all stored alerts are displayed.",
	Source: "cli.md",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		list := env.Appliance.Alerts.Alerts()
		switch len(env.Args) {
		case 0:
		case 1:
			n, err := strconv.Atoi(env.Args[0])
			if err != nil || n < 1 {
				return shell.InvalidArgumentf(env.Args[0], "The number of alerts must be a positive integer.")
			}
			list = list[:min(n, len(list))]
		default:
			return shell.InvalidArgumentf(env.Args[1], "The only argument is the number of alerts.")
		}
		if len(list) == 0 {
			env.Printf("There are no alerts.\n")
			return nil
		}
		out := env.Pager(ctx)
		_, err := fmt.Fprintf(out, "%-30sDescription\n%s\n",
			"Date and Time Stamp", strings.Repeat("-", 80))
		for _, a := range list {
			if err == nil {
				_, err = fmt.Fprint(out, alertLines(a, env))
			}
		}
		return err
	},
})

// alertLines returns the lines that displayalerts prints for an alert.
func alertLines(a alert.Alert, env *shell.Env) string {
	zone := env.Appliance.Zone()
	stamp := a.Time.In(zone).Format("02 Jan 2006 15:04:05 -0700")
	lines := fmt.Sprintf("%-30s%s\n", stamp, visible(a.Text))
	if a.Repeats != nil {
		lines += a.Repeats.Text(zone) + "\n"
	}
	return lines
}
