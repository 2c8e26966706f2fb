package commands

import (
	"context"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "shutdown",
	Summary: "Shut the system down and power it off.",
	Help:    "shutdown [seconds]\n\n" + powerHelp,
	Source:  "public (questions), invented (texts)",
	Roles:   []users.Role{users.Administrator, users.Operator, users.Technician},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return powerDialogue(ctx, env, appliance.Shutdown, "shut down",
			"System shutting down.  Please wait while the queue is being closed...\n"+
				"Closing CLI connection.\nThe system will power off automatically.")
	},
})
