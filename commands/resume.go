package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "resume",
	Summary: "Resume receiving and deliveries.",
	Source:  "cli.md",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Run: func(_ context.Context, env *shell.Env) error {
		names, err := listenerNames(env)
		if err != nil {
			return err
		}
		resumeReceiving(env, names)
		resumeSending(env)
		return nil
	},
})
