package commands

import (
	"context"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "reboot",
	Summary: "Restart the system.",
	Help:    "reboot [seconds]\n\n" + powerHelp,
	Source:  "public (questions), invented (texts)",
	Roles:   []users.Role{users.Administrator, users.Operator, users.Technician},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return powerDialogue(ctx, env, appliance.Reboot, "reboot",
			"System rebooting.  Please wait while the queue is being closed...\nClosing CLI connection.")
	},
})
