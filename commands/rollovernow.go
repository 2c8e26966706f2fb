package commands

import (
	"context"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "rollovernow",
	Summary: "Roll over a log file.",
	Help:    "rollovernow [log_name | all]\n\nEnds the log's current file and begins a new one.",
	Source:  "public (purpose), invented (questions)",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		list := committedLogs(env)
		var names []string // none: all of them
		switch {
		case len(env.Args) > 1:
			return shell.InvalidArgumentf(env.Args[1], "The only argument is the name of a log, or all.")
		case len(env.Args) == 1 && strings.EqualFold(env.Args[0], "all"):
		case len(env.Args) == 1:
			log, err := logArgument(list, env.Args[0])
			if err != nil {
				return err
			}
			names = []string{log.Name}
		case env.Inline:
			return shell.InvalidArgumentf("", "The name of a log, or all, is required.")
		default:
			env.Printf("Currently configured logs:\n")
			printLogs(env, list)
			env.Printf("%2d. All Logs\n", len(list)+1)
			_, err := env.Ask(ctx, "Which log would you like to roll over?", "", func(answer string) error {
				names = nil
				n, err := strconv.Atoi(answer)
				if err == nil && n == len(list)+1 || strings.EqualFold(answer, "all") {
					return nil
				}
				log, err := findLog(list, answer)
				if err != nil {
					return refusal.Newf(
						"The value must be an integer from 1 to %d, or the name of a log.", len(list)+1)
				}
				names = []string{log.Name}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if err := env.Appliance.Logs.RollOver(ctx, names...); err != nil {
			return err
		}
		if !env.Inline {
			env.Printf("Log files successfully rolled over.\n")
		}
		return nil
	},
})
