package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "suspenddel",
	Summary: "Suspend deliveries.",
	Help:    "suspenddel [seconds]\n\nDeliveries stay suspended until resumedel, over a restart too.",
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		wait, err := onlySeconds(ctx, env)
		if err != nil {
			return err
		}
		return suspendSending(ctx, env, wait)
	},
})
