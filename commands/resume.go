package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "resume",
	Summary: "Resume receiving and deliveries.",
	Help:    "resume",
	Source:  "cli.md",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(_ context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return shell.InvalidArgumentf(printable(env.Args[0]), "No arguments are expected.")
		}
		names, err := listenerNames(env)
		if err != nil {
			return err
		}
		resumeReceiving(env, names)
		resumeSending(env)
		return nil
	},
})
