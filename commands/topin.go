package commands

import (
	"context"
	"fmt"

	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "topin",
	Summary: "Display the top hosts by number of incoming connections.",
	Help: "topin\n\n" + foldHelp("Lists the 20 addresses with the most open connections to a "+
		"listener. An address without a verified name stands in place of the name."),
	Source: "public",
	Mode:   shell.MachineMode,
	Run: func(_ context.Context, env *shell.Env) error {
		const maxRows = 20
		list := env.Appliance.Metrics.Clients()
		env.Printf("Status as of:                   %s\n",
			env.Appliance.Now().Format("Mon Jan _2 15:04:05 2006"))
		const row = "%-2s %-26s %-17s %-15s %8s\n"
		env.Printf(row, "#", "Remote hostname", "Remote IP addr.", "listener", "Conn. In")
		for i, c := range list[:min(len(list), maxRows)] {
			env.Printf(row, fmt.Sprint(i+1), printable(c.Host), c.Addr.String(), printable(c.Listener),
				fmt.Sprint(c.Connections))
		}
		return nil
	},
})
