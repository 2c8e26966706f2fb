package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "resetcounters",
	Summary: "Reset all of the counters in the system.",
	Help: "resetcounters\n\n" + foldHelp("Starts the column Reset of status and status detail "+
		"at zero. The other columns go on."),
	Source: "mail.md",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Run: func(_ context.Context, env *shell.Env) error {
		at := env.Appliance.Metrics.Reset().In(env.Appliance.Zone())
		env.Printf("Counters reset: %s\n", at.Format("Mon Jan 02 15:04:05 2006"))
		return nil
	},
})
