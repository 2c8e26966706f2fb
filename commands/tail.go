package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "tail",
	Summary: "Continuously display the end of a log file.",
	Help: "tail [log_name]\n\n" +
		"Shows the last lines of the log, and then each line as it is written, until Ctrl-C is pressed.",
	Source: "public (inline form), invented (questions)",
	Roles:  logRoles,
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		var log logs.Subscription
		var err error
		switch {
		case len(env.Args) > 1:
			return shell.InvalidArgumentf(env.Args[1], "The only argument is the name of a log.")
		case len(env.Args) == 1:
			log, err = logArgument(committedLogs(env), env.Args[0])
		case env.Inline:
			return shell.InvalidArgumentf("", "The name of a log is required.")
		default:
			log, err = chooseLog(ctx, env, committedLogs(env),
				"Enter the number of the log you wish to tail.")
		}
		if err == nil {
			err = checkTextLog(log)
		}
		if err != nil {
			return err
		}
		return followLog(ctx, env, log.Name, tailLines, nil)
	},
})
