package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "suspend",
	Summary: "Suspend receiving and deliveries.",
	Help:    "suspend [seconds]\n\nReceiving and deliveries stay suspended until resume, over a restart too.",
	Source:  "cli.md",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		names, err := listenerNames(env)
		if err != nil {
			return err
		}
		wait, err := onlySeconds(ctx, env)
		if err != nil {
			return err
		}
		if err := suspendReceiving(ctx, env, wait, names); err != nil {
			return err
		}
		return suspendSending(ctx, env, wait)
	},
})
